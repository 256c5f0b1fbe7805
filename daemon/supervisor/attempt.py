"""Handles one worker from its start to its end: reads its messages, enforces its limits, ends it, and reports how it ended.

`states` decides which state the worker is in, how long it may stay there, and what happens next. This module handles the
process.

Heartbeats show that a worker is alive; progress messages show that its job advances. A worker is ended only if it exceeds a
limit, breaks the protocol, or loses its guardian. (Without the guardian, a dying daemon would leave the worker behind.) Silence
does not end a worker, because it may be busy in C code that holds the interpreter; but the message of a timeout mentions the
silence.

The supervisor calls `step` after every event on one of the descriptors, and at the time that `next_look` returns.
"""

import os
import selectors
import subprocess
from collections.abc import Callable
from typing import assert_never

import psutil
from loguru import logger

from daemon.contract.messages import CancelCommand, Error, Heartbeat, JobCommand, ProgressEvent, Result, Started, Warm
from daemon.contract.messages import Ready as SaidReady
from daemon.fs import FileSystem
from daemon.platform import process
from daemon.platform.oom import oom_kills
from daemon.supervisor import states
from daemon.supervisor.channel import WorkerChannel
from daemon.supervisor.events import Event
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.outcome import End, Reason
from daemon.supervisor.process import WorkerProcess
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.states import Do, Gone, Killed, Ready, Starting, State, Step
from daemon.supervisor.usage import Usage
from daemon.supervisor.working_clock import WorkingClock


class Attempt:
    """A worker and what is known about it. Times are seconds of the supervisor's clock.

    Args:
        worker: its processes, just started.
        folder: its attempt folder.
        log: where its output goes.
        selector: the loop's selector, where the worker's descriptors are registered.
        wake: called after a descriptor was served, so that the supervisor calls `step`.
        progress: called with (job_id, stage, fraction).
        clock: the supervisor's clock.
        forked_by: the kind of the template that forked the worker; None if it was started as a program.

    Attributes:
        initial_state: when it was started, in monotonic seconds.
        job_id: its job; None if it has none yet.
        ready: whether it has reported that it is ready for a job.
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
        clock: WorkingClock,
        forked_by: Warm | None = None,
    ) -> None:
        self.forked_by = forked_by
        self.worker, self.folder, self.log, self.rules = worker, folder, log, rules
        self._usage = Usage(fs, folder, rules)
        self._progress, self._clock = progress, clock
        self._began = self._moved = self._last_sign = clock.now()
        # Not on the supervisor's clock, which may stand still while a worker waits for a job: its age must count nevertheless.
        self.initial_state = clock.moment(self._began)
        self._state: State = states.initial_state(self._began, rules)
        self.job_id: str | None = None
        self.ready = False
        self._timeout: float | None = None
        self._result: Result | None = None
        self._error: Error | None = None
        self._peak = 0
        self._oom_kills = oom_kills()
        self._excess: str | None = None
        self._outsiders: set[psutil.Process] = set()
        self._keep_awake: subprocess.Popen[bytes] | None = None
        self._channel = WorkerChannel(
            worker,
            log,
            selector,
            on_event=self._on_event,
            on_hang_up=self._hung_up,
            on_guardian_gone=self._guardian_gone,
            on_served=lambda: wake(self),
        )

    # -- what the supervisor asks ---------------------------------------------------------------------------------------

    def give(self, command: JobCommand, timeout_seconds: float) -> None:
        """Send the job. If the worker is not ready yet, the job waits in the pipe. The time limit counts from `started`."""
        now = self._clock.now()
        self._state = states.given(self._state, now, timeout_seconds, self.rules)
        self.job_id = command.job_id
        self._channel.expect(command.job_id)
        self._began = self._moved = self._last_sign = now
        self._timeout = timeout_seconds
        self._oom_kills = oom_kills()
        self._channel.send(command)
        self._keep_awake = process.keep_awake(self.worker.worker.pid)

    def stop(self, reason: Reason, grace_seconds: float) -> None:
        """Ask the worker to stop, by message and by SIGTERM. After the grace period, the worker and its group are killed."""
        self._enter(states.stop(self._state, self._clock.now(), reason, grace_seconds))

    def kill(self, reason: Reason | None = None) -> None:
        """Kill the worker and its group now."""
        self._enter(states.kill(self._state, self._clock.now(), reason))

    def step(self) -> bool:
        """Do what is due at this time. Returns True only once: when the worker is gone."""
        now = self._clock.now()
        if not isinstance(self._state, Killed | Gone):
            ended = self.worker.ended() is not None or self._channel.violation is not None
            self._enter(states.look(self._state, now, self.rules, ended=ended))
        if isinstance(self._state, Killed):
            gone = self.worker.group_is_gone()
            reaped = not gone and self.worker.is_reaped()  # expensive: it looks at every process of the machine
            self._enter(states.check_after_kill(self._state, now, self.rules, gone=gone, reaped=reaped))
            return self.over
        return False

    def next_look(self) -> float:
        """When `step` must be called at the latest."""
        return states.next_look(self._state, self._clock.now())

    @property
    def over(self) -> bool:
        """Whether the worker is gone."""
        return isinstance(self._state, Gone)

    def alive(self) -> bool:
        """Whether the worker can still be given a job."""
        return isinstance(self._state, Starting | Ready) and self.worker.ended() is None

    def never_got_ready(self) -> bool:
        """Whether the worker is gone and never became ready, although nobody asked it to stop."""
        return self.over and not self.ready and states.killed(self._state).reason in (None, "start")

    def read(self) -> None:
        """Serve all descriptors now. For callers that do not run the loop."""
        self._channel.read()
        self._channel.write()

    def end(self) -> End:
        """What was observed of the worker. Call this when it is `over`."""
        killed = states.killed(self._state)
        return End(
            reason=killed.reason,
            status=self.worker.worker.returncode,
            result=self._result,
            error=self._error,
            violation=killed.flaw or self._channel.violation,
            tail=self.log.tail(),
            seconds=killed.at - self._began,
            silent_seconds=killed.at - self._last_sign,
            still_seconds=killed.at - self._moved,
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
        """How many processes the system has killed for lack of memory since the job was given; None if it does not count them."""
        now = oom_kills()
        return None if now is None or self._oom_kills is None else now - self._oom_kills

    # -- what a transition asks for -------------------------------------------------------------------------------------

    def _enter(self, step: Step) -> None:
        """Enter the next state, then do what it asks for."""
        self._state, do = step
        match do:
            case Do.NOTHING:
                pass
            case Do.ASK_TO_STOP:
                self._look_for_outsiders()
                self._channel.send(CancelCommand())
                self.worker.terminate()
            case Do.KILL:
                self._kill_all()
            case Do.MEASURE:
                self._measure()
            case Do.CLOSE:
                self._finish()
            case _:
                assert_never(do)

    def _kill_all(self) -> None:
        self._look_for_outsiders()
        self.worker.kill()
        for outsider in self._outsiders:
            try:
                outsider.kill()  # psutil compares creation times, so a reused pid raises NoSuchProcess
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                logger.warning("process {}, started by the worker of {}, cannot be ended", outsider.pid, self.job_id)

    def _finish(self) -> None:
        self._channel.read()
        self._channel.close()
        self.worker.close()
        self.log.close()
        if self._keep_awake is not None:
            self._keep_awake.kill()  # it would end with the worker, a moment later
            self._keep_awake.wait()

    # -- limits ---------------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
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
        """The worker and all its descendants. Empty if the worker has ended, because then they can no longer be found.

        Processes that left the group are remembered, because SIGKILL to the group does not reach them.
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

    def _on_event(self, event: Event) -> None:
        now = self._last_sign = states.end_time(self._state, self._clock.now())
        match event:
            case SaidReady():
                self.ready = True
                self._state = states.on_ready(self._state)
            case Started():
                # The loop may have been too busy to read the message at once, so use the worker's own time.
                said = now if event.at is None else self._clock.at(event.at)
                self._began = self._moved = min(max(said, self._began), now)
                self._state = states.on_started(self._state, self._began)
            case ProgressEvent() if self.job_id is not None:
                self._moved = now
                self._progress(self.job_id, event.stage, event.fraction)
            case Heartbeat():
                self._uses(event.rss)
            case Result():
                self._result = event
                self._expect_exit("reported a result and then did not end")
            case Error():
                self._error = event
                self._expect_exit("reported an error and then did not end")

    def _expect_exit(self, flaw: str) -> None:
        self._state = states.on_last_message(self._state, self._clock.now(), flaw, self.rules)

    def _hung_up(self) -> None:
        self._expect_exit("closed its event channel and went on running")

    def _guardian_gone(self) -> None:
        if self.worker.ended() is None:
            self.kill("guardian")
