"""The incrementally maintained queue has the same order as sorting all jobs."""

from dataclasses import replace
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from daemon.contract.records import Accepted, ClaimedFile, Job
from daemon.contract.spec import JobSpec
from daemon.jobs.queue import Queue

FILE = ClaimedFile(role="image", name="a.jpg", to="a.jpg", ino=1, size=1, mtime_ns=1)
BATCHES = [None, "holiday", "party"]


def job(number: int, priority: int, batch: str | None) -> Job:
    spec = JobSpec(priority=priority)
    accepted = Accepted(job=f"job-{number}", files=(FILE,), spec=spec, batch=batch)
    return Job(
        job_id=f"job-{number}",
        accepted=accepted,
        sequence=number,
        created_at="",
        spec=spec,
        mode=None,
        refusal=None,
        claimed=True,
    )


def sorted_all(jobs: list[Job], turns: dict[str | None, int]) -> list[str]:
    """Priority, then one of each line in turn, the line whose turn is longest ago first, then arrival."""
    order = []
    by_priority = sorted(jobs, key=lambda one: (-one.priority, one.sequence))
    for _, same in groupby(by_priority, key=lambda one: one.priority):
        lines: dict[str | None, list[Job]] = {}
        for one in same:
            lines.setdefault(one.accepted.batch, []).append(one)
        place = {batch: i for i, batch in enumerate(sorted(lines, key=lambda batch: turns.get(batch, 0)))}
        ranked = [(rank, place[batch], one) for batch, line in lines.items() for rank, one in enumerate(line)]
        order += [one.job_id for _, _, one in sorted(ranked, key=lambda item: item[:2])]
    return order


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(-1, 1), st.sampled_from(BATCHES)), max_size=40),
    st.dictionaries(st.sampled_from(BATCHES), st.integers(1, 9)),
)
def test_the_kept_queue_is_the_sorted_one(steps: list[tuple[int, int, str | None]], turns: dict[str | None, int]) -> None:
    jobs: dict[str, Job] = {}
    queue = Queue(jobs, turns)
    for number, priority, batch in steps:
        job_id = f"job-{number}"
        if job_id in jobs:
            queue.remove(jobs[job_id])
            del jobs[job_id]
        else:
            jobs[job_id] = job(number, priority, batch)
            queue.add(jobs[job_id])
        expected = sorted_all(list(jobs.values()), turns)
        assert [one.job_id for one in queue] == expected
        assert [queue.position(jobs[one]) for one in expected] == list(range(1, len(expected) + 1))


def test_a_job_that_changed_keeps_its_place() -> None:
    jobs = {f"job-{n}": job(n, 0, None) for n in range(3)}
    queue = Queue(jobs, {})
    for one in jobs.values():
        queue.add(one)
    queue.remove(jobs["job-1"])
    jobs["job-1"] = replace(jobs["job-1"], attempts=1)
    queue.add(jobs["job-1"])
    assert [one.job_id for one in queue] == ["job-0", "job-1", "job-2"]
