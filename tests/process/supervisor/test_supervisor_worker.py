"""The real worker under the real supervisor, with recipes that end in every possible way."""

import os
import signal
import sys

import psutil
import pytest
from supervised import SupervisedWorkers
from workers import recipe

from daemon.supervisor import Cancelled, Completed, Failed
from daemon.supervisor.states import Gone, Killed

RECIPE = recipe.__file__
pytestmark = pytest.mark.usefixtures("both_ways")


def supervised(folder, name, **rules) -> SupervisedWorkers:
    return SupervisedWorkers(folder, (sys.executable, "-P", RECIPE, name), **rules)


def test_a_job_is_done_and_its_movement_shown_sparingly(tmp_path):
    run = supervised(tmp_path, "good")
    run.start()
    outcome = run.end()
    assert isinstance(outcome, Completed)
    assert outcome.result.outputs[0].path == "result/composite.png"
    assert outcome.result.peak_rss > 10_000_000
    assert outcome.peak_bytes >= outcome.result.peak_rss
    stages = [stage for _job, stage, _fraction in run.progress]
    assert list(dict.fromkeys(stages)) == ["decode", "split", "export"]
    assert len(stages) < 50, "a thousand reports came through"
    assert run.progress[-1] == ("job", "export", 1.0)


def test_what_libraries_print_goes_to_the_log_and_nowhere_else(tmp_path):
    run = supervised(tmp_path, "noisy")
    run.start()
    assert isinstance(run.end(), Completed)
    log = run.log.read_text()
    assert "from Python\n" in log
    assert "from C\n" in log
    assert "from a program\n" in log
    assert "stdin: ''\n" in log
    assert "cv2 threads 1\n" in log
    assert "3: Bad file descriptor" in log, "a program that the worker started could write events"


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("job_error", "image_unreadable", "photo.jpg is cut off"),
        ("array_memory", "out_of_memory", "not enough memory"),
        ("bug", "internal", "KeyError: 'layers'"),
    ],
)
def test_every_failure_has_its_code(tmp_path, name, code, words):
    run = supervised(tmp_path, name)
    run.start()
    outcome = run.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.code == code
    assert words in outcome.error.message
    if code == "internal":
        assert 'raise KeyError("layers")' in outcome.error.detail
    # A refusal is expected, and its sentence says it all; anything else needs the place in the code.
    assert ("Traceback" in run.log.read_text()) == (name != "job_error")


@pytest.mark.parametrize(("name", "code"), [("array_memory", "out_of_memory"), ("bug", "internal")])
def test_a_recipe_that_fails_in_the_warm_up_too_fails_its_job_and_no_worker(tmp_path, name, code):
    run = supervised(tmp_path, name)
    run.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    run.loop(lambda: run.supervisor.warm_workers()[0].ready)
    run.start()
    outcome = run.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.code == code
    assert "The warm-up ended early" in run.log.read_text()


def test_code_that_catches_every_exception_still_hears_the_cancel(tmp_path):
    run = supervised(tmp_path, "stubborn", cancel_seconds=300.0)
    run.start()
    run.loop(lambda: run.progress)
    (attempt,) = run.supervisor._jobs.values()
    run.supervisor.cancel("job")
    assert isinstance(run.end(), Cancelled)
    assert attempt.end().status == 50
    assert "swallowed" not in run.log.read_text()


def test_the_cancel_message_alone_is_heard(tmp_path):
    run = supervised(tmp_path, "stubborn", cancel_seconds=300.0)
    run.start()
    run.loop(lambda: run.progress)
    (attempt,) = run.supervisor._jobs.values()
    attempt.worker.terminate = lambda: None
    run.supervisor.cancel("job")
    assert isinstance(run.end(), Cancelled)
    assert attempt.end().status == 50


def test_a_hang_and_a_crash_show_where_they_happened(tmp_path):
    run = supervised(tmp_path, "stuck")
    run.start(timeout=50.0)
    run.loop(lambda: run.progress)
    run.passes(51.0)
    run.loop(lambda: "in stuck" in run.log.read_text())
    # Only until it is killed: its end takes time that no clock can be set forward for.
    (attempt,) = run.supervisor._jobs.values()
    while not isinstance(attempt._state, Killed | Gone):
        run.passes(1.0)
    outcome = run.end()
    assert outcome.error.code == "timeout"
    assert "in stuck" in outcome.error.detail
    crash = supervised(tmp_path, "null_page")
    crash.start()
    outcome = crash.end()
    assert outcome.error.code == "worker_crashed"
    assert "SIGSEGV" in outcome.error.message
    assert "in null_page" in outcome.error.detail


def test_a_sigterm_from_elsewhere_is_no_cancel_of_the_job(tmp_path):
    run = supervised(tmp_path, "stop_itself")
    run.start()
    outcome = run.end()
    assert isinstance(outcome, Failed)
    assert (outcome.error.code, outcome.retryable) == ("worker_crashed", True)
    assert "SIGTERM" in outcome.error.message


def test_a_recipe_that_exits_by_itself_is_no_success(tmp_path):
    run = supervised(tmp_path, "leaves")
    run.start()
    outcome = run.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "worker_crashed"


def test_a_spare_whose_daemon_closes_its_stdin_ends_without_a_word(tmp_path):
    run = supervised(tmp_path, "good")
    run.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    run.loop(lambda: run.supervisor.warm_workers()[0].ready)
    ((_warm, attempt),) = run.supervisor._warm_workers.values()
    os.close(attempt.worker.commands)
    attempt.worker.commands = -1
    run.loop(run.supervisor.idle)
    assert attempt.end().status == 0
    assert attempt.end().tail is None


def test_a_spare_that_is_signalled_before_its_job_ends_as_cancelled(tmp_path):
    run = supervised(tmp_path, "good")
    run.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    run.loop(lambda: run.supervisor.warm_workers()[0].ready)
    ((_warm, attempt),) = run.supervisor._warm_workers.values()
    psutil.Process(attempt.worker.worker.pid).send_signal(signal.SIGTERM)
    run.loop(run.supervisor.idle)
    assert attempt.end().status == 50
