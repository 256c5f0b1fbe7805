"""The states of a worker's life, and how time and events lead from one to the next. Pure.

    starting → ready → running → stopping → killed → gone

A state may be skipped, and each but the last can turn into killed. A state knows what it waits for and until when. Each
transition returns the next state and the one thing to do now. Times are seconds of a `WorkingClock`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import assert_never

from daemon.supervisor.outcome import Reason
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.working_clock import GLANCE_SECONDS

NEVER = float("inf")
#: Seconds. After the group is killed, its members are gone in milliseconds, but a zombie that nobody reaps stays for ever.
LINGER_SECONDS = 1.0
#: Seconds until a process that should be ending is checked again; they grow with the time it has already taken.
_FIRST_LOOK, _LAST_LOOK, _LOOK_SHARE = 0.001, 0.25, 0.25


class Do(Enum):
    """What to do after a transition."""

    NOTHING = auto()
    #: Ask the worker to stop, by message and by SIGTERM.
    ASK = auto()
    #: Kill the worker and its group with SIGKILL.
    KILL = auto()
    #: Measure memory, files and processes; `kill` if a limit is exceeded.
    MEASURE = auto()
    #: Close everything: this is the end.
    BURY = auto()


@dataclass(frozen=True, slots=True)
class Task:
    """The job that was sent: its time limit in seconds, and when the worker is next measured."""

    timeout: float
    measure_at: float


@dataclass(frozen=True, slots=True)
class Starting:
    """The worker loads what it needs, and is killed at `by`. A job that it has been given waits in its pipe."""

    by: float
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded what it needs. Without a job `by` is never; with one, it must have started the job by then."""

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
        flaw: the fault to report in that case, a clause that completes "the worker …".
    """

    before: Starting | Ready | Running
    since: float
    reason: Reason | None = None
    kill_at: float = NEVER
    leave_by: float = NEVER
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Killed:
    """It ended or was killed, at `at`, together with its group; the supervisor waits until nothing of it is left.

    Attributes:
        reason: why the supervisor ended it; None if it ended by itself.
        flaw: as in `Stopping`, if that is why it was killed.
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


def born(now: float, rules: SupervisorRules) -> Starting:
    """The state of a worker that has just been started."""
    return Starting(now + rules.start_seconds)


# -- events ---------------------------------------------------------------------------------------------------------------


def given(state: State, now: float, timeout: float, rules: SupervisorRules) -> Starting | Ready:
    """A job with this time limit was sent. Its time counts from `started`; until then, the time for loading applies."""
    match state:
        case Starting(task=None) | Ready(task=None):
            return replace(state, by=now + rules.start_seconds, task=Task(timeout, now + rules.sample_seconds))
        case _:
            raise AssertionError(f"no job can be given to a worker that is {state}")


def said_ready(state: State) -> State:
    """The worker has loaded what it needs."""

    def loaded(before: Alive) -> Alive:
        if isinstance(before, Starting):
            return Ready(before.by if before.task else NEVER, before.task)
        return before

    return _in_life(state, loaded)


def said_started(state: State, at: float) -> State:
    """The worker began its job at this time."""

    def begun(before: Alive) -> Alive:
        if before.task is None:
            raise AssertionError("a worker cannot start a job that it was not given")
        return Running(at + before.task.timeout, before.task)

    return _in_life(state, begun)


def said_last_word(state: State, now: float, flaw: str, rules: SupervisorRules) -> State:
    """The worker has sent its last message, so it should be ending. `flaw`: the fault to report if it does not end."""
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
    """The worker must stop within the grace period.

    A cancel replaces any earlier reason, because the person who cancels does not want another attempt. Nothing else replaces
    one.
    """
    kill_at = now + grace_seconds
    match state:
        case Starting() | Ready() | Running():
            return Stopping(state, since=now, reason=reason, kill_at=kill_at), Do.ASK
        case Stopping(kill_at=asked) if asked < NEVER:
            return replace(state, reason=_weightier(state.reason, reason), kill_at=min(asked, kill_at)), Do.NOTHING
        case Stopping():
            return replace(state, since=now, reason=reason, kill_at=kill_at), Do.ASK
        case Killed():
            return replace(state, reason=_weightier(state.reason, reason)), Do.NOTHING
        case Gone():
            return state, Do.NOTHING
        case _:
            assert_never(state)


def kill(state: State, now: float, reason: Reason | None = None) -> Step:
    """The worker and its group must end now; an earlier reason stays."""
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
    """What is due while the worker is not killed.

    `ended`: it has ended by itself, or broken the protocol, so nothing more is expected from it.
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


def look_for_rest(state: Killed, now: float, rules: SupervisorRules, *, gone: bool, reaped: bool) -> Step:
    """What is due once the worker is killed.

    `gone`: its group is empty. `reaped`: only zombies are left in the group, and neither worker nor guardian is among them.
    """
    patience = LINGER_SECONDS if reaped else rules.kill_seconds
    return (Gone(state), Do.BURY) if gone or now - state.at >= patience else (state, Do.NOTHING)


def next_look(state: State, now: float) -> float:
    """When to check again if nothing happens before; never if no limit runs. See `GLANCE_SECONDS`."""
    match state:
        case Starting() | Ready() | Running():
            due = min(state.by, state.task.measure_at if state.task else NEVER)
            return min(due, now + GLANCE_SECONDS) if due < NEVER else NEVER
        case Stopping():
            # If it stops because of a timeout, its job's time is already up.
            by = NEVER if isinstance(state.before, Running) and state.kill_at < NEVER else state.before.by
            return min(_soon(now, state.since), state.kill_at, state.leave_by, by)
        case Killed():
            return _soon(now, state.at)
        case Gone():
            return NEVER
        case _:
            assert_never(state)


# -- what is known --------------------------------------------------------------------------------------------------------


def lived_until(state: State, now: float) -> float:
    """When it ended, or the present if it has not. Messages that are read later were sent before then."""
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
    """How a worker that is gone was killed."""
    match state:
        case Gone():
            return state.killed
        case _:
            raise AssertionError(f"the worker is not gone: {state}")


# -- inside ---------------------------------------------------------------------------------------------------------------


def _in_life(state: State, change: Callable[[Alive], Alive]) -> State:
    """A worker that is asked to stop stays in its former state until it ends."""
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


def _weightier(reason: Reason | None, later: Reason) -> Reason:
    return later if reason is None or later == "cancel" else reason


def _soon(now: float, since: float) -> float:
    return now + min(max((now - since) * _LOOK_SHARE, _FIRST_LOOK), _LAST_LOOK)
