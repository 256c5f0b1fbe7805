"""The supervisor: starts workers, warm or with a job, and makes sure that every job ends.

Runs in the service's loop, without threads.
"""

import contextlib
import importlib.util
import os
import selectors
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loguru import logger

from daemon.contract.messages import JobCommand, Warm
from daemon.contract.records import Process
from daemon.fs import FileSystem, HeldFolder
from daemon.platform.sandbox import SandboxPolicy, command
from daemon.supervisor.attempt import Attempt
from daemon.supervisor.environment import worker_environment
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.outcome import Outcome, judge
from daemon.supervisor.process import WorkerProcess
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.states import NEVER
from daemon.supervisor.working_clock import WorkingClock

#: Seconds between checks while `shutdown` waits for the last workers.
_SHUTDOWN_PAUSE = 0.005


def worker_argv() -> tuple[str, ...]:
    """The command of a real worker. `-P`: no module is imported from its working directory."""
    return (sys.executable, "-P", "-m", "pipeline", "worker")


def guardian_argv() -> tuple[str, ...]:
    """The command of a guardian. It runs the file without site packages, so that it starts in about 15 ms.

    Raises:
        FileNotFoundError: the package `pipeline` is not installed.
    """
    spec = importlib.util.find_spec("pipeline")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package `pipeline` is not installed beside `daemon`")
    return (sys.executable, "-I", "-S", os.path.join(spec.submodule_search_locations[0], "worker", "guardian.py"))


@dataclass(frozen=True, slots=True)
class WarmWorker:
    """A worker without a job: the path of its attempt folder, what it loads, whether it is ready, and its age in seconds."""

    attempt: bytes
    warm: Warm
    ready: bool
    age_seconds: float


class Listener(Protocol):
    """Receives the progress and the ends of jobs."""

    def on_progress(self, job_id: str, stage: str, fraction: float) -> None:
        """A worker reports the progress of its job; `fraction` is from 0 to 1."""

    def on_end(self, job_id: str, outcome: Outcome) -> None:
        """A job's processes are gone. The listener may start the next job at once."""


def _made(above: HeldFolder, name: bytes) -> HeldFolder:
    """Open a folder in an open folder; create it if it is missing. NotADirectoryError if a link or a file has its name."""
    with contextlib.suppress(FileExistsError):
        above.mkdir(name)
    return above.enter(name)


class Supervisor:
    """Runs jobs in worker processes, and reports exactly once how each ended.

    Args:
        selector: the loop's selector. Each key's data is a callable; the loop calls `key.data(mask)`.
        fs: the disk with the attempt folders and job.log.
        rules: limits and delays.
        argv: the worker's command; `--warm W` and `--events-fd N` are appended.
        clock: returns monotonic seconds.
        guardian: the guardian's command; None for the usual command.
        policy: what workers may read and use (the sandbox); None: no sandbox.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        fs: FileSystem,
        rules: SupervisorRules,
        *,
        argv: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        guardian: Sequence[str] | None = None,
        policy: SandboxPolicy | None = None,
    ) -> None:
        self._selector, self._fs, self._rules, self._argv = selector, fs, rules, tuple(argv)
        self._clock = WorkingClock(clock)
        self._listener: Listener | None = None
        self._guardian = tuple(guardian) if guardian is not None else guardian_argv()
        self._policy = policy
        self._jobs: dict[str, Attempt] = {}
        self._warm_workers: dict[bytes, tuple[Warm, Attempt]] = {}
        self._dying: set[Attempt] = set()
        #: The warm worker that died last, and how.
        self._died: tuple[bytes, str] = (b"", "")

    def subscribe(self, listener: Listener) -> None:
        """Report every job's progress and end to this listener. Call this once, before the first worker starts."""
        if self._listener is not None:
            raise AssertionError("the supervisor has its listener already")
        self._listener = listener

    def _required_listener(self) -> Listener:
        if self._listener is None:
            raise AssertionError("nobody listens to the supervisor")
        return self._listener

    # -- warm workers -----------------------------------------------------------------------------------------------------

    def prepare(self, attempt: bytes, *, warm: Warm = "light") -> None:
        """Start a warm worker for the attempt folder with this path, which is created if it is missing.

        Raises:
            OSError: the worker could not be started; nothing is left running.
        """
        self._warm_workers[attempt] = (warm, self._spawn(attempt, warm))

    def discard(self, attempt: bytes) -> None:
        """End the warm worker of this attempt folder, if there is one."""
        if attempt in self._warm_workers:
            _warm, spare = self._warm_workers.pop(attempt)
            self._dying.add(spare)
            spare.kill()

    def warm_workers(self) -> list[WarmWorker]:
        """The workers without a job, oldest first, except those known to have ended."""
        now = self._clock.moment(self._clock.now())
        return [
            WarmWorker(folder, warm, spare.ready, now - spare.initial_state)
            for folder, (warm, spare) in self._warm_workers.items()
        ]

    def how_it_died(self, attempt: bytes) -> str:
        """A clause that says how the warm worker of this attempt folder died. Details are known only of the last to die."""
        folder, how = self._died
        return how if folder == attempt else "it ended"

    # -- jobs -----------------------------------------------------------------------------------------------------------

    def start(self, command: JobCommand, *, log: bytes, timeout_seconds: float) -> Process:
        """Run a job, on the warm worker that was prepared for its attempt folder, or else on a new worker.

        Args:
            command: the job; `command.attempt` is the path of the attempt folder, which is created if it is missing.
            log: absolute path of job.log; an existing one is continued.
            timeout_seconds: time from `started` (everything that the job needs is loaded) until the job is asked to stop.

        Raises:
            OSError: no worker could be started; nothing is left running, and `on_end` is not called.
            ValueError: a job with this id is running.
        """
        if command.job_id in self._jobs:
            raise ValueError(f"job {command.job_id} is running already")
        folder = os.fsencode(command.attempt)
        if folder in self._warm_workers and not self._warm_workers[folder][1].alive():
            self.discard(folder)
        attempt = self._warm_workers.pop(folder)[1] if folder in self._warm_workers else self._spawn(folder, "light")
        self._jobs[command.job_id] = attempt
        attempt.log.open(log)
        attempt.give(command, timeout_seconds)
        return attempt.worker.pid

    def cancel(self, job_id: str) -> bool:
        """Ask a job to stop. It ends as `Cancelled` within the grace period. Returns False if the job is not running."""
        attempt = self._jobs.get(job_id)
        if attempt is None:
            return False
        attempt.stop("cancel", self._rules.cancel_seconds)
        return True

    # -- time -----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what is due: enforce limits, kill, report ends. Call this after every pass of the loop."""
        for attempt in self._all():
            self._advance(attempt)

    def next_deadline(self) -> float | None:
        """The time on `clock` at which `tick` must be called at the latest; None if nothing is due."""
        due = min((attempt.next_look() for attempt in self._all()), default=NEVER)
        return self._clock.moment(due) if due < NEVER else None

    def begin_shutdown(self) -> None:
        """Ask every worker to stop. Keep serving the selector and calling `tick` until `idle`. The jobs end as `Stopped`."""
        for folder in tuple(self._warm_workers):
            self.discard(folder)
        for attempt in tuple(self._jobs.values()):
            attempt.stop("shutdown", self._rules.shutdown_grace_seconds)

    def idle(self) -> bool:
        """Whether no worker is left."""
        return not (self._jobs or self._warm_workers or self._dying)

    def shutdown(self) -> None:
        """End every worker within the grace period, without the loop. Returns when all are gone. Needs a real clock."""
        self.begin_shutdown()
        while not self.idle():
            for attempt in self._all():
                if not attempt.over:
                    attempt.read()
            self.tick()
            time.sleep(_SHUTDOWN_PAUSE)

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _all(self) -> list[Attempt]:
        return [*self._jobs.values(), *(spare for _warm, spare in self._warm_workers.values()), *self._dying]

    def _spawn(self, folder: bytes, warm: Warm) -> Attempt:
        argv = [*self._argv, "--warm", warm]
        above, name = os.path.split(folder)
        # The worker gets the folders as descriptors, because strangers may swap one for a link before it has started.
        with self._fs.hold(above) as work, _made(work, name) as own, _made(own, b"tmp") as tmp:
            worker = WorkerProcess(
                command(argv, self._policy, own.fd) if self._policy else argv,
                self._guardian,
                environment=worker_environment(os.environ, tmp=os.path.join(folder, b"tmp"), threads=self._rules.threads),
                folder=tmp.fd,
                inherited=(own.fd,) if self._policy else (),
            )
        return Attempt(
            worker,
            folder,
            JobLog(self._fs, self._rules.log_cap_bytes),
            self._fs,
            self._rules,
            self._selector,
            wake=self._advance,
            progress=self._required_listener().on_progress,
            clock=self._clock,
        )

    def _advance(self, attempt: Attempt) -> None:
        if not attempt.step():
            return
        if attempt.job_id is not None:
            del self._jobs[attempt.job_id]
            self._required_listener().on_end(attempt.job_id, judge(attempt.end()))
        elif attempt in self._dying:
            self._dying.remove(attempt)
        else:
            self._warm_workers = {folder: kept for folder, kept in self._warm_workers.items() if kept[1] is not attempt}
            end = attempt.end()
            why = f"was ended ({end.reason})" if end.reason else f"ended by itself with status {end.status}"
            told = (end.tail or "it printed nothing").splitlines()
            self._died = (attempt.folder, f"it {why}: {told[-1]}")
            logger.warning("a warm worker {}: {}", why, "\n".join(told))
