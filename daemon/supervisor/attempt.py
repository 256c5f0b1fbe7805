"""One worker from its start to its end: reads its messages, watches its limits, ends it, and reports the outcome.

Heartbeats show that a worker is alive; progress shows that it gets on. Only wall time, a limit or a broken protocol ends a
worker. A silent one may be deep in C code that holds the interpreter. So silence is shown (`silent_seconds`) and named in the
message of a timeout, but does not end the worker. A worker that loses its guardian is ended at once: a second guardian could
not replace it without a moment in which a dying daemon would leave an orphan.

The supervisor calls `step` each time one of the descriptors was served, and whenever `next_look` has come.
"""

import os
import selectors
import subprocess
from collections.abc import Callable

import psutil
from loguru import logger

from daemon.contract.messages import CancelCommand, Error, Heartbeat, JobCommand, ProgressEvent, Ready, Result, Started
from daemon.fs import FileSystem
from daemon.platform import process
from daemon.platform.oom import oom_kills
from daemon.supervisor.conversation import Conversation
from daemon.supervisor.events import Event
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.outcome import End, Reason
from daemon.supervisor.process import WorkerProcess
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.usage import Usage

#: Seconds. After the group is killed, its members are gone in milliseconds, but a zombie whose new parent never reaps it stays
#: for ever.
_LINGER_SECONDS = 1.0
#: Seconds until a process that should be ending is checked again; they grow with the time it has already taken.
_FIRST_LOOK, _LAST_LOOK, _LOOK_SHARE = 0.001, 0.25, 0.25
#: While a worker runs, the loop passes here every second. If it did not for this many seconds, everything stood still (a frozen
#: container, a suspended machine or process), and that time does not count against the worker.
_STANDSTILL_SECONDS = 10.0


class Attempt:
    """A worker and what is known about it. Times are seconds of the supervisor's clock.

    Args:
        worker: its processes, just started.
        folder: its attempt folder.
        log: where its output goes.
        selector: the loop's, for its descriptors.
        wake: called after a descriptor was served, so that the supervisor takes a step.
        progress: called with (job_id, stage, fraction).
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        folder: bytes,
        log: JobLog,
        fs: FileSystem,
        rules: SupervisorRules,
        selector: selectors.BaseSelector,
        *,
        wake: Callable[["Attempt"], None],
        progress: Callable[[str, str, float], None],
        clock: Callable[[], float],
    ) -> None:
        self.worker, self.folder, self.log, self.rules = worker, folder, log, rules
        self._usage = Usage(fs, folder, rules)
        self._progress, self._clock = progress, clock
        self.born = self._began = self._moved = self.last_sign = self._sampled = self._ended_at = self._stepped = clock()
        self.job_id: str | None = None
        self.ready = self.over = self._started = False
        self._given_at: float | None = None
        self._timeout: float | None = None
        self._result: Result | None = None
        self._error: Error | None = None
        self._reason: Reason | None = None
        self._kill_at: float | None = None
        self._leave: tuple[float, str] | None = None
        self._killed_at: float | None = None
        self._ending_since: float | None = None
        self._peak = 0
        self._oom_kills = oom_kills()
        self._excess: str | None = None
        self._outsiders: set[psutil.Process] = set()
        self._companion: subprocess.Popen[bytes] | None = None
        self._conversation = Conversation(
            worker,
            log,
            selector,
            hear=self._hear,
            hung_up=self._hung_up,
            unguarded=self._unguarded,
            served=lambda: wake(self),
        )

    # -- what the supervisor asks ---------------------------------------------------------------------------------------

    def give(self, command: JobCommand, timeout_seconds: float) -> None:
        """Send the job. If the worker is not ready yet, it waits in the pipe. The time limit counts from its `started`."""
        self.job_id = command.job_id
        self._conversation.expect(command.job_id)
        self._began = self._given_at = self._moved = self.last_sign = self._sampled = self._stepped = self._clock()
        self._timeout = timeout_seconds
        self._oom_kills = oom_kills()
        self._conversation.say(command)
        self._companion = process.keep_awake(self.worker.worker.pid)

    def stop(self, reason: Reason, grace_seconds: float) -> None:
        """Ask the worker to stop, by message and by SIGTERM. After the grace period it is killed with its group.

        A cancel replaces any earlier reason, because the person who cancels does not want another attempt. A shutdown replaces
        none.
        """
        if self._reason is None or reason == "cancel":
            self._reason = reason
        now = self._clock()
        asked = self._kill_at is not None
        self._kill_at = now + grace_seconds if self._kill_at is None else min(self._kill_at, now + grace_seconds)
        if not asked and self._killed_at is None:
            self._ending_since = now
            self._look_for_outsiders()
            self._conversation.say(CancelCommand())
            self.worker.terminate()

    def kill(self, reason: Reason | None = None) -> None:
        """Kill the worker and its group now."""
        if self._killed_at is not None:
            return
        self._reason = self._reason or reason
        self._look_for_outsiders()
        self.worker.kill()
        for outsider in self._outsiders:
            try:
                outsider.kill()  # psutil compares creation times, so a reused pid raises NoSuchProcess
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                logger.warning("process {}, started by the worker of {}, cannot be ended", outsider.pid, self.job_id)
        self._killed_at = self._ending_since = self._ended_at = self._clock()

    def step(self) -> bool:
        """Do what is due, given the time and the state of the processes. True once: when this was the end."""
        now = self._clock()
        if now - self._stepped > _STANDSTILL_SECONDS:
            self._leave_out(now - self._stepped)
        self._stepped = now
        if self._killed_at is None:
            self._judge_life(now)
        if self._killed_at is not None and not self.over:
            self._bury(now)
            return self.over
        return False

    def next_look(self) -> float:
        """When `step` must be called at the latest, if no descriptor is served before."""
        looks = []
        if self._ending_since is not None:
            now = self._clock()
            looks.append(now + min(max((now - self._ending_since) * _LOOK_SHARE, _FIRST_LOOK), _LAST_LOOK))
        if self._killed_at is not None:
            return looks[0]
        if self._leave is not None:
            looks.append(self._leave[0])
        if self._kill_at is not None:
            looks.append(self._kill_at)
        elif self._timeout is not None:
            looks += [self._deadline(), self._sampled + self.rules.sample_seconds]
        looks.append(self._start_by())
        return min(looks, default=float("inf"))

    def alive(self) -> bool:
        """Whether it can still be given a job."""
        return self._killed_at is None and self._leave is None and self.worker.ended() is None

    def read(self) -> None:
        """Serve all descriptors now, for a caller without the loop."""
        self._conversation.read()
        self._conversation.write()

    def end(self) -> End:
        """The outcome; call it once `over`."""
        return End(
            reason=self._reason,
            status=self.worker.worker.returncode,
            result=self._result,
            error=self._error,
            violation=self._conversation.violation,
            tail=self.log.tail(),
            seconds=self._ended_at - self._began,
            silent_seconds=self._ended_at - self.last_sign,
            still_seconds=self._ended_at - self._moved,
            peak_bytes=max(self._peak, self.worker.held),
            timeout_seconds=self._timeout or 0.0,
            max_memory_bytes=self.rules.max_memory_bytes,
            excess=self._excess,
            max_processes=self.rules.max_processes,
            ready=self.ready,
            oom_kills=self._system_kills(),
            memory_bytes=self.rules.memory_bytes,
        )

    def _system_kills(self) -> int | None:
        """How many processes the system killed for lack of memory since the job was given; None if it does not count them."""
        now = oom_kills()
        return None if now is None or self._oom_kills is None else now - self._oom_kills

    def _leave_out(self, seconds: float) -> None:
        """Do not count a time in which everything stood still: no limit runs in it."""
        now = self._clock()
        self.born, self._began, self._moved, self.last_sign = (
            min(at + seconds, now) for at in (self.born, self._began, self._moved, self.last_sign)
        )
        if self._given_at is not None:
            self._given_at = min(self._given_at + seconds, now)
        if self._kill_at is not None:
            self._kill_at += seconds
        if self._leave is not None:
            self._leave = (self._leave[0] + seconds, self._leave[1])

    # -- ending ---------------------------------------------------------------------------------------------------------

    def _judge_life(self, now: float) -> None:
        grace_is_over = self._kill_at is not None and now >= self._kill_at
        if self.worker.ended() is not None or self._conversation.violation is not None or grace_is_over:
            self.kill()
        elif self._leave is not None and now >= self._leave[0]:
            self._conversation.condemn(self._leave[1])
            self.kill()
        elif now >= self._start_by():
            self.kill("start")
        elif self._kill_at is None and now >= self._deadline():
            self.stop("timeout", self.rules.grace_seconds)
        elif self._timeout is not None and now >= self._sampled + self.rules.sample_seconds:
            self._sample(now)

    def _deadline(self) -> float:
        """When the job's time is up. What it loads first does not count: `_start_by` limits that."""
        return self._began + self._timeout if self._timeout is not None and self._started else float("inf")

    def _start_by(self) -> float:
        """When a worker must be ready, or must have started the job it was given."""
        if self._given_at is not None:
            return float("inf") if self._started else self._given_at + self.rules.start_seconds
        return float("inf") if self.ready else self.born + self.rules.start_seconds

    def _bury(self, now: float) -> None:
        assert self._killed_at is not None  # noqa: S101 - the caller's condition, for the type checker
        gone = self.worker.group_is_gone()
        waited = now - self._killed_at
        patience = _LINGER_SECONDS if self.worker.is_reaped() else self.rules.kill_seconds
        if not gone and waited < patience:
            return
        self._conversation.read()
        self._conversation.close()
        self.worker.close()
        self.log.close()
        if self._companion is not None:
            self._companion.kill()  # it would end with the worker, a moment later
            self._companion.wait()
        self.over = True

    def _leaves(self, clause: str) -> None:
        """It has sent its last message: from now on it should be ending."""
        now = self._clock()
        self._leave = self._leave or (now + self.rules.grace_seconds, clause)
        self._ending_since = self._ending_since or now

    # -- limits ---------------------------------------------------------------------------------------------------------

    def _sample(self, now: float) -> None:
        self._sampled = now
        family = self._look_for_outsiders()
        if len(family) > self.rules.max_processes:
            self.kill("processes")
            return
        self._uses(process.tree_memory(family, above=self.rules.max_memory_bytes))
        self._excess = self._usage.excess()
        if self._excess is not None:
            self.kill("output")

    def _uses(self, size: int) -> None:
        self._peak = max(self._peak, size)
        if self.rules.max_memory_bytes is not None and size > self.rules.max_memory_bytes and self._timeout is not None:
            self.kill("memory")

    def _look_for_outsiders(self) -> list[psutil.Process]:
        """The worker and all its descendants. Remembers those that left the group, because SIGKILL to the group misses them.

        Empty if the worker has ended: then its descendants can no longer be found.
        """
        family = process.tree(self.worker.worker.pid) if self.worker.ended() is None else []
        for member in family:
            try:
                if os.getpgid(member.pid) != self.worker.group:
                    self._outsiders.add(member)
            except ProcessLookupError:
                continue
        return family

    # -- what the worker says -------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        self.last_sign = self._clock()
        match event:
            case Ready():
                self.ready = True
            case Started():
                self._started = True
                # The loop may have been too busy to read it at once.
                said = self.last_sign if event.at is None else event.at
                self._began = self._moved = min(max(said, self._began), self.last_sign)
            case ProgressEvent() if self.job_id is not None:
                self._moved = self._clock()
                self._progress(self.job_id, event.stage, event.fraction)
            case Heartbeat():
                self._uses(event.rss)
            case Result():
                self._result = event
                self._leaves("reported a result and then did not end")
            case Error():
                self._error = event
                self._leaves("reported an error and then did not end")

    def _hung_up(self) -> None:
        self._leaves("closed its event channel and went on running")

    def _unguarded(self) -> None:
        if self.worker.ended() is None:
            self.kill("guardian")
