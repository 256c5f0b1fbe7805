"""The states of a worker's life: each transition and each deadline, without processes."""

from dataclasses import replace

import pytest

from daemon.supervisor import states
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.states import NEVER, Do, Gone, Killed, Ready, Running, Starting, Stopping, Task
from daemon.supervisor.working_clock import READ_SECONDS

RULES = SupervisorRules(grace_seconds=10.0, start_seconds=120.0, kill_seconds=30.0, sample_seconds=1.0)
TASK = Task(timeout=600.0, measure_at=1001.0)

#: One of each kind, in which nothing is due at 1000 s.
WARMING = Starting(by=1100.0)
STARTING = Starting(by=1100.0, task=TASK)
RESTING = Ready()
READY = Ready(by=1100.0, task=TASK)
RUNNING = Running(by=1500.0, task=TASK)
ALIVE = [WARMING, STARTING, RESTING, READY, RUNNING]
ASKED = Stopping(RUNNING, since=999.0, reason="timeout", kill_at=1009.0)
LEAVING = Stopping(RUNNING, since=999.0, leave_by=1009.0, flaw="stayed")
KILLED = Killed(at=999.0, reason="memory")
GONE = Gone(KILLED)
EVERY = [*ALIVE, ASKED, LEAVING, KILLED, GONE]


def look(state: states.Alive | Stopping, now: float = 1000.0, *, ended: bool = False) -> states.Step:
    return states.look(state, now, RULES, ended=ended)


# -- starting -------------------------------------------------------------------------------------------------------------


def test_a_worker_is_born_starting_and_has_its_time_for_that() -> None:
    assert states.initial_state(1000.0, RULES) == Starting(by=1120.0)


@pytest.mark.parametrize(("before", "after"), [(WARMING, Starting), (RESTING, Ready)])
def test_a_job_gives_the_time_for_loading_anew_and_is_measured_from_then_on(before: states.Alive, after: type) -> None:
    assert states.given(before, 1050.0, 9.0, RULES) == after(by=1170.0, task=Task(timeout=9.0, measure_at=1051.0))


@pytest.mark.parametrize("state", [STARTING, READY, RUNNING, ASKED, LEAVING, KILLED, GONE])
def test_a_worker_that_has_a_job_or_ends_can_be_given_none(state: states.State) -> None:
    with pytest.raises(AssertionError, match="no job can be given"):
        states.given(state, 1000.0, 9.0, RULES)


@pytest.mark.parametrize("state", [WARMING, STARTING, READY])
def test_what_does_not_load_in_time_is_killed_for_that(state: states.Alive) -> None:
    assert look(replace(state, task=None), 1099.9) == (replace(state, task=None), Do.NOTHING)
    assert look(state, 1100.0) == (Killed(1100.0, "start"), Do.KILL)


def test_a_worker_that_has_loaded_without_a_job_may_rest_for_ever() -> None:
    assert states.on_ready(WARMING) == Ready(by=NEVER)
    assert look(RESTING, 1e9) == (RESTING, Do.NOTHING)


def test_a_worker_that_loads_with_its_job_waiting_has_no_more_time_for_being_ready() -> None:
    assert states.on_ready(STARTING) == READY


# -- running --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [STARTING, READY])
def test_the_time_of_a_job_counts_from_its_start(state: states.State) -> None:
    assert states.on_started(state, 1005.0) == Running(by=1605.0, task=TASK)


@pytest.mark.parametrize("state", [WARMING, RESTING])
def test_a_job_that_was_not_given_cannot_start(state: states.State) -> None:
    with pytest.raises(AssertionError, match="not given"):
        states.on_started(state, 1000.0)


def test_a_job_whose_time_is_up_is_asked_to_stop_and_has_the_grace_for_it() -> None:
    state = replace(RUNNING, task=replace(TASK, measure_at=2000.0))
    assert look(state, 1499.9) == (state, Do.NOTHING)
    assert look(state, 1500.0) == (Stopping(state, since=1500.0, reason="timeout", kill_at=1510.0), Do.ASK_TO_STOP)


@pytest.mark.parametrize("state", [STARTING, READY, RUNNING, ASKED, LEAVING])
def test_whoever_has_a_job_is_measured_every_second_until_it_is_killed(state: states.Alive | Stopping) -> None:
    assert look(state, 1000.9) == (state, Do.NOTHING)
    after, do = look(state, 1001.5)
    assert do is Do.MEASURE
    inner = after.before if isinstance(after, Stopping) else after
    assert isinstance(inner, type(state.before if isinstance(state, Stopping) else state))
    assert inner.task == Task(600.0, measure_at=1002.5)
    assert look(after, 1001.5) == (after, Do.NOTHING)


@pytest.mark.parametrize("state", [WARMING, RESTING])
def test_whoever_has_no_job_is_not_measured(state: states.Alive) -> None:
    assert look(state, 1099.0) == (state, Do.NOTHING)


# -- stopping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ALIVE)
def test_a_request_to_stop_is_made_once_and_gives_the_grace(state: states.Alive) -> None:
    asked, do = states.stop(state, 1000.0, "shutdown", 3.0)
    assert (asked, do) == (Stopping(state, since=1000.0, reason="shutdown", kill_at=1003.0), Do.ASK_TO_STOP)
    assert states.stop(asked, 1001.0, "shutdown", 3.0) == (asked, Do.NOTHING)


def test_a_second_request_can_only_shorten_the_grace() -> None:
    assert states.stop(ASKED, 1000.0, "shutdown", 3.0) == (replace(ASKED, kill_at=1003.0), Do.NOTHING)
    assert states.stop(ASKED, 1000.0, "shutdown", 60.0) == (ASKED, Do.NOTHING)


def test_a_request_reaches_one_that_is_leaving() -> None:
    asked = replace(LEAVING, since=1000.0, reason="cancel", kill_at=1000.5)
    assert states.stop(LEAVING, 1000.0, "cancel", 0.5) == (asked, Do.ASK_TO_STOP)


@pytest.mark.parametrize(
    ("first", "later", "counts"),
    [
        (None, "shutdown", "shutdown"),
        ("memory", "shutdown", "memory"),
        ("memory", "cancel", "cancel"),
        (None, "cancel", "cancel"),
    ],
)
def test_a_cancel_replaces_any_reason_and_nothing_else_replaces_one(first, later, counts) -> None:
    assert states.stop(Killed(999.0, first), 1000.0, later, 9.0) == (Killed(999.0, counts), Do.NOTHING)
    asked = replace(ASKED, reason=first)
    assert states.stop(asked, 1000.0, later, 9.0) == (replace(asked, reason=counts), Do.NOTHING)


def test_one_that_does_not_heed_the_request_is_killed_when_the_grace_is_over() -> None:
    assert look(ASKED, 1008.9)[1] is not Do.KILL
    assert look(ASKED, 1009.0) == (Killed(1009.0, "timeout"), Do.KILL)


@pytest.mark.parametrize("state", ALIVE)
def test_the_last_word_gives_the_grace_to_end(state: states.Alive) -> None:
    assert states.on_last_message(state, 1000.0, "stayed", RULES) == Stopping(state, since=1000.0, leave_by=1010.0, flaw="stayed")


def test_only_the_first_last_word_counts_and_it_lengthens_no_other_grace() -> None:
    assert states.on_last_message(LEAVING, 1005.0, "sang", RULES) == LEAVING
    both = states.on_last_message(ASKED, 1005.0, "sang", RULES)
    assert both == replace(ASKED, leave_by=1015.0, flaw="sang")
    assert look(both, 1009.0) == (Killed(1009.0, "timeout"), Do.KILL)


def test_one_that_stays_after_its_last_word_is_killed_and_that_is_told() -> None:
    assert look(LEAVING, 1008.9)[1] is not Do.KILL
    assert look(LEAVING, 1009.0) == (Killed(1009.0, None, flaw="stayed"), Do.KILL)


def test_the_time_of_the_job_runs_on_after_the_last_word() -> None:
    late = replace(LEAVING, before=replace(RUNNING, by=1005.0, task=replace(TASK, measure_at=2000.0)))
    asked = replace(late, since=1005.0, reason="timeout", kill_at=1015.0)
    assert look(late, 1005.0) == (asked, Do.ASK_TO_STOP)
    assert look(asked, 1005.0) == (asked, Do.NOTHING), "it is asked once"


def test_the_time_of_the_job_shortens_no_grace_that_was_given() -> None:
    late = replace(RUNNING, by=1005.0, task=replace(TASK, measure_at=2000.0))
    asked = Stopping(late, since=1000.0, reason="shutdown", kill_at=1060.0)
    assert look(asked, 1005.0) == (asked, Do.NOTHING)


@pytest.mark.parametrize("state", [WARMING, STARTING, READY])
@pytest.mark.parametrize("reason", [None, "shutdown"])
def test_the_time_for_loading_runs_on_while_it_is_stopping(state: states.Alive, reason) -> None:
    stopping = Stopping(state, since=1000.0, reason=reason, kill_at=1200.0, leave_by=1200.0, flaw="stayed")
    assert look(stopping, 1100.0) == (Killed(1100.0, reason or "start"), Do.KILL)


def test_one_that_is_stopping_still_gets_ready_and_starts() -> None:
    assert states.on_ready(replace(ASKED, before=STARTING)) == replace(ASKED, before=READY)
    assert states.on_started(replace(ASKED, before=READY), 900.0) == replace(ASKED, before=Running(1500.0, TASK))


# -- killed, gone ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ALIVE)
def test_whatever_lives_can_be_killed_for_a_reason(state: states.Alive) -> None:
    assert states.kill(state, 1000.0, "memory") == (Killed(1000.0, "memory"), Do.KILL)


def test_an_earlier_reason_stands_when_it_is_killed() -> None:
    assert states.kill(ASKED, 1000.0, "memory") == (Killed(1000.0, "timeout"), Do.KILL)
    assert states.kill(LEAVING, 1000.0, "memory") == (Killed(1000.0, "memory"), Do.KILL)


@pytest.mark.parametrize("state", [*ALIVE, ASKED, LEAVING])
def test_one_that_ended_by_itself_takes_its_group_with_it(state: states.Alive | Stopping) -> None:
    reason = state.reason if isinstance(state, Stopping) else None
    ended = Killed(1000.0, reason)
    assert look(state, ended=True) == (ended, Do.KILL)
    assert look(state, 1e9, ended=True) == (replace(ended, at=1e9), Do.KILL), "no limit that is over as well is its reason"


def rest(now: float, *, gone: bool = False, reaped: bool = False) -> states.Step:
    return states.check_after_kill(KILLED, now, RULES, gone=gone, reaped=reaped)


def test_what_is_killed_is_gone_when_its_group_is() -> None:
    assert rest(999.001) == (KILLED, Do.NOTHING)
    assert rest(999.001, gone=True, reaped=True) == (GONE, Do.CLOSE)


def test_a_zombie_that_nobody_reaps_is_waited_for_a_second() -> None:
    assert rest(999.9, reaped=True) == (KILLED, Do.NOTHING)
    assert rest(1000.0, reaped=True) == (GONE, Do.CLOSE)


def test_a_process_that_hangs_in_the_system_is_given_up_in_the_end() -> None:
    assert rest(1028.9) == (KILLED, Do.NOTHING)
    assert rest(1029.0) == (GONE, Do.CLOSE)


@pytest.mark.parametrize("state", [KILLED, GONE])
def test_the_dead_neither_hear_nor_do_anything(state: states.State) -> None:
    assert states.on_ready(state) == states.on_started(state, 1000.0) == state
    assert states.on_last_message(state, 1000.0, "stayed", RULES) == state
    assert states.kill(state, 1000.0, "output") == (state, Do.NOTHING)
    assert states.stop(GONE, 1000.0, "cancel", 1.0) == (GONE, Do.NOTHING)


@pytest.mark.parametrize("state", [state for state in EVERY if state is not GONE])
def test_only_of_what_is_gone_it_is_told_how_it_was_killed(state: states.State) -> None:
    assert states.killed(GONE) == KILLED
    with pytest.raises(AssertionError, match="not gone"):
        states.killed(state)


@pytest.mark.parametrize("state", EVERY)
def test_what_is_heard_after_the_end_was_said_before_it(state: states.State) -> None:
    assert states.end_time(state, 1000.0) == (999.0 if state in (KILLED, GONE) else 1000.0)


# -- looking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", EVERY)
def test_a_state_with_a_limit_is_looked_at_often_enough_to_notice_a_standstill(state: states.State) -> None:
    """The clock that measures limits assumes a standstill if nobody reads it for longer."""
    expected = NEVER if state in (RESTING, GONE) else 1000.0 + READ_SECONDS
    assert states.next_look(state, 1000.0) <= expected
    assert states.next_look(state, 1000.0) > 1000.0, "the loop would spin"
    assert (states.next_look(state, 1000.0) == NEVER) is (expected == NEVER)


@pytest.mark.parametrize(
    ("state", "now", "due"),
    [
        (WARMING, 1096.0, 1100.0),
        (STARTING, 1000.5, 1001.0),
        (READY, 1000.5, 1001.0),
        (RUNNING, 1000.5, 1001.0),
        (replace(RUNNING, by=1000.7), 1000.5, 1000.7),
        (replace(ASKED, kill_at=1000.6), 1000.5, 1000.6),
        (replace(LEAVING, leave_by=1000.6), 1000.5, 1000.6),
        (replace(LEAVING, before=replace(RUNNING, by=1000.6)), 1000.5, 1000.6),
        (replace(ASKED, before=replace(READY, by=1000.6)), 1000.5, 1000.6),
    ],
)
def test_it_is_looked_at_when_something_is_due(state: states.State, now: float, due: float) -> None:
    assert states.next_look(state, now) == due


@pytest.mark.parametrize("since", [ASKED, LEAVING, KILLED])
def test_what_should_be_ending_is_looked_at_at_once_and_then_ever_less_often(since: states.State) -> None:
    waits = [states.next_look(since, 999.0 + passed) - (999.0 + passed) for passed in (0.0, 0.1, 0.5, 1.0, 5.0)]
    assert waits == pytest.approx([0.001, 0.025, 0.125, 0.25, 0.25])


def test_a_job_whose_time_is_up_and_that_was_asked_does_not_keep_the_loop_spinning() -> None:
    late = replace(ASKED, before=replace(RUNNING, by=900.0))
    assert states.next_look(late, 1000.0) > 1000.0
