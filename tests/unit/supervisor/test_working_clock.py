"""A clock that stops while the whole daemon is stopped."""

import pytest

from daemon.supervisor.working_clock import READ_SECONDS, STANDSTILL_SECONDS, WorkingClock


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_it_goes_like_the_clock_below_it_while_it_is_read(time: Time) -> None:
    clock = WorkingClock(time)
    for _ in range(100):
        time.now += STANDSTILL_SECONDS
        assert clock.now() == time.now == clock.moment(clock.now()) == clock.at(time.now)


def test_a_time_in_which_nobody_read_it_is_left_out_at_the_first_reading(time: Time) -> None:
    clock = WorkingClock(time)
    time.now += 3.0
    assert clock.now() == 1003.0
    time.now += 3600.0
    assert clock.now() == 1003.0
    time.now += 2.0
    assert clock.now() == 1005.0
    assert clock.moment(1005.0) == time.now
    time.now += 7200.0
    assert clock.now() == 1005.0
    assert clock.moment(1006.0) == time.now + 1.0


def test_it_stands_still_only_if_it_was_not_read_for_longer_than_a_round_of_the_loop_takes(time: Time) -> None:
    clock = WorkingClock(time)
    time.now += STANDSTILL_SECONDS
    assert clock.now() == 1000.0 + STANDSTILL_SECONDS
    time.now += STANDSTILL_SECONDS + 0.001
    assert clock.now() == 1000.0 + STANDSTILL_SECONDS
    assert READ_SECONDS < STANDSTILL_SECONDS


def test_a_moment_is_told_before_within_and_after_a_standstill(time: Time) -> None:
    clock = WorkingClock(time)
    time.now = 1100.0
    clock.now()
    time.now = 1105.0
    clock.now()
    time.now = 1205.0
    clock.now()
    time.now = 1207.0
    assert clock.now() == 1007.0
    assert [clock.at(moment) for moment in (1102.0, 1105.0, 1150.0, 1205.0, 1206.0)] == [1002.0, 1005.0, 1005.0, 1005.0, 1006.0]


def test_a_moment_that_is_still_to_come_counts_as_now(time: Time) -> None:
    assert WorkingClock(time).at(5000.0) == 1000.0
