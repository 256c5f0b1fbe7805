"""Jobs that run as they should: start, progress, result, environment, log, cancel, warm worker, shutdown."""

import dataclasses
import gc
import json
import os
import re
import signal
import sys
import time

import psutil
import pytest
from supervised import SupervisedWorkers, acting, members, wait_until
from workers.driver import command

from daemon.contract.spec import JobSpec
from daemon.platform import process
from daemon.supervisor import Cancelled, Completed, Failed, Stopped
from daemon.supervisor.states import Stopping


@pytest.mark.usefixtures("both_ways")
def test_a_job_is_done_and_says_what_it_made(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    before = time.monotonic()
    supervised.start()
    outcome = supervised.end()
    assert isinstance(outcome, Completed)
    assert outcome.result.outputs[0].path == "result/composite.png"
    assert outcome.result.warnings == ("the sky is low",)
    assert outcome.peak_bytes >= 2_000_000
    assert 0 < outcome.seconds < time.monotonic() - before
    assert supervised.progress == [("job", "decode", 0.25), ("job", "export", 1.0)]
    assert supervised.log.read_text() == "working\n"
    assert supervised.supervisor.idle()


@pytest.mark.usefixtures("both_ways")
def test_a_worker_and_its_guardian_are_known_by_their_start(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("polite"), cancel_seconds=300.0)
    pid = supervised.start()
    assert process.is_same(pid.pid, pid.created)
    assert process.is_same(pid.group, pid.guardian_created)
    assert pid.boot_id == process.boot_id()
    assert os.getpgid(pid.pid) == pid.group != os.getpgrp()
    supervised.supervisor.cancel("job")
    assert isinstance(supervised.end(), Cancelled)


@pytest.mark.usefixtures("both_ways")
def test_a_worker_knows_only_what_it_must(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/tmp/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("LC_TIME", "de_DE.UTF-8")
    leaked = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        supervised = SupervisedWorkers(tmp_path, acting("environment"), threads=3)
        pid = supervised.start()
        assert isinstance(supervised.end(), Completed)
    finally:
        os.close(leaked)
    seen = json.loads(supervised.log.read_text())
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "HTTPS_PROXY"} & set(seen["env"])
    assert seen["env"]["LC_TIME"] == "de_DE.UTF-8"
    assert seen["env"]["HF_HUB_OFFLINE"] == seen["env"]["TRANSFORMERS_OFFLINE"] == "1"
    assert seen["env"]["OMP_NUM_THREADS"] == seen["env"]["VECLIB_MAXIMUM_THREADS"] == "3"
    assert seen["env"]["TMPDIR"] == seen["cwd"] == str(tmp_path / "attempt" / "tmp")
    assert seen["fds"] == [0, 1, 2], "descriptors but the three and the events' pipe were inherited"
    assert seen["group"] == pid.group


def test_a_log_that_cannot_be_written_costs_the_log_and_not_the_job(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    supervised.log.mkdir()
    supervised.start()
    assert isinstance(supervised.end(), Completed)


@pytest.mark.usefixtures("both_ways")
def test_an_endless_output_is_capped_and_never_blocks_the_worker(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("print_100_mb"), log_cap_bytes=100_000)
    supervised.start()
    assert isinstance(supervised.end(), Completed)
    kept = supervised.log.read_bytes()
    assert kept[:100_000] == (b"x" * 99 + b"\n") * 1000
    assert kept[100_000:] == b"\n[job.log ends here: the worker printed more than 100000 bytes; the rest was not kept]\n"


@pytest.mark.usefixtures("both_ways")
def test_a_later_attempt_continues_the_log(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    supervised.log.write_text("first attempt\n")
    supervised.start()
    supervised.end()
    assert re.fullmatch(r"first attempt\n\n\[another attempt, \S+Z\]\nworking\n", supervised.log.read_text())


@pytest.mark.usefixtures("both_ways")
def test_a_command_larger_than_a_pipe_arrives_whole(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    images = tuple(f"{number:0250}" for number in range(2000))
    job = command(str(tmp_path)).model_copy(update={"spec": JobSpec(images=images)})
    supervised.start(job=job)
    assert isinstance(supervised.end(), Completed)


@pytest.mark.usefixtures("both_ways")
def test_a_cancelled_job_ends_by_its_own_doing(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("polite"), cancel_seconds=300.0)
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    (attempt,) = supervised.supervisor._jobs.values()
    assert supervised.supervisor.cancel("job")
    assert isinstance(supervised.end(), Cancelled)
    assert attempt.end().status == 50
    assert not supervised.supervisor.cancel("job")


def test_a_cancel_holds_even_if_the_worker_finishes_meanwhile(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("polite_but_late"))
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    supervised.supervisor.cancel("job")
    assert isinstance(supervised.end(), Cancelled)


def test_a_cancel_after_the_time_limit_asks_for_no_other_attempt(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"))
    supervised.start(timeout=0.2)
    supervised.loop(lambda: isinstance(supervised.supervisor._jobs["job"]._state, Stopping))
    assert supervised.supervisor.cancel("job")
    assert isinstance(supervised.end(), Cancelled)


def test_a_spare_takes_the_job_of_its_folder(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    folder = os.fsencode(tmp_path / "attempt")
    supervised.supervisor.prepare(folder, warm="depth")
    supervised.loop(lambda: supervised.supervisor.warm_workers()[0].ready)
    (spare,) = supervised.supervisor.warm_workers()
    assert (spare.attempt, spare.warm) == (folder, "depth")
    assert supervised.supervisor.next_deadline() is None, "a spare at rest asks for no attention"
    (waiting,) = [child for child in psutil.Process().children() if "actor.py" in " ".join(child.cmdline())]
    assert supervised.start().pid == waiting.pid
    assert supervised.supervisor.warm_workers() == []
    assert isinstance(supervised.end(), Completed)


def test_a_worker_that_does_not_start_its_job_is_ended_in_the_time_for_getting_ready(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("never_started"), start_seconds=200.0)
    folder = os.fsencode(tmp_path / "attempt")
    supervised.supervisor.prepare(folder)
    supervised.loop(lambda: supervised.supervisor.warm_workers()[0].ready)
    supervised.start()
    supervised.passes(200.0)
    outcome = supervised.end()
    assert (outcome.error.code, outcome.retryable) == ("worker_crashed", True)
    assert "did not load everything it needs in time" in outcome.error.message


def test_the_time_of_a_job_begins_when_its_worker_says_not_when_that_is_heard(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("heard_late"))
    supervised.start()
    assert supervised.end().seconds >= 0.3, "since it was handed over: the worker cannot have begun before"


def test_a_spare_that_died_is_replaced_when_its_job_comes(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    supervised.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    supervised.loop(lambda: supervised.supervisor.warm_workers()[0].ready)
    (waiting,) = [child for child in psutil.Process().children() if "actor.py" in " ".join(child.cmdline())]
    waiting.kill()
    wait_until(lambda: waiting.status() == psutil.STATUS_ZOMBIE, 30)
    assert supervised.start().pid != waiting.pid
    supervised.loop(supervised.supervisor.idle)
    assert isinstance(supervised.end(), Completed)


def test_a_spare_that_ends_by_itself_is_forgotten(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("die_as_spare"))
    supervised.supervisor.prepare(os.fsencode(tmp_path / "attempt"))
    supervised.loop(supervised.supervisor.idle)
    assert supervised.supervisor.warm_workers() == []
    assert supervised.ends == []


def test_a_discarded_spare_leaves_nothing(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    folder = os.fsencode(tmp_path / "attempt")
    supervised.supervisor.prepare(folder)
    supervised.supervisor.discard(folder)
    assert supervised.supervisor.warm_workers() == []
    supervised.loop(supervised.supervisor.idle)


@pytest.mark.usefixtures("both_ways")
def test_several_jobs_run_side_by_side(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    for number in range(3):
        job = command(str(tmp_path), f"job-{number}").model_copy(update={"attempt": str(tmp_path / str(number))})
        supervised.start(job=job)
    with pytest.raises(ValueError, match="running already"):
        supervised.start("job-1")
    supervised.loop(supervised.supervisor.idle)
    assert sorted(job for job, _outcome in supervised.ends) == ["job-0", "job-1", "job-2"]
    assert all(isinstance(outcome, Completed) for _job, outcome in supervised.ends)


def test_the_next_job_may_be_started_from_the_end_of_the_last(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    follow = iter(["second"])
    report = supervised.on_end

    def start_next(job, outcome):
        report(job, outcome)
        for name in follow:
            supervised.start(name)

    supervised.on_end = start_next
    supervised.start("first")
    supervised.loop(supervised.supervisor.idle)
    assert [job for job, _outcome in supervised.ends] == ["first", "second"]


def test_a_program_that_is_not_there_leaves_nothing_behind(tmp_path):
    supervised = SupervisedWorkers(tmp_path, ("/does/not/exist",))
    gc.collect()  # what earlier tests left is closed now, not in between
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FileNotFoundError):
        supervised.start()
    assert len(os.listdir("/dev/fd")) == before
    assert supervised.supervisor.idle()


def test_no_descriptor_is_lost_over_many_jobs(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("good"))
    gc.collect()  # what earlier tests left to be closed
    before = sorted(os.listdir("/dev/fd"))
    for _ in range(5):
        supervised.ends.clear()
        supervised.start()
        supervised.end()
    assert sorted(os.listdir("/dev/fd")) == before


@pytest.mark.usefixtures("both_ways")
def test_shutdown_ends_everything_within_its_grace_and_is_no_attempt(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("ignore_sigterm"), shutdown_grace_seconds=0.2)
    supervised.supervisor.prepare(os.fsencode(tmp_path / "spare"))
    pid = supervised.start()
    supervised.loop(lambda: supervised.progress)
    (attempt,) = supervised.supervisor._jobs.values()
    supervised.supervisor.shutdown()
    assert attempt.end().status == -signal.SIGKILL
    assert supervised.supervisor.idle()
    assert members(pid.group) == []
    ((job, outcome),) = supervised.ends
    assert job == "job"
    assert isinstance(outcome, Stopped)


@pytest.mark.usefixtures("both_ways")
def test_a_result_that_arrives_during_the_shutdown_is_kept(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("polite_but_late"))
    supervised.start()
    supervised.loop(lambda: supervised.progress)
    supervised.supervisor.shutdown()
    ((_job, outcome),) = supervised.ends
    assert isinstance(outcome, Completed)


def test_a_reported_error_keeps_its_words_and_its_retryability(tmp_path):
    supervised = SupervisedWorkers(tmp_path, acting("error_image_unreadable"))
    supervised.start()
    outcome = supervised.end()
    assert isinstance(outcome, Failed)
    assert outcome.error.model_dump() == {
        "code": "image_unreadable",
        "message": "photo.jpg is cut off",
        "hint": "try",
        "detail": None,
    }
    assert outcome.warnings == ("it was dark",)
    assert not outcome.retryable
    full = SupervisedWorkers(tmp_path, acting("error_disk_full"))
    full.start()
    assert dataclasses.replace(full.end()).retryable


def test_python_is_run_without_its_working_directory_in_the_path():
    from daemon.supervisor import worker_argv

    assert worker_argv() == (sys.executable, "-P", "-m", "pipeline", "worker")
