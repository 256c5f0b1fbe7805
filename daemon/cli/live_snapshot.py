"""What is going on right now, even if the daemon does not run or cannot write daemon.json.

A recent daemon.json has the answer. Otherwise this code reads the inbox itself by the daemon's rules, and looks for the reason
in the outbox. It changes nothing.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from daemon.cli.common import fs
from daemon.cli.job_queries import JobQueries
from daemon.contract.names import to_bytes
from daemon.outbox import FRESH_SECONDS, Health, MoreWaiting, Outbox, Waiting
from daemon.outbox.ownership import said_of_stranger
from daemon.settings import Settings

#: Seconds between two scans of the inbox by a live screen.
_SPACING = 2.0
#: With fewer free bytes than this, no result and no page can be written.
_ENOUGH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The state at one moment.

    Attributes:
        alive: a daemon runs in this home.
        health: the content of daemon.json; None if it is missing or cannot be read.
        problem: a sentence that says why `health` is out of date; None if it is not, or if no daemon runs.
        waiting: entries of the waiting list; of a long one, some for each folder and reason.
        waiting_total: the number of all its entries.
        waiting_more: how many of them `waiting` leaves out, by reason.
    """

    alive: bool
    health: Health | None
    problem: str | None
    waiting: tuple[Waiting, ...]
    waiting_total: int
    waiting_more: tuple[MoreWaiting, ...] = ()


class SnapshotReader:
    """Reads the state of one home repeatedly.

    Args:
        settings: the settings of the home.
        queries: reads what the daemon wrote.
        clock: returns monotonic seconds.
    """

    def __init__(self, settings: Settings, queries: JobQueries, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._queries = queries
        self._clock = clock
        self._own: tuple[tuple[Waiting, ...], int, tuple[MoreWaiting, ...]] = ((), 0, ())
        self._looked_at = float("-inf")

    def look(self, at: datetime) -> LiveSnapshot:
        """The state now. `at` is the current time."""
        health, alive = self._queries.health(), self._queries.daemon_runs()
        problem = silence(self._settings, health, at) if alive else None
        if health and alive and problem is None:
            return LiveSnapshot(alive, health, None, health.waiting, health.waiting_total, health.waiting_more)
        if self._clock() - self._looked_at >= _SPACING:
            # Importing this loads half of the daemon, so do it only if the daemon is silent.
            from daemon.cli.inbox import in_inbox

            paths = self._settings.paths
            if paths.inbox.exists() or paths.journal.exists():  # otherwise there is no home, and nothing waits in it
                found = in_inbox(self._settings, alive=alive)
                self._own = found.items, found.total, found.more
            self._looked_at = self._clock()
        return LiveSnapshot(alive, health, problem, *self._own)


def with_file(settings: Settings, item: Waiting) -> Waiting:
    """The entry of the waiting list with its absolute path, for what a command prints."""
    return item.model_copy(update={"file": os.fsdecode(os.path.join(settings.paths.inbox_bytes, to_bytes(item.path)))})


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why jobs make no progress.

    Attributes:
        word: a summary in a few words, to print next to a pending job.
        sentence: the full reason.
        stale: whether the progress of running jobs may be out of date, because no daemon updates it.
        lasts: whether a person should know even if no job is left to do: new pictures would not be taken until it is over.
    """

    word: str
    sentence: str
    stale: bool
    lasts: bool = False


def standstill(settings: Settings, queries: JobQueries, at: datetime) -> Standstill | None:
    """Why jobs make no progress; None if they do. `at` is the current time."""
    health, alive = queries.health(), queries.daemon_runs()
    halt = standstill_of(health, alive=alive, problem=silence(settings, health, at) if alive else None)
    if halt is None or halt.lasts or (trouble := outbox_trouble(settings)) is None:
        return halt
    sentence = halt.sentence if alive else f"The daemon isn't running. When it starts, jobs still cannot continue: {trouble}."
    return replace(halt, sentence=sentence, lasts=True)


def standstill_of(health: Health | None, *, alive: bool, problem: str | None) -> Standstill | None:
    """Why jobs make no progress, judged by these values; None if they do.

    Args:
        health: the content of daemon.json; None if there is none.
        alive: whether a daemon runs in this home.
        problem: why `health` is out of date; None if it is not.
    """
    if problem is not None:
        # One that has just started will soon report.
        reported = health is not None and health.state not in ("stopped", "refused")
        return Standstill("the daemon is silent", f"Jobs may not be progressing: {problem}.", stale=True, lasts=reported)
    if not alive:
        return Standstill("the daemon is not running", "The daemon isn't running. Jobs continue when it starts.", stale=True)
    if health is not None and health.state in ("paused", "offline"):
        hint = f" {health.hint}" if health.hint else ""
        why = health.problem or "no reason was reported"
        return Standstill(health.state, f"The daemon is {health.state}: {why}.{hint}", stale=False, lasts=True)
    return None


def silence(settings: Settings, health: Health | None, at: datetime) -> str | None:
    """A sentence that says why a running daemon's `health` is out of date; None if it is not. `at` is the current time."""
    silent = health.silent_seconds(at) if health else None
    reason = _outbox_trouble(settings)
    # If the daemon reports a problem itself, its own sentence is better than `reason`.
    if silent is not None and silent <= FRESH_SECONDS and (reason is None or (health and health.problem)):
        return None
    if reason:
        return reason
    if health is None or health.state in ("stopped", "refused"):
        # An earlier daemon wrote this report.
        return "the daemon is starting and hasn't reported anything yet"
    if datetime.fromisoformat(health.alive_at) > at:
        return "the daemon is running, but hasn't responded since the clock was set back"
    return f"the daemon is running, but hasn't responded for {silent:.0f} s"


def outbox_trouble(settings: Settings) -> str | None:
    """A clause that says why nothing can be written into the outbox; None if this command sees no reason.

    Also None before the first start of a daemon, which makes the outbox.
    """
    return _outbox_trouble(settings) if settings.paths.journal.is_dir() else None


def _outbox_trouble(settings: Settings) -> str | None:
    root = settings.paths.outbox_bytes
    try:
        if (owner := JobQueries(fs, settings).stranger()) is not None:
            return said_of_stranger("outbox", root, owner)
        if not Outbox(fs, root).is_healthy():
            os.scandir(root).close()
            return f"{os.fsdecode(root)} isn't the outbox: its marker file .multiplane is missing"
        found = os.statvfs(root)
    except FileNotFoundError:
        return f"the outbox doesn't exist: {os.fsdecode(root)}"
    except OSError as error:
        return f"the outbox cannot be read ({error.strerror}): {os.fsdecode(root)}"
    if found.f_flag & os.ST_RDONLY:
        return f"the outbox is read-only: {os.fsdecode(root)}"
    # A file system that does not know its size reports a total of 0 blocks.
    if found.f_blocks and found.f_bavail * found.f_frsize < _ENOUGH_BYTES:
        return f"the disk of the outbox is full: {os.fsdecode(root)}"
    return None
