"""What the records of the journal add up to."""

import dataclasses

import pytest
from job_records import ERROR, accepted, entries, publishing

from daemon.contract.records import AttemptEnded, CancelRequested, Claimed, Ended, LiveJob, Removed, Requeued, Started, Withdrawn
from daemon.contract.segment_records import SegmentStart
from daemon.jobs.fold import RECENT, Jobs
from daemon.outbox import status_of


def fold(*records, first: int = 1) -> Jobs:
    jobs = Jobs()
    for entry in entries(*records, first=first):
        jobs.apply(entry)
    return jobs


LIFE = (
    accepted("a"),
    Claimed(job="a"),
    Started(job="a", attempt="t1"),
    AttemptEnded(job="a", error=ERROR, counts=True, retry_at=99.0),
    Started(job="a", attempt="t2"),
    publishing("a", "t2"),
    Ended(job="a", state="completed", processing_seconds=1.5),
)


def test_a_life_is_told_step_by_step():
    states = []
    for length in range(1, len(LIFE) + 1):
        job = fold(*LIFE[:length]).find("a")
        states.append((job.state, job.claimed, job.attempts, job.attempt is not None, job.retry_at))
    assert states == [
        ("pending", False, 0, False, 0.0),
        ("pending", True, 0, False, 0.0),
        ("processing", True, 1, True, 0.0),
        ("pending", True, 1, False, 99.0),
        ("processing", True, 2, True, 99.0),
        ("processing", True, 2, True, 99.0),
        ("completed", True, 2, False, 99.0),
    ]


def test_an_ended_job_is_live_no_more_and_has_what_was_published():
    jobs = fold(*LIFE)
    assert (list(jobs.live), list(jobs.ended)) == ([], ["a"])
    assert jobs.ended["a"].published == publishing("a", "t2")
    assert (jobs.ended["a"].created_at, jobs.ended["a"].completed_at) == ("2026-01-31T12:00:01.000Z", "2026-01-31T12:00:07.000Z")


def test_an_attempt_that_does_not_count_is_none():
    jobs = fold(*LIFE[:3], AttemptEnded(job="a", counts=False))
    assert jobs.live["a"].attempts == 0


def test_the_second_record_of_one_start_is_no_second_attempt():
    assert fold(*LIFE[:3], Started(job="a", attempt="t1")).live["a"].attempts == 1


def test_a_snapshot_says_the_same_as_the_records_before_it():
    for length in range(1, len(LIFE)):
        before = fold(*LIFE[:length])
        snapshot = [LiveJob(job=job.job_id, value=job) for job in before.live.values()]
        start = SegmentStart(version="1", boot_id="b", live=len(snapshot))
        after = fold(start, *snapshot, *LIFE[length:], first=length - len(snapshot))
        whole = fold(*LIFE)
        strip = lambda job: dataclasses.replace(job, completed_at=None, started_at=None)  # noqa: E731
        assert strip(after.ended["a"]) == strip(whole.ended["a"])


def test_what_was_withdrawn_or_removed_is_no_job():
    assert fold(accepted("a"), Withdrawn(job="a")).find("a") is None
    jobs = fold(*LIFE, Removed(job="a"))
    assert jobs.find("a") is None
    assert jobs.removed == {"a"}
    again = fold(*LIFE, Removed(job="a"), accepted("a"))
    assert (again.removed, again.find("a").state) == (set(), "pending")


def test_a_requeued_job_is_live_again():
    failed = fold(*LIFE[:2], Ended(job="a", state="failed", error=ERROR)).ended["a"]
    value = dataclasses.replace(failed, state="pending", ended=None, attempts=0)
    jobs = fold(Requeued(job="a", value=value))
    assert (list(jobs.live), list(jobs.ended)) == (["a"], [])


def test_a_wish_to_cancel_ends_with_the_job():
    jobs = fold(*LIFE[:3], CancelRequested(job="a"))
    assert jobs.live["a"].cancel_requested
    ended = fold(*LIFE[:3], CancelRequested(job="a"), Ended(job="a", state="cancelled")).ended["a"]
    assert not ended.cancel_requested


def test_records_of_jobs_of_older_segments_are_passed_over():
    jobs = fold(Claimed(job="x"), Ended(job="x", state="failed"), CancelRequested(job="x"))
    assert (jobs.live, jobs.ended) == ({}, {})


def test_only_the_last_ended_jobs_are_kept_in_memory():
    records = [
        record for number in range(RECENT + 5) for record in (accepted(f"j{number}"), Ended(job=f"j{number}", state="failed"))
    ]
    assert list(fold(*records).ended) == [f"j{number}" for number in range(5, RECENT + 5)]
    everything = Jobs(keep=None)
    for entry in entries(*records):
        everything.apply(entry)
    assert len(everything.ended) == RECENT + 5


# -- what status.json says of it ------------------------------------------------------------------------------------------


def test_the_status_follows_the_job():
    said = [status_of(fold(*LIFE[:length]).find("a")) for length in range(1, len(LIFE) + 1)]
    assert [status.state for status in said] == [
        "pending", "pending", "processing", "pending", "processing", "processing", "completed",
    ]  # fmt: skip
    told = [status.error and (status.error.code, status.error.message) for status in said]
    assert told == [None] * 3 + [(ERROR.code, ERROR.message)] + [None] * 3, "while it waits, why the last attempt failed"
    assert [status.outputs for status in said[:-1]] == [()] * 6, "nothing is said of files that are not there yet"
    last = said[-1]
    assert (last.error, last.attempts, last.processing_seconds, last.timings) == (None, 2, 1.5, {"decode": 0.5})
    assert (last.source.width, last.source.sha256) == (4, "ab")
    assert last.warnings == ("the sky is low",)
    assert [output.path for output in last.outputs] == ["result/a.png"]


def test_the_status_of_a_failed_job_says_why():
    job = fold(accepted("a"), Ended(job="a", state="failed", error=ERROR, warnings=("w",))).find("a")
    status = status_of(job, position=None)
    assert (status.state, status.error, status.warnings, status.outputs, status.manifest) == ("failed", ERROR, ("w",), (), None)
    assert (status.source.image, status.source.bytes) == ("photo.jpg", 1000)


@pytest.mark.parametrize("position", [None, 3])
def test_the_status_of_a_refused_job_has_no_spec(position):
    status = status_of(fold(accepted("a", refusal=ERROR)).find("a"), position=position)
    assert (status.spec, status.mode, status.queue_position) == (None, None, position)
