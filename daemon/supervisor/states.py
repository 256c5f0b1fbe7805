"""The states of a worker, and the transitions between them, caused by events and by time. Pure.

    starting → ready → running → stopping → killed → gone

States may be skipped, and any state but the last can turn into killed. A state knows what it waits for and until when. A
transition returns the next state, and what must be done now, if anything. Times are seconds of a `WorkingClock`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import assert_never

from daemon.supervisor.outcome import Reason
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.working_clock import READ_SECONDS

NEVER = float("inf")
#: Seconds to wait for the zombies of a killed group: they usually disappear in milliseconds, but one that nobody reaps stays.
LINGER_SECONDS = 1.0
#: Seconds until a process that should be ending is checked again: `_LOOK_SHARE` of the time it has already taken, but at least
#: `_FIRST_LOOK` and at most `_LAST_LOOK`.
_FIRST_LOOK, _LAST_LOOK, _LOOK_SHARE = 0.001, 0.25, 0.25


class Do(Enum):
    """What to do after a transition."""

    NOTHING = auto()
    #: Ask the worker to stop, by message and by SIGTERM.
    ASK_TO_STOP = auto()
    #: Kill the worker and its group with SIGKILL.
    KILL = auto()
    #: Measure memory, files and processes; `kill` if a limit is exceeded.
    MEASURE = auto()
    #: Close everything, because the worker is gone.
    CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Task:
    """The job that was sent: its time limit in seconds, and when the worker is next measured."""

    timeout: float
    measure_at: float


@dataclass(frozen=True, slots=True)
class Starting:
    """The worker loads what it needs, and is killed if it is not done at `by`. If it has a job, the job waits in its pipe."""

    by: float
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded what it needs. If it has a job, it is killed unless it starts the job before `by`.

    Without a job, `by` is `NEVER`.
    """

    by: float = NEVER
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The worker works on its job, and is asked to stop at `by`."""

    by: float
    task: Task


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker is expected to end: it was asked to, or it has sent its last message, or both.

    Attributes:
        before: the state it was in; that state's limit still applies, and its messages are still read.
        since: when it began to stop; the checks become rarer from then on.
        reason: why it was asked to stop; None if it was not.
        kill_at: when it is killed for ignoring the request; never if it was not asked.
        leave_by: when it is killed for not ending after its last message; never if it has not sent one.
        flaw: the fault to report if it is killed at `leave_by`, a clause that completes "the worker …".
    """

    before: Starting | Ready | Running
    since: float
    reason: Reason | None = None
    kill_at: float = NEVER
    leave_by: float = NEVER
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Killed:
    """The worker ended or was killed at `at`. Its group was killed too, and the supervisor waits until nothing of it is left.

    Attributes:
        reason: why the supervisor ended it; None if it ended by itself.
        flaw: as in `Stopping`, if that is why it was killed; otherwise None.
    """

    at: float
    reason: Reason | None = None
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing is left of the worker, or what is left cannot be ended. The attributes are as in `Killed`."""

    killed: Killed


Alive = Starting | Ready | Running
State = Alive | Stopping | Killed | Gone
Step = tuple[State, Do]


def initial_state(now: float, rules: SupervisorRules) -> Starting:
    """The state of a worker that has just been started."""
    return Starting(now + rules.start_seconds)


# -- events ---------------------------------------------------------------------------------------------------------------


def given(state: State, now: float, timeout: float, rules: SupervisorRules) -> Starting | Ready:
    """The state after a job was sent. Its time limit counts from `started`; until then, the limit for loading applies."""
    match state:
        case Starting(task=None) | Ready(task=None):
            return replace(state, by=now + rules.start_seconds, task=Task(timeout, now + rules.sample_seconds))
        case _:
            raise AssertionError(f"no job can be given to a worker that is {state}")


def on_ready(state: State) -> State:
    """The state after the worker has reported that it is ready."""

    def loaded(before: Alive) -> Alive:
        if isinstance(before, Starting):
            return Ready(before.by if before.task else NEVER, before.task)
        return before

    return _while_alive(state, loaded)


def on_started(state: State, at: float) -> State:
    """The state after the worker began its job, at the time `at`."""

    def begun(before: Alive) -> Alive:
        if before.task is None:
            raise AssertionError("a worker cannot start a job that it was not given")
        return Running(at + before.task.timeout, before.task)

    return _while_alive(state, begun)


def on_last_message(state: State, now: float, flaw: str, rules: SupervisorRules) -> State:
    """The state after the worker has sent its last message, so that it should end. `flaw`: the fault to report if it does not."""
    leave_by = now + rules.grace_seconds
    match state:
        case Starting() | Ready() | Running():
            return Stopping(state, since=now, leave_by=leave_by, flaw=flaw)
        case Stopping():
            return state if state.flaw else replace(state, leave_by=leave_by, flaw=flaw)
        case Killed() | Gone():
            return state
        case _:
            assert_never(state)


def stop(state: State, now: float, reason: Reason, grace_seconds: float) -> Step:
    """The transition if the worker must stop within the grace period.

    A cancel replaces an earlier reason, because a person who cancels does not want another attempt. No other reason does.
    """
    kill_at = now + grace_seconds
    match state:
        case Starting() | Ready() | Running():
            return Stopping(state, since=now, reason=reason, kill_at=kill_at), Do.ASK_TO_STOP
        case Stopping(kill_at=asked) if asked < NEVER:
            return replace(state, reason=_stronger_reason(state.reason, reason), kill_at=min(asked, kill_at)), Do.NOTHING
        case Stopping():
            return replace(state, since=now, reason=reason, kill_at=kill_at), Do.ASK_TO_STOP
        case Killed():
            return replace(state, reason=_stronger_reason(state.reason, reason)), Do.NOTHING
        case Gone():
            return state, Do.NOTHING
        case _:
            assert_never(state)


def kill(state: State, now: float, reason: Reason | None = None) -> Step:
    """The transition if the worker and its group must be killed now. A reason that was given earlier is kept."""
    match state:
        case Starting() | Ready() | Running():
            return Killed(now, reason), Do.KILL
        case Stopping():
            return Killed(now, state.reason or reason), Do.KILL
        case Killed() | Gone():
            return state, Do.NOTHING
        case _:
            assert_never(state)


# -- time -----------------------------------------------------------------------------------------------------------------


def look(state: Alive | Stopping, now: float, rules: SupervisorRules, *, ended: bool) -> Step:
    """What is due at `now` for a worker that has not been killed.

    `ended`: the worker has ended by itself or broken the protocol, so nothing more is expected from it.
    """
    if ended:
        return kill(state, now)
    match state:
        case Starting() | Ready():
            return kill(state, now, "start") if now >= state.by else _measure(state, now, rules)
        case Running():
            return stop(state, now, "timeout", rules.grace_seconds) if now >= state.by else _measure(state, now, rules)
        case Stopping():
            return _look_at_stopping(state, now, rules)
        case _:
            assert_never(state)


def check_after_kill(state: Killed, now: float, rules: SupervisorRules, *, gone: bool, reaped: bool) -> Step:
    """What is due at `now` after the worker was killed.

    `gone`: its group is empty. `reaped`: worker and guardian are reaped, and only zombies are left in the group.
    """
    patience = LINGER_SECONDS if reaped else rules.kill_seconds
    return (Gone(state), Do.CLOSE) if gone or now - state.at >= patience else (state, Do.NOTHING)


def next_look(state: State, now: float) -> float:
    """When to check again if nothing happens before: at most `READ_SECONDS` from `now`, or never if no limit runs."""
    match state:
        case Starting() | Ready() | Running():
            due = min(state.by, state.task.measure_at if state.task else NEVER)
            return min(due, now + READ_SECONDS) if due < NEVER else NEVER
        case Stopping():
            # If it was asked to stop, the job's time limit no longer matters.
            by = NEVER if isinstance(state.before, Running) and state.kill_at < NEVER else state.before.by
            return min(_soon(now, state.since), state.kill_at, state.leave_by, by)
        case Killed():
            return _soon(now, state.at)
        case Gone():
            return NEVER
        case _:
            assert_never(state)


# -- what is known --------------------------------------------------------------------------------------------------------


def end_time(state: State, now: float) -> float:
    """When the worker ended; `now` if it has not. Messages that are read afterwards were sent before that time."""
    match state:
        case Starting() | Ready() | Running() | Stopping():
            return now
        case Killed():
            return state.at
        case Gone():
            return state.killed.at
        case _:
            assert_never(state)


def killed(state: State) -> Killed:
    """The `Killed` state of a worker that is gone."""
    match state:
        case Gone():
            return state.killed
        case _:
            raise AssertionError(f"the worker is not gone: {state}")


# -- inside ---------------------------------------------------------------------------------------------------------------


def _while_alive(state: State, change: Callable[[Alive], Alive]) -> State:
    """Apply a change to the worker's state, or to the state before `Stopping`; no change once it is killed."""
    match state:
        case Starting() | Ready() | Running():
            return change(state)
        case Stopping():
            return replace(state, before=change(state.before))
        case Killed() | Gone():
            return state
        case _:
            assert_never(state)


def _look_at_stopping(state: Stopping, now: float, rules: SupervisorRules) -> Step:
    if now >= state.kill_at:
        return kill(state, now)
    if now >= state.leave_by:
        return Killed(now, state.reason, state.flaw), Do.KILL
    if now >= state.before.by:
        if not isinstance(state.before, Running):
            return kill(state, now, "start")
        if state.kill_at == NEVER:
            return stop(state, now, "timeout", rules.grace_seconds)
    before, do = _measure(state.before, now, rules)
    return replace(state, before=before), do


def _measure(state: Alive, now: float, rules: SupervisorRules) -> tuple[Alive, Do]:
    if state.task is None or now < state.task.measure_at:
        return state, Do.NOTHING
    return replace(state, task=replace(state.task, measure_at=now + rules.sample_seconds)), Do.MEASURE


def _stronger_reason(reason: Reason | None, later: Reason) -> Reason:
    return later if reason is None or later == "cancel" else reason


def _soon(now: float, since: float) -> float:
    return now + min(max((now - since) * _LOOK_SHARE, _FIRST_LOOK), _LAST_LOOK)
