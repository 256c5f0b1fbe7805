"""A batch says "11 of 30", also after a restart, and how long the rest takes."""

from dataclasses import replace

from job_records import accepted, entries, publishing

from daemon.contract.batch_records import BatchClosed
from daemon.contract.records import Claimed, Ended, LiveJob, Requeued, Started, Withdrawn
from daemon.contract.status import Progress
from daemon.jobs.batch_counts import BatchCount
from daemon.jobs.fold import Jobs
from daemon.views.batch_progress import batches_under_way


def jobs_after(*records) -> Jobs:
    jobs = Jobs()
    for entry in entries(*records):
        jobs.apply(entry)
    return jobs


def claimed(*names: str, batch: str | None = "holiday") -> list:
    return [record for name in names for record in (accepted(name, batch=batch), Claimed(job=name))]


def completed(name: str, seconds: float = 1.5) -> list:
    done = replace(publishing(name), processing_seconds=seconds)
    return [Started(job=name, attempt="x"), done, Ended(job=name, state="completed")]


def numbers(jobs: Jobs) -> list[tuple[str, int, int, int]]:
    return [(count.name, count.ended, count.total, count.failed) for count in jobs.counts]


def test_a_batch_counts_what_ended_and_what_failed():
    jobs = jobs_after(
        *claimed("a", "b", "c", "d"),
        *claimed("single", batch=None),
        *completed("a"),
        Ended(job="b", state="failed"),
        Withdrawn(job="c"),
    )
    assert numbers(jobs) == [("holiday", 2, 3, 1)]


def test_a_restart_in_the_middle_forgets_nothing():
    before = jobs_after(*claimed("a", "b", "c"), *completed("a"), Ended(job="b", state="failed"))
    snapshot = [LiveJob(job=job.job_id, value=job) for job in before.live.values()]
    after = jobs_after(*snapshot, *before.other_records())
    assert list(after.counts) == list(before.counts)
    assert numbers(after) == [("holiday", 2, 3, 1)]


def test_a_batch_is_counted_until_its_folder_is_gone_and_all_its_jobs_have_ended():
    records = [*claimed("a"), *completed("a")]
    assert numbers(jobs_after(*records)) == [("holiday", 1, 1, 0)]
    assert numbers(jobs_after(*records, BatchClosed(job="a", folder="holiday"))) == []
    open_job = jobs_after(*claimed("a", "b"), *completed("a"), BatchClosed(job="b", folder="holiday"))
    assert numbers(open_job) == [("holiday", 1, 2, 0)]


def test_a_retried_job_counts_as_open_again():
    jobs = jobs_after(*claimed("a", "b"), Ended(job="a", state="failed"))
    again = replace(jobs.ended["a"], state="pending", ended=None)
    for entry in entries(Requeued(job="a", value=again), first=50):
        jobs.apply(entry)
    assert numbers(jobs) == [("holiday", 0, 2, 0)]


def test_the_remaining_time_counts_the_turns_of_others_and_the_pictures_in_the_inbox():
    jobs = jobs_after(
        *claimed("a", "b", "c", "d"),
        *claimed("x", "y", "z", batch=None),
        *completed("a", seconds=10.0),
        Started(job="b", attempt="x"),
    )
    progress = {"b": Progress(stage="fill", fraction=0.5, eta_seconds=4.0)}
    (one,) = batches_under_way(jobs, progress, {"holiday": 5}.get, 1)
    place = jobs.queue.last_position("holiday")
    assert (one.name, one.ended, one.total, one.failed, place) == ("holiday", 1, 9, 0, 4)
    assert one.eta_seconds == 4.0 + 10.0 * (4 + 5)
    (faster,) = batches_under_way(jobs, progress, {"holiday": 5}.get, 2)
    assert faster.eta_seconds == 4.0 + 10.0 * (4 + 5) / 2
    assert BatchCount("b", "b", "j").seconds_left(3, 1) is None
