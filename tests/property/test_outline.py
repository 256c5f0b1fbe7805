"""The outline of a segment agrees with folding all its records, whatever they are."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from daemon.contract.batch_records import BatchClosed
from daemon.contract.records import (
    Accepted,
    AttemptEnded,
    CancelRequested,
    Claimed,
    ClaimedFile,
    Ended,
    Job,
    LiveJob,
    Noted,
    Removed,
    Requeued,
    Started,
    Withdrawn,
)
from daemon.contract.segment_records import SegmentStart
from daemon.contract.spec import JobSpec
from daemon.jobs.fold import Jobs
from daemon.journal import Entry
from daemon.journal.line import encode
from daemon.journal.outline import Outline
from daemon.journal.segment import Segment

NAMES = ("a", "b", "c", "d", "e")
LIVING = (
    "claimed",
    "started",
    "attempt_ended",
    "cancel_requested",
    "failed",
    "completed",
    "failed",
    "noted",
    "withdrawn",
    "closed",
)


def accepted(name: str, batch: str | None) -> Accepted:
    image = ClaimedFile(role="image", name='of "job":"b".jpg', to="x.jpg", ino=1, size=10, mtime_ns=20)
    return Accepted(job=name, folder=batch or "", files=(image,), spec=JobSpec(), mode="photo-realistic", batch=batch)


def known(name: str, batch: str | None, sequence: int) -> Job:
    record = accepted(name, batch)
    return Job(
        job_id=name,
        accepted=record,
        sequence=sequence,
        created_at="t",
        spec=record.spec,
        mode=record.mode,
        refusal=None,
        claimed=True,
    )


def of_a_living(name: str, what: str):
    match what:
        case "claimed":
            return Claimed(job=name)
        case "started":
            return Started(job=name, attempt="x")
        case "attempt_ended":
            return AttemptEnded(job=name, counts=True)
        case "cancel_requested":
            return CancelRequested(job=name)
        case "noted":
            return Noted(job=name, warning='"event":"ended"')
        case "withdrawn":
            return Withdrawn(job=name)
        case "closed":
            return BatchClosed(job=name, folder="spring")
    return Ended(job=name, state=what)


@st.composite
def histories(draw):
    """Records in a possible order: some jobs in the snapshot, then each begins, continues, ends, and so on."""
    batches = st.sampled_from((None, None, None, "spring"))
    made = [
        LiveJob(job=name, value=known(name, draw(batches), number))
        for number, name in enumerate(draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2)))
    ]
    living, ended = {record.job for record in made}, set()
    for number in range(draw(st.integers(5, 30))):
        name = draw(st.sampled_from(NAMES))
        if name in living:
            made.append(of_a_living(name, draw(st.sampled_from(LIVING))))
            if isinstance(made[-1], Ended | Withdrawn):
                living.discard(name)
                (ended.add if isinstance(made[-1], Ended) else ended.discard)(name)
        elif name in ended and (what := draw(st.integers(0, 3))):
            made.append(
                (
                    Noted(job=name, warning="late"),
                    Removed(job=name),
                    Requeued(job=name, value=known(name, draw(batches), 100 + number)),
                )[what - 1]
            )
            if what > 1:
                ended.discard(name)
            if what == 3:
                living.add(name)
        elif name not in ended:
            made.append(accepted(name, draw(batches)))
            living.add(name)
    return made


def segment_of(several) -> Segment:
    made = [SegmentStart(version="1", boot_id="b", live=sum(isinstance(each, LiveJob) for each in several)), *several]
    lines = [encode(Entry(seq, seq, "2026-01-31T12:00:00.000Z", record)) for seq, record in enumerate(made, start=1)]
    return Segment(b"".join(lines))


def folded(entries, keep: int | None) -> Jobs:
    jobs = Jobs(keep=keep)
    for entry in entries:
        jobs.apply(entry)
    return jobs


@given(histories())
def test_it_finds_the_same_jobs_alive_ended_and_removed(several):
    segment = segment_of(several)
    outline, jobs = Outline(segment), folded(segment.entries(), None)
    assert {name: outline.job(places) for name, places in outline.live.items()} == jobs.live
    assert [(name, outline.job(places)) for name, places in outline.ended.items()] == list(jobs.ended.items())
    assert outline.removed == jobs.removed


@given(histories(), st.integers(1, 3))
def test_what_matters_of_a_segment_tells_a_start_all_it_needs(several, most):
    segment = segment_of(several)
    whole, enough = folded(segment.entries(), most), folded(segment.entries(Outline(segment).needed_records(most)), most)
    assert (enough.live, list(enough.ended.items()), enough.batches) == (whole.live, list(whole.ended.items()), whole.batches)
    assert {job.job_id for job in enough.queue} == {job.job_id for job in whole.queue}
    assert (enough.pending, enough.processing, enough.unclaimed, enough.workerless) == (
        whole.pending,
        whole.processing,
        whole.unclaimed,
        whole.workerless,
    )


def test_of_many_that_ended_only_the_last_are_read():
    several = [record for n in range(50) for record in (accepted(f"job-{n}", None), Ended(job=f"job-{n}", state="failed"))]
    matters = Outline(segment_of(several)).needed_records(10)
    assert [place.job for place in matters if place.event == "ended"] == [f"job-{n}" for n in range(40, 50)]
    of_a_batch = [dataclasses.replace(each, batch="x") if isinstance(each, Accepted) else each for each in several]
    assert len(Outline(segment_of(of_a_batch)).needed_records(10)) == 1 + 2 * 50, "a batch is known by its jobs"
