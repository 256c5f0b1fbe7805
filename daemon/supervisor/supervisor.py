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
from dataclasses import dataclass, replace
from typing import Protocol

from loguru import logger

from daemon.contract.messages import JobCommand, Warm
from daemon.contract.records import Process
from daemon.fs import FileSystem, HeldFolder
from daemon.platform.sandbox import SandboxPolicy
from daemon.platform.template import TemplateLost
from daemon.supervisor.attempt import Attempt
from daemon.supervisor.environment import own_environment, shared_environment
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.outcome import Outcome, judge
from daemon.supervisor.process import WorkerProcess
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.starting.launch import Surroundings, as_program, forked_by
from daemon.supervisor.starting.templates import Templates
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
        forks: whether the worker's command can also be a template (`--template-fd N`).

    Attributes:
        templates: the templates that fork workers. Without a ready one, a worker is started as a program.
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
        forks: bool = False,
    ) -> None:
        self._selector, self._fs, self._rules, self._argv = selector, fs, rules, tuple(argv)
        self._clock = WorkingClock(clock)
        self._listener: Listener | None = None
        self._guardian = tuple(guardian) if guardian is not None else guardian_argv()
        self._policy = policy
        self.templates = Templates(selector, self._argv, rules, self._clock.now, possible=forks)
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

    def prepare(self, attempt: bytes, *, warm: Warm = "light", as_program: bool = False) -> None:
        """Start a warm worker for the attempt folder with this path, which is created if it is missing.

        Args:
            attempt: the path.
            warm: what the worker loads.
            as_program: whether to start it as a program even if a template could fork it.

        Raises:
            OSError: the worker could not be started; nothing is left running.
        """
        self._warm_workers[attempt] = (warm, self._spawn(attempt, warm, as_program=as_program))

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

    def start(self, command: JobCommand, *, log: bytes, timeout_seconds: float, as_program: bool = False) -> Process:
        """Run a job, on the warm worker that was prepared for its attempt folder, or else on a new worker.

        Only a new worker may start `command.ffmpeg`: the sandbox of a warm worker was closed before its job was known.

        Args:
            command: the job; `command.attempt` is the path of the attempt folder, which is created if it is missing.
            log: absolute path of job.log; an existing one is continued.
            timeout_seconds: time from `started` (everything that the job needs is loaded) until the job is asked to stop.
            as_program: whether to start a new worker as a program even if a template could fork it.

        Raises:
            OSError: no worker could be started; nothing is left running, and `on_end` is not called.
            ValueError: a job with this id is running.
        """
        if command.job_id in self._jobs:
            raise ValueError(f"job {command.job_id} is running already")
        folder = os.fsencode(command.attempt)
        if folder in self._warm_workers and not self._warm_workers[folder][1].alive():
            self.discard(folder)
        if folder in self._warm_workers:
            _warm, attempt = self._warm_workers.pop(folder)
        else:
            attempt = self._spawn(folder, command.warm, as_program=as_program, ffmpeg=command.ffmpeg)
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
        self.templates.tick()

    def next_deadline(self) -> float | None:
        """The time on `clock` at which `tick` must be called at the latest; None if nothing is due."""
        due = min([self.templates.next_look(), *(attempt.next_look() for attempt in self._all())])
        return self._clock.moment(due) if due < NEVER else None

    def begin_shutdown(self) -> None:
        """Ask every worker to stop, and end the templates. Keep serving the selector and calling `tick` until `idle`.

        The jobs end as `Stopped`.
        """
        for folder in tuple(self._warm_workers):
            self.discard(folder)
        self.templates.drop_all()
        for attempt in tuple(self._jobs.values()):
            attempt.stop("shutdown", self._rules.shutdown_grace_seconds)

    def idle(self) -> bool:
        """Whether no worker is left."""
        return not (self._jobs or self._warm_workers or self._dying)

    def shutdown(self) -> None:
        """End every worker within the grace period, without the loop. Returns when all are gone. Needs a real clock."""
        self.begin_shutdown()
        while not (self.idle() and self.templates.are_gone()):
            for attempt in self._all():
                if not attempt.over:
                    attempt.read()
            self.tick()
            time.sleep(_SHUTDOWN_PAUSE)

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _all(self) -> list[Attempt]:
        return [*self._jobs.values(), *(spare for _warm, spare in self._warm_workers.values()), *self._dying]

    def _spawn(self, folder: bytes, warm: Warm, *, as_program: bool = False, ffmpeg: str | None = None) -> Attempt:
        policy = replace(self._policy, run=(ffmpeg,)) if self._policy and ffmpeg else self._policy
        above, name = os.path.split(folder)
        # The worker gets the folders as descriptors, because strangers may swap one for a link before it has started.
        with self._fs.hold(above) as work, _made(work, name) as own, _made(own, b"tmp") as tmp:
            environment = shared_environment(os.environ, threads=self._rules.threads)
            at = Surroundings(environment, own_environment(os.path.join(folder, b"tmp")), tmp.fd, own.fd)
            kind = None if as_program else self.templates.best_for(warm)
            worker = self._forked(kind, warm, policy, at) if kind else None
            if worker is None:
                kind, worker = None, self._started(warm, policy, at)
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
            forked_by=kind,
        )

    def _forked(self, kind: Warm, warm: Warm, policy: SandboxPolicy | None, at: Surroundings) -> WorkerProcess | None:
        """A worker forked by the template of this kind. If that fails, drops the template and returns None."""
        try:
            return WorkerProcess(forked_by(self.templates.use(kind), warm, policy, at), self._guardian)
        except TemplateLost as lost:
            self.templates.drop(kind, str(lost))
            return None

    def _started(self, warm: Warm, policy: SandboxPolicy | None, at: Surroundings) -> WorkerProcess:
        return WorkerProcess(as_program([*self._argv, "--warm", warm], policy, at), self._guardian)

    def _advance(self, attempt: Attempt) -> None:
        if not attempt.step():
            return
        if attempt.forked_by is not None and attempt not in self._dying and attempt.never_got_ready():
            self.templates.drop(attempt.forked_by, "a worker that it forked did not become ready")
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
