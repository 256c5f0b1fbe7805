"""What the page is told, kept true on disk: `live.js` whenever something is different, the chunks of ended jobs when one ends."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from loguru import logger

from daemon.contract.status import Status
from daemon.fs import write_atomic
from daemon.outbox.gallery.cards import Card, card_of, inert
from daemon.outbox.gallery.chunks import CHUNK_JOBS, Chunks, TornChunkError, ended_of
from daemon.outbox.gallery.page import render
from daemon.outbox.outbox import Outbox
from daemon.outbox.views import Health

FOLDER = b".gallery"
_LIVE = b"live.js"
#: The page calls the daemon silent after a minute; said four times in it, one that comes late is no alarm.
ALIVE_SECONDS = 15.0
#: Ended jobs that the journal is asked for at a start, to find those whose end never reached the page.
_RECENT = 200
#: And when there are no chunks at all: what a person may look for, and not so many that a start takes long.
_REBUILT = 2000
#: The same when a part of them is gone: as many as there were, as far as they are read in seconds.
_MAX_REBUILT = 10_000


class Gallery:
    """The page and its feed.

    Args:
        outbox: where they are written.
        ended_before: the statuses of the jobs that ended so far, newest first, at most so many.
    """

    def __init__(self, outbox: Outbox, ended_before: Callable[[int], Iterable[Status]]) -> None:
        self._fs = outbox.fs
        self._outbox = outbox
        self._folder = os.path.join(outbox.root, FOLDER)
        self._ended_before = ended_before
        self._chunks: Chunks | None = None
        self._epoch = ""
        self._stamps: dict[int, int] = {}
        self._ended: dict[str, str] = {}
        self._removed: set[str] = set()
        self._told: dict[str, object] = {}
        self._told_at = float("-inf")
        self._turn = 0

    @property
    def is_open(self) -> bool:
        """Whether what is on the disk was taken up, and `ended_before` has been asked."""
        return self._chunks is not None

    def ended(self, status: Status) -> None:
        """A job has ended, or something came to light about an ended one; written with the next `write`."""
        self._removed.discard(status.job_id)
        self._ended.pop(status.job_id, None)
        self._ended[status.job_id] = inert(card_of(status))

    def removed(self, job_id: str) -> None:
        """A job is not to be shown any more; done with the next `write`."""
        self._ended.pop(job_id, None)
        self._removed.add(job_id)

    def write(self, now: float, health: Health, live: Sequence[Status]) -> None:
        """Bring the files up to date; those that say nothing new are left alone.

        Args:
            now: monotonic seconds.
            health: the daemon as a whole.
            live: the running jobs and the next pending ones, in order.

        Raises:
            OSError: a file cannot be written; nothing is forgotten, the next call tries again.
        """
        try:
            self._write(now, health, live)
        except FileNotFoundError:
            # Somebody cleaned up, or the share went away and came back: look again at what there is.
            self._chunks = None
            raise

    def mend(self) -> None:
        """Notice what somebody removed of the page and its feed; it is made again with the next `write`.

        Raises:
            OSError: the outbox cannot be looked at.
        """
        if self._chunks is None:
            return
        try:
            live = self._fs.lstat(os.path.join(self._folder, _LIVE)).kind
            whole = live == "file" and self._chunks.are_there() and self._outbox.has_index()
        except FileNotFoundError:
            whole = False
        if not whole:
            logger.info("a part of the page was removed; it is made again")
            self._chunks = None

    def some_older(self) -> list[str]:
        """The jobs of one more chunk: each call has the next one, round and round.

        Raises:
            OSError: the outbox cannot be looked at.
        """
        if self._chunks is None:
            return []
        self._turn = (self._turn or self._chunks.last + 1) - 1
        return self._chunks.ids(min(self._turn, self._chunks.last))

    def _write(self, now: float, health: Health, live: Sequence[Status]) -> None:
        chunks = self._chunks or self._open(health.alive_at)
        if chunks is None:
            return
        self._take_out(chunks)
        for job_id, line in tuple(self._ended.items()):
            self._touch(chunks.add(line))
            del self._ended[job_id]
        chunks.flush()
        told = _told(health, [card_of(status) for status in live], self._history(chunks))
        if told == self._told and now < self._told_at + ALIVE_SECONDS:
            return
        text = f"multiplane.live({inert({'alive_at': health.alive_at, **told})});\n"
        write_atomic(self._fs, os.path.join(self._folder, _LIVE), text.encode("ascii"), durable=False)
        self._told, self._told_at = told, now

    def _open(self, epoch: str) -> Chunks | None:
        """Take up the chunks of earlier lives, and add what ended without getting there; none while the outbox is not there."""
        if not self._outbox.is_healthy():
            return None
        with contextlib.suppress(FileExistsError):
            self._fs.mkdir(self._folder)
        chunks = Chunks(self._fs, self._folder)
        try:
            found = chunks.load()
            known = {ended_of(line) for line in islice(chunks.newest_first(), 2 * _RECENT)}
        except (TornChunkError, ValueError, KeyError) as error:
            logger.warning("the page's history is damaged and is made again from the journal: {}", error)
            found, known = False, set()
        most = min(max(_REBUILT, (chunks.last + 1) * CHUNK_JOBS), _MAX_REBUILT)
        if not found:
            chunks.clear()
        missing = [
            inert(card_of(status))
            for status in self._ended_before(_RECENT if found else most)
            if (status.job_id, status.completed_at) not in known and status.job_id not in self._ended
        ]
        for line in reversed(missing):
            chunks.add(line)
        chunks.flush()
        self._outbox.write_index(render())
        self._epoch, self._stamps, self._told = epoch, {}, {}
        self._chunks = chunks
        return chunks

    def _take_out(self, chunks: Chunks) -> None:
        if self._removed:
            for number in chunks.remove(self._removed):
                self._touch(number)
            self._removed.clear()

    def _touch(self, number: int) -> None:
        self._stamps[number] = self._stamps.get(number, 0) + 1

    def _history(self, chunks: Chunks) -> Card:
        """Where the history is: chunks 0 to `last`; one is to be read again when its stamp, all when the epoch is another."""
        return {"epoch": self._epoch, "last": chunks.last, "stamps": dict(self._stamps)}


def _told(health: Health, live: list[Card], history: Card) -> dict[str, object]:
    return {
        "version": health.version,
        "started_at": health.started_at,
        "state": health.state,
        "problem": health.problem,
        "hint": health.hint,
        "fault": health.last_fault,
        "fetch": health.fetch_model,
        "pending": health.pending,
        "running": len(health.processing),
        "jobs": live,
        "waiting": [[item.path, item.reason] for item in health.waiting],
        "waiting_total": health.waiting_total,
        "history": history,
    }
