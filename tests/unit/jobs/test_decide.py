"""What follows from an event: another attempt, the end, or nothing."""

import pytest
from job_records import ERROR, accepted, entries

from daemon.contract.commands import unmarked
from daemon.contract.records import AttemptEnded, CancelRequested, Claimed, Ended, Process, Started
from daemon.errors import BY_CODE, ImageType, ImageUnreadable, SourceChanged, Timeout
from daemon.jobs import decide
from daemon.jobs.fold import Jobs


def job(*records, **spec):
    jobs = Jobs()
    for entry in entries(accepted("a", **spec), Claimed(job="a"), *records):
        jobs.apply(entry)
    return jobs.find("a")


def running(attempt: int = 1, *more):
    records = []
    for number in range(1, attempt):
        records += [Started(job="a", attempt=f"t{number}"), AttemptEnded(job="a", error=ERROR, counts=True)]
    return job(*records, Started(job="a", attempt=f"t{attempt}"), *more)


@pytest.mark.parametrize(("attempt", "pause"), [(1, 10.0), (2, 60.0)])
def test_a_crash_a_timeout_and_a_full_disk_are_tried_again_after_a_growing_pause(attempt, pause):
    for code in ("worker_crashed", "timeout", "disk_full"):
        error = BY_CODE[code]("it went wrong").info()
        record = decide.after_failure(running(attempt), error, now=1000.0, seconds=2.0)
        assert record == AttemptEnded(job="a", error=error, counts=True, retry_at=1000.0 + pause)


def test_the_third_failure_is_the_end():
    record = decide.after_failure(running(3), Timeout("too long").info(), now=1000.0, seconds=2.0)
    assert (record.event, record.state, record.error.code, record.processing_seconds) == ("ended", "failed", "timeout", 2.0)


def test_what_another_attempt_would_not_mend_ends_the_job_at_once():
    for code, error in BY_CODE.items():
        record = decide.after_failure(running(1), error("no").info(), now=0.0, seconds=None)
        assert (record.event == "ended") == (code not in ("worker_crashed", "worker_lost", "timeout", "disk_full")), code


def test_a_failure_of_a_cancelled_job_is_its_cancellation():
    record = decide.after_failure(running(1, CancelRequested(job="a")), Timeout("too long").info(), now=0.0, seconds=1.0)
    assert (record.state, record.error.code) == ("cancelled", "cancelled")


def test_a_reboot_is_no_attempt():
    record = decide.after_restart(running(3), same_boot=False, now=5.0)
    assert (record.event, record.counts) == ("attempt_ended", False)


def test_a_job_that_takes_the_daemon_down_with_it_comes_to_an_end():
    records = [decide.after_restart(running(attempt), same_boot=True, now=5.0) for attempt in (1, 2, 3)]
    assert [(record.event, record.retry_at) for record in records[:2]] == [("attempt_ended", 0.0)] * 2
    assert (records[2].event, records[2].state, records[2].error.code) == ("ended", "failed", "worker_crashed")


def test_a_job_that_was_to_be_cancelled_is_so_after_a_restart():
    for same_boot in (True, False):
        record = decide.after_restart(running(1, CancelRequested(job="a")), same_boot=same_boot, now=5.0)
        assert record.state == "cancelled"


def test_a_job_that_was_not_running_needs_no_word_after_a_restart():
    assert decide.after_restart(job(), same_boot=True, now=0.0) is None


def test_a_stop_of_the_service_is_no_attempt_but_a_cancel_stays_one():
    assert decide.interrupted(running(2)) == AttemptEnded(job="a", counts=False)
    assert decide.interrupted(running(2, CancelRequested(job="a"))).state == "cancelled"


def test_a_picture_that_changed_under_the_reader_settles_with_growing_pauses():
    error = SourceChanged("it changed").info()
    pauses = [decide.still_settling(running(), error, changed_at=0.0, now=100.0, tries=tries) for tries in range(6)]
    assert [record and (record.retry_at - 100.0, record.counts) for record in pauses] == [
        (2.0, False), (4.0, False), (8.0, False), (16.0, False), (32.0, False), None,
    ]  # fmt: skip


@pytest.mark.parametrize(("age", "settles"), [(0.0, True), (59.0, True), (61.0, False), (-59.0, True), (-3600.0, False)])
def test_a_cut_off_picture_settles_only_if_it_was_written_to_a_moment_ago(age, settles):
    """A clock that is slightly ahead is accepted; one that is an hour ahead is not, as the file would never become old."""
    record = decide.still_settling(running(), ImageUnreadable("cut off").info(), changed_at=1000.0 - age, now=1000.0, tries=0)
    assert (record is not None) == settles


def test_other_errors_and_cancelled_jobs_do_not_settle():
    assert decide.still_settling(running(), ImageType("no").info(), changed_at=0.0, now=0.0, tries=0) is None
    cancelled = running(1, CancelRequested(job="a"))
    assert decide.still_settling(cancelled, SourceChanged("it changed").info(), changed_at=0.0, now=0.0, tries=0) is None


def test_requests_are_answered_by_what_the_job_is_doing():
    done, failed = job(Ended(job="a", state="completed")), job(Ended(job="a", state="failed", error=ERROR))
    assert decide.cancel(running()).records == (CancelRequested(job="a"),)
    assert decide.cancel(running(1, CancelRequested(job="a"))) == decide.Answer(True, "a is already being cancelled")
    assert not decide.cancel(done).accepted
    assert [decide.may_retry(one).accepted for one in (running(), done, failed)] == [False, False, True]
    assert "`multiplane redo a`" in unmarked(decide.may_retry(done).sentence)
    assert [decide.may_redo(one).accepted for one in (running(), done, failed)] == [False, True, True]
    assert [decide.may_remove(one).accepted for one in (running(), done, failed)] == [False, True, True]


def test_the_process_of_an_attempt_is_remembered():
    process = Process(pid=9, created=1.0, boot_id="b", group=8, guardian_created=0.5)
    started = running(1, Started(job="a", attempt="t1", process=process))
    assert (started.attempt.process, started.attempts) == (process, 1)
