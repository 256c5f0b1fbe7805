"""Workers that hang, fork, use up memory, crash or break the protocol: each ends, and is reported for what it did.

What becomes of their jobs in a whole daemon is in test_every_ending.
"""

import os
import re
import select
import signal
import time

import psutil
import pytest
from supervised import SHORT_GRACE, SupervisedWorkers, acting, ignores_sigterm, members, wait_until

from daemon.supervisor import Cancelled, Completed, Failed
from daemon.supervisor.states import Killed, Running, Stopping
from tests.waiting import SLOWEST

MIB = 1 << 20


def failed(tmp_path, behaviour, *, timeout=300.0, **rules) -> Failed:
    supervised = SupervisedWorkers(tmp_path, acting(behaviour), **rules)
    supervised.start(timeout=timeout)
    outcome = supervised.end()
    assert isinstance(outcome, Failed), outcome
    return outcome


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("behaviour", ["hang_in_c", "hang_in_regex"])
def test_a_job_that_takes_too_long_is_ended_and_its_silence_told(tmp_path, behaviour):
    supervised = SupervisedWorkers(tmp_path, acting(behaviour), **SHORT_GRACE)
    supervised.start(timeout=200.0)
    (attempt,) = supervised.supervisor._jobs.values()
    supervised.loop(lambda: supervised.progress or (behaviour == "hang_in_regex" and isinstance(attempt._state, Running)))
    supervised.passes(200.0)
    outcome = supervised.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "timeout"
    assert "200 seconds" in outcome.error.message
    assert "no sign of life" in outcome.error.message
    assert outcome.seconds >= 200.0


def test_a_time_in_which_everything_stood_still_is_not_the_jobs(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"), sample_seconds=1.0, **SHORT_GRACE)
    supervised.start(timeout=30.0)
    supervised.loop(lambda: supervised.progress)
    for _ in range(2):
        supervised.jumped += 3600.0
        supervised.supervisor.tick()
        assert supervised.ends == []
    due = supervised.supervisor.next_deadline()
    assert due is not None
    assert due <= time.monotonic() + supervised.jumped + 1.0  # it is looked after as before
    supervised.passes(30.0)
    outcome = supervised.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "timeout"
    assert 30.0 <= outcome.seconds < 3600.0


def test_a_cancel_right_after_a_standstill_is_as_short_as_any(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"), cancel_seconds=5.0)
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    supervised.jumped += 3600.0
    supervised.supervisor.cancel("job")
    supervised.supervisor.tick()
    supervised.jumped += 6.0
    assert isinstance(supervised.end(), Cancelled)


def test_a_last_word_that_is_heard_right_after_a_standstill_gives_no_more_time_than_any(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("result_then_hang"), grace_seconds=5.0)
    supervised.start()
    output = supervised.supervisor._jobs["job"].worker.output
    assert select.select([output], [], [], 30.0 * SLOWEST)[0], "it says so when it has reported"
    supervised.jumped += 3600.0
    supervised.loop(lambda: isinstance(supervised.supervisor._jobs["job"]._state, Stopping))
    supervised.jumped += 6.0
    assert "reported a result and then did not end" in supervised.end().error.message


def test_a_process_that_hangs_in_the_system_is_given_the_same_time_over_a_standstill(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"), cancel_seconds=0.0, kill_seconds=300.0)
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    (attempt,) = supervised.supervisor._jobs.values()
    end, attempt.worker.kill = attempt.worker.kill, lambda: None
    supervised.supervisor.cancel("job")
    supervised.supervisor.tick()
    supervised.jumped += 3600.0
    supervised.supervisor.tick()
    assert supervised.ends == []
    end()
    assert isinstance(supervised.end(), Cancelled)


def test_a_warm_worker_that_never_gets_ready_is_ended_also_if_nobody_else_wakes_the_loop(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("never_ready"), start_seconds=60.0)
    supervised.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    ((_warm, attempt),) = supervised.supervisor._warm_workers.values()
    while not isinstance(attempt._state, Killed):
        supervised.jumped = supervised.supervisor.next_deadline() - time.monotonic()
        assert supervised.jumped < 90.0
        supervised.supervisor.tick()
    supervised.loop(supervised.supervisor.idle)


def test_an_idle_wait_is_slept_through_and_not_spun(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"), grace_seconds=1.0)
    supervised.start(timeout=0.5)
    rounds = 0

    def count():
        nonlocal rounds
        rounds += 1
        return supervised.ends

    supervised.loop(count)
    assert rounds < 120


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("behaviour", ["fork_50", "fork_50_and_hang"])
def test_fifty_grandchildren_that_ignore_sigterm_end_with_the_job(tmp_path, behaviour):
    supervised = SupervisedWorkers(tmp_path, acting(behaviour), max_processes=64)
    pid = supervised.start()
    if behaviour == "fork_50_and_hang":
        supervised.loop(lambda: supervised.progress)
        assert len(members(pid.group)) == 52
        supervised.supervisor.cancel("job")
    supervised.end()
    assert members(pid.group) == []


@pytest.mark.usefixtures("both_ways")
def test_a_grandchild_that_left_the_group_is_ended_with_the_job(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("daemonize"))
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    supervised.supervisor.cancel("job")
    supervised.end()
    outsider = int(re.search(r"outsider (\d+)", supervised.log.read_text())[1])
    wait_until(lambda: not psutil.pid_exists(outsider) or psutil.Process(outsider).status() == psutil.STATUS_ZOMBIE, 5)


@pytest.mark.usefixtures("both_ways")
def test_memory_counts_over_the_whole_tree(tmp_path):
    assert failed(tmp_path, "child_eats_memory", max_memory_bytes=450 * MIB).error.code == "out_of_memory"


@pytest.mark.usefixtures("both_ways")
def test_memory_that_forked_processes_share_counts_once(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("shared_memory_is_counted_once"), max_memory_bytes=400 * MIB)
    supervised.start()
    assert isinstance(supervised.end(), Completed)


@pytest.mark.usefixtures("both_ways")
def test_the_workers_own_report_of_memory_counts(tmp_path):
    assert failed(tmp_path, "own_report_of_memory", max_memory_bytes=500 * MIB).error.code == "out_of_memory"


@pytest.mark.usefixtures("both_ways")
def test_a_result_that_grows_too_large_is_stopped_while_it_is_made(tmp_path):
    outcome = failed(tmp_path, "write_without_end", max_output_bytes=4 * MIB)
    assert (outcome.error.code, outcome.retryable) == ("output_too_large", False)
    assert "4 MB" in outcome.error.message
    written = sum(path.stat().st_size for path in (tmp_path / "attempt").rglob("*") if path.is_file())
    assert 4 * MIB < written < 100 * MIB


@pytest.mark.usefixtures("both_ways")
def test_a_flood_of_empty_files_is_stopped(tmp_path):
    outcome = failed(tmp_path, "flood_of_names", max_output_bytes=4 * MIB, sample_seconds=0.5)
    assert outcome.error.code == "output_too_large"


@pytest.mark.usefixtures("both_ways")
def test_a_cancel_does_not_wait_for_code_that_does_not_listen(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("hang_in_c"))
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    supervised.supervisor.cancel("job")
    assert isinstance(supervised.end(), Cancelled), "the grace that a timeout gives is longer than a test waits"


@pytest.mark.usefixtures("both_ways")
def test_a_worker_that_a_stranger_kills_has_crashed_and_is_tried_again(tmp_path):
    outcome = failed(tmp_path, "killed", memory_bytes=1 << 40)
    assert (outcome.error.code, outcome.retryable) == ("worker_crashed", True)
    assert "Someone or another program" in outcome.error.message


@pytest.mark.usefixtures("both_ways")
def test_the_last_words_count_although_they_are_heard_after_the_end(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("vanish"))
    pid = supervised.start()
    wait_until(lambda: psutil.Process(pid.pid).status() == psutil.STATUS_ZOMBIE, 30)
    wait_until(lambda: supervised.supervisor.tick() or supervised.ends, 30)
    outcome = supervised.end()
    assert outcome.ready
    assert outcome.seconds == 0.0, "it started its job before its end, and nobody knows when"


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(("behaviour", "name"), [("abort", "SIGABRT"), ("terminated", "SIGTERM")])
def test_a_crash_names_its_signal(tmp_path, behaviour, name):
    outcome = failed(tmp_path, behaviour)
    assert outcome.error.code == "worker_crashed"
    assert name in outcome.error.message
    assert outcome.retryable


def test_the_last_output_before_a_crash_is_the_errors_detail(tmp_path):
    assert failed(tmp_path, "segfault").error.detail == "about to read the null page"


def test_the_detail_cannot_command_a_terminal(tmp_path):
    assert failed(tmp_path, "vanish_with_3").error.detail == "red bell right to left"


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("vanish", "ended without a result"),
        ("vanish_with_3", "exit status 3"),
        ("garbage", "cannot be read"),
        ("huge_line", "more than 1048576 bytes"),
        ("unknown_event", "cannot be read"),
        ("wrong_job", "started job another"),
        ("start_again_and_again", "started its job twice"),
        ("two_results", 'after "result"'),
        ("result_then_7", "reported a result and then ended with exit status 7"),
        ("result_then_hang", "reported a result and then did not end"),
        ("close_events", "closed its event channel"),
        ("error_with_the_wrong_status", "reported image_unreadable and then ended with exit status 1"),
        ("error_of_no_known_code", "reported mood and then ended with exit status 1"),
    ],
)
def test_a_broken_word_is_a_crash_that_says_which(tmp_path, behaviour, sentence):
    outcome = failed(tmp_path, behaviour, **SHORT_GRACE if behaviour in ("result_then_hang", "close_events") else {})
    assert outcome.error.code == "worker_crashed"
    assert sentence in outcome.error.message
    assert outcome.error.message.endswith(".")


def test_an_error_that_the_exit_belies_is_kept_in_the_detail(tmp_path):
    assert "photo.jpg is cut off" in failed(tmp_path, "error_with_the_wrong_status").error.detail


def test_a_worker_that_does_not_get_ready_is_ended_for_that_and_not_for_its_jobs_time(tmp_path):
    outcome = failed(tmp_path, "never_ready", timeout=0.2, start_seconds=0.4)
    assert outcome.error.code == "worker_crashed"
    assert "did not load everything it needs in time" in outcome.error.message


@pytest.mark.usefixtures("both_ways")
def test_a_signal_to_the_whole_group_is_borne(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("kill_the_group"))
    supervised.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    wait_until(lambda: ignores_sigterm(supervised.supervisor._warm_workers[os.fsencode(tmp_path / "attempt")][1].worker.group), 5)
    supervised.start()
    assert isinstance(supervised.end(), Completed)


@pytest.mark.usefixtures("both_ways")
def test_a_worker_does_not_run_without_its_guardian(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("fork_50_and_hang"), max_processes=64)
    pid = supervised.start()
    supervised.loop(lambda: supervised.progress)
    psutil.Process(pid.group).send_signal(signal.SIGKILL)
    outcome = supervised.end()
    assert isinstance(outcome, Failed)
    assert (outcome.error.code, outcome.retryable) == ("worker_crashed", True)
    assert "guardian" in outcome.error.message
