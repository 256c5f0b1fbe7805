"""Runs the hooks: the commands of `hooks.on_completed` and `hooks.on_failed`, once for each job that ended.

A hook runs as the daemon's user, outside the sandbox of the workers, and never holds up the loop. It runs at least once for each
job: if the daemon dies while it runs, it is killed, and runs again after the next start. A hook that fails by itself is run at
most twice more; then the job gets a warning, and stays what it is.
"""

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loguru import logger

from daemon.contract.commands import as_code, unmarked
from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver
from daemon.contract.records import Accepted, AnyRecord, Job, Removed, Requeued
from daemon.contract.words.printable import quoted, replace_unprintable
from daemon.following.hook_process import HookProcess
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox, status_of
from daemon.settings import Settings
from daemon.settings.sources import JOB

#: How often a hook is run in all if it fails, and how many seconds pass before the second and the third time.
MAX_RUNS = 3
PAUSES = (10.0, 60.0)
#: The most hooks that run at once. Jobs end one after the other; this lets a few slow hooks overlap.
_MOST = 4
#: Seconds between two looks at a running hook.
_LOOK = 0.1
#: How long the daemon waits at its end for killed hooks to be gone, in seconds.
_LAST_SECONDS = 2.0
_PAUSE = 0.005
_MAX_SHOWN = 200


class RunningHook(Protocol):
    """What `Hooks` needs of a command that runs; `HookProcess` explains it."""

    @property
    def last_line(self) -> str: ...  # noqa: D102
    def poll(self) -> int | None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    def is_gone(self) -> bool: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


#: Starts a command: its argument list, its standard input, its environment, its working directory.
StartHook = Callable[[Sequence[str], bytes, Mapping[str, str], str], RunningHook]


@dataclass(slots=True)
class _Run:
    """A hook that runs.

    Attributes:
        process: its process.
        command: its argument list in the settings.
        until: when its time is over, in monotonic seconds.
        over: its exit status, or a clause, once it has ended.
        outdated: whether the job was removed or began again meanwhile, so that how this ends says nothing about the job.
    """

    process: RunningHook
    command: tuple[str, ...]
    until: float
    over: int | str | None = None
    outdated: bool = False


class Hooks:
    """Starts the hooks that the journal says are owed, and records how they end.

    Args:
        settings: which commands there are.
        ledger: the jobs, and what is owed.
        outbox: where the jobs' folders are.
        find: finds a job that ended long ago.
        waits: whether a job's hook should wait a little longer, for its delivery.
        clock: returns monotonic seconds.
        start: starts a command, as `HookProcess` does.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        find: Callable[[str], Job | None],
        waits: Callable[[str], bool],
        clock: Callable[[], float],
        start: StartHook = HookProcess,
    ) -> None:
        self._hooks, self._home = settings.hooks, os.fspath(settings.paths.home)
        self._ledger = ledger
        self._outbox = outbox
        self._find = find
        self._waits = waits
        self._clock = clock
        self._start = start
        self._environment = {**os.environ, "MULTIPLANE_HOME": self._home}
        self._running: dict[str, _Run] = {}
        #: When a hook that failed is run again, in monotonic seconds, by job. It is not remembered over a restart.
        self._not_before: dict[str, float] = {}

    def on_record(self, record: AnyRecord) -> None:
        """Handle a record that took effect: a job that was removed or begins again owes no hook for its earlier end."""
        if isinstance(record, Removed | Accepted | Requeued):
            self._not_before.pop(record.job, None)
            if (run := self._running.get(record.job)) is not None:
                run.outdated = True

    def next_look(self, now: float) -> float:
        """When `look` is due next, in monotonic seconds."""
        if self._running:
            return now + _LOOK
        due = [self._not_before.get(job_id, now) for job_id, _failures in self._due()]
        return min(due, default=float("inf"))

    def is_done(self) -> bool:
        """Whether no hook runs or is still to be run."""
        return not self._running and not any(self._ledger.jobs.follow_ups.of("hook"))

    def look(self, now: float) -> None:
        """Record what has ended, end what ran for too long, and start what is due. `now`: monotonic seconds.

        Raises:
            JournalError: the process must stop.
        """
        for job_id, run in tuple(self._running.items()):
            self._check(job_id, run, now)
        for job_id, failures in list(self._due()):
            if len(self._running) >= _MOST:
                return
            if self._not_before.get(job_id, now) <= now:
                self._begin(job_id, failures, now)

    def _due(self) -> list[tuple[str, int]]:
        """The jobs whose hook is to be run, with the number of failures so far."""
        follow_ups = self._ledger.jobs.follow_ups
        return [
            (job_id, failures)
            for job_id, failures in follow_ups.of("hook")
            if job_id not in self._running and not self._waits(job_id)
        ]

    def _begin(self, job_id: str, failures: int, now: float) -> None:
        job = self._ledger.jobs.find(job_id) or self._find(job_id)
        command = self._hooks.command(job.state) if job else None
        if job is None or command is None:
            # The settings were changed since, or the job's records are gone.
            self._ledger.record(FollowUpOver(job=job_id, what="hook", retried=failures > 0))
            return
        message = self._outbox.as_json(status_of(job))
        argv = (os.path.expanduser(command[0]), *command[1:], os.fsdecode(self._outbox.job(job_id)))
        try:
            process = self._start(argv, message, self._environment | {JOB: job_id}, self._home)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            self._failed(job_id, command, f"it cannot be started ({why or error})", failures, now)
            return
        self._running[job_id] = _Run(process, command, now + self._hooks.timeout_seconds)

    def _check(self, job_id: str, run: _Run, now: float) -> None:
        if run.over is None:
            run.over = run.process.poll()
            if run.over is None and now >= run.until:
                seconds = self._hooks.timeout_seconds
                run.over = f"it ran for more than {seconds:g} second{'' if seconds == 1 else 's'}"
            if run.over is None:
                return
            # Also after it ended by itself: nothing that it started in its group may stay behind.
            run.process.kill()
        if not run.process.is_gone():
            return
        said = run.process.last_line
        run.process.close()
        del self._running[job_id]
        failures = self._ledger.jobs.follow_ups.owed.get((job_id, "hook"))
        if failures is None or run.outdated:
            return
        if run.over == 0:
            logger.info("the hook of {} was run", job_id)
            self._not_before.pop(job_id, None)
            self._ledger.record(FollowUpOver(job=job_id, what="hook", retried=failures > 0))
            return
        why = run.over if isinstance(run.over, str) else _ending(run.over)
        self._failed(job_id, run.command, f"{why}{_quoted(said)}", failures, now)

    def _failed(self, job_id: str, command: tuple[str, ...], why: str, failures: int, now: float) -> None:
        told = f"The command {as_code(shlex.join(command)[:_MAX_SHOWN])} of the settings failed after this job: {why}."
        clause = f"the hook of {job_id}, {as_code(shlex.join(command)[:_MAX_SHOWN])}, failed: {why}"
        if failures + 1 < MAX_RUNS:
            self._not_before[job_id] = now + PAUSES[failures]
            again = f"It is run again {PAUSES[failures]:.0f} seconds later."
            logger.warning("{}; it is run again in {:.0f} seconds", clause, PAUSES[failures])
            self._ledger.record(FollowUpFailed(job=job_id, what="hook", trouble=f"{told} {again}"))
        else:
            self._not_before.pop(job_id, None)
            given_up = f"It was run {MAX_RUNS} times, and is not run again."
            logger.warning("{}; that was the last of {} times", clause, MAX_RUNS)
            self._ledger.record(FollowUpOver(job=job_id, what="hook", trouble=f"{told} {given_up}", retried=True))

    def stop(self) -> None:
        """Kill the hooks that run: the daemon stops. They run again after the next start."""
        for run in self._running.values():
            run.process.kill()
        until = self._clock() + _LAST_SECONDS
        while self._clock() < until and not all(run.process.is_gone() for run in self._running.values()):
            time.sleep(_PAUSE)
        for run in self._running.values():
            run.process.close()
        self._running.clear()


def _ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"it was ended by signal {-status}"


def _quoted(line: str) -> str:
    """The last line that a command printed, as untrusted text for the end of a clause."""
    shown = replace_unprintable(unmarked(line))
    return f", {quoted(shown, limit=_MAX_SHOWN)}" if shown else ""
