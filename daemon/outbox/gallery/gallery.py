"""The page's data on disk: writes `live.js` whenever something changes, and the chunks of ended jobs when a job ends."""

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
from daemon.outbox.status_files import SILENT_SECONDS, Health

FOLDER = b".gallery"
#: Stands for the id of a job in a command. The page puts in the id.
_ANY = "any-job-on-the-page"
_LIVE = b"live.js"
#: Seconds between two reports to the page that the daemon is alive. The page calls it silent after the time of four reports, so
#: one late report does no harm.
REPORT_SECONDS = SILENT_SECONDS / 4
#: How many ended jobs are read from the journal at a start, to find those that are missing on the page.
_RECENT = 200
#: How many are read if there are no chunks at all: as many as people may look for, but few enough for a quick start.
_REBUILT = 2000
#: The most that are read if chunks are missing or damaged: as many as there were, but no more than can be read within seconds.
_MAX_REBUILT = 10_000


class Gallery:
    """The page and its data.

    Args:
        outbox: where the page is written.
        ended_before: returns at most the given number of statuses of ended jobs, newest first.
        start: the command that starts the daemon; the page shows it.
    """

    def __init__(self, outbox: Outbox, ended_before: Callable[[int], Iterable[Status]], start: str) -> None:
        self._fs = outbox.fs
        self._outbox = outbox
        self._folder = os.path.join(outbox.root, FOLDER)
        self._ended_before = ended_before
        self._start = start
        #: The commands that redo one job, around its id, and all whose depth was estimated.
        self._redo: Card = {
            "redo": outbox.commands.typed("redo", _ANY, "--num-layers", "6").split(_ANY),
            "guessed": outbox.commands.typed("redo", "--guessed"),
        }
        self._chunks: Chunks | None = None
        self._epoch = ""
        self._stamps: dict[int, int] = {}
        self._ended: dict[str, str] = {}
        self._removed: set[str] = set()
        #: What `live.js` was made from when it was last written; None: it must be written.
        self._written: tuple[object, ...] | None = None
        self._written_at = float("-inf")
        self._turn = 0

    @property
    def is_open(self) -> bool:
        """Whether the chunks on disk have been loaded. If so, `ended_before` has been called."""
        return self._chunks is not None

    def ended(self, status: Status) -> None:
        """Add a job that ended, or new information about an ended job. The next `write` writes it."""
        self._removed.discard(status.job_id)
        self._ended.pop(status.job_id, None)
        self._ended[status.job_id] = inert(self._card(status))

    def removed(self, job_id: str) -> None:
        """Remove an ended job from the page. The next `write` does it."""
        self._ended.pop(job_id, None)
        self._removed.add(job_id)

    def write(self, now: float, health: Health, live: Sequence[Status]) -> None:
        """Bring the files up to date. Files whose content would not change are not written.

        Args:
            now: monotonic seconds.
            health: the content of daemon.json.
            live: the running jobs and the next pending ones, in order.

        Raises:
            OSError: a file cannot be written. The next call writes everything that is missing.
        """
        try:
            self._write(now, health, live)
        except FileNotFoundError:
            # Somebody removed the folder, or the share disappeared and came back. Load what is there at the next call.
            self._chunks = None
            raise

    def check_files(self) -> None:
        """Check whether somebody removed the page or some of its data. If so, the next `write` writes it again.

        Raises:
            OSError: the outbox cannot be read.
        """
        if self._chunks is None:
            return
        try:
            live = self._fs.lstat(os.path.join(self._folder, _LIVE)).kind
            whole = live == "file" and self._chunks.are_there() and self._outbox.has_index()
        except FileNotFoundError:
            whole = False
        if not whole:
            logger.info("a part of the page was removed; it is rebuilt")
            self._chunks = None

    def next_chunk_of_ids(self) -> list[str]:
        """The ids of the jobs in one chunk. Each call takes the next older chunk. After the oldest, it takes the newest again.

        Raises:
            OSError: the outbox cannot be read.
        """
        if self._chunks is None:
            return []
        self._turn = (self._turn or self._chunks.last + 1) - 1
        return self._chunks.ids(min(self._turn, self._chunks.last))

    def _write(self, now: float, health: Health, live: Sequence[Status]) -> None:
        chunks = self._chunks or self._open(health.alive_at)
        if chunks is None:
            return
        self._remove_jobs(chunks)
        for job_id, line in tuple(self._ended.items()):
            self._mark_changed(chunks.add(line))
            del self._ended[job_id]
        chunks.flush()
        history = self._history(chunks)
        shown = (health.model_copy(update={"alive_at": ""}), tuple(live), history)
        if shown == self._written and now < self._written_at + REPORT_SECONDS:
            return
        feed = _feed(self._outbox.commands.fill_all(health, keep_marks=True), [self._card(status) for status in live], history)
        feed |= self._redo
        text = f"multiplane.live({inert({'alive_at': health.alive_at, **feed})});\n"
        write_atomic(self._fs, os.path.join(self._folder, _LIVE), text.encode("ascii"), durable=False)
        self._written, self._written_at = shown, now

    def _open(self, epoch: str) -> Chunks | None:
        """Load the chunks of earlier processes, and add ended jobs that they lack. Returns None while the outbox is missing."""
        if not self._outbox.is_healthy():
            return None
        with contextlib.suppress(FileExistsError):
            self._fs.mkdir(self._folder)
        chunks = Chunks(self._fs, self._folder)
        try:
            found = chunks.load()
            known = {ended_of(line) for line in islice(chunks.newest_first(), 2 * _RECENT)}
        except (TornChunkError, ValueError, KeyError) as error:
            logger.warning("the page's history is damaged and is rebuilt from the journal: {}", error)
            found, known = False, set()
        most = min(max(_REBUILT, (chunks.last + 1) * CHUNK_JOBS), _MAX_REBUILT)
        if not found:
            chunks.clear()
        missing = [
            inert(self._card(status))
            for status in self._ended_before(_RECENT if found else most)
            if (status.job_id, status.completed_at) not in known and status.job_id not in self._ended
        ]
        for line in reversed(missing):
            chunks.add(line)
        chunks.flush()
        self._outbox.write_index(render(self._start))
        self._epoch, self._stamps, self._written = epoch, {}, None
        self._chunks = chunks
        return chunks

    def _card(self, status: Status) -> Card:
        return card_of(self._outbox.commands.fill_all(status, keep_marks=True))

    def _remove_jobs(self, chunks: Chunks) -> None:
        if self._removed:
            for number in chunks.remove(self._removed):
                self._mark_changed(number)
            self._removed.clear()

    def _mark_changed(self, number: int) -> None:
        self._stamps[number] = self._stamps.get(number, 0) + 1

    def _history(self, chunks: Chunks) -> Card:
        """What the page needs to load chunks 0 to `last`. A new stamp means that one chunk changed.

        A new epoch means that all chunks changed.
        """
        return {"epoch": self._epoch, "last": chunks.last, "stamps": dict(self._stamps)}


def _feed(health: Health, live: list[Card], history: Card) -> dict[str, object]:
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
        "waiting_more": [[one.reason, one.count] for one in health.waiting_more],
        "batches": [[one.batch, one.name, one.ended, one.total, one.failed, one.eta_seconds] for one in health.batches],
        "history": history,
    }
