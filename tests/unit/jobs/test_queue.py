"""Which job is next: priority, then fair turns between batches and single drops, then arrival."""

from hypothesis import given
from hypothesis import strategies as st
from job_records import ERROR, accepted, entries

from daemon.contract.records import AttemptEnded, Claimed, Ended, Started
from daemon.jobs.fold import Jobs


def waiting(*accepts, turns=()) -> Jobs:
    """Jobs in the queue, in this order of arrival; then each batch (None: single drops) in `turns` has had a turn."""
    records = [record for one in accepts for record in (one, Claimed(job=one.job))]
    for number, batch in enumerate(turns):
        name = f"turn{number}"
        records += [
            accepted(name, batch=batch),
            Claimed(job=name),
            Started(job=name, attempt="x"),
            Ended(job=name, state="failed"),
        ]
    jobs = Jobs()
    for entry in entries(*records):
        jobs.apply(entry)
    return jobs


def order(jobs: Jobs) -> list[str]:
    return [job.job_id for job in jobs.queue]


def test_first_come_first_served():
    assert order(waiting(accepted("a"), accepted("b"), accepted("c"))) == ["a", "b", "c"]


def test_a_higher_priority_goes_first():
    assert order(waiting(accepted("a", priority=-1), accepted("b"), accepted("c", priority=5))) == ["c", "b", "a"]


def test_batches_and_single_drops_take_turns():
    jobs = waiting(
        *(accepted(f"h{n}", batch="holiday") for n in range(4)), accepted("s0"), accepted("s1"), accepted("w0", batch="wed")
    )
    assert order(jobs) == ["h0", "s0", "w0", "h1", "s1", "h2", "h3"]


def test_the_line_whose_last_turn_is_longest_ago_is_first():
    drops = [accepted("h0", batch="holiday"), accepted("s0"), accepted("w0", batch="wed")]
    assert order(waiting(*drops, turns=["holiday", None])) == ["w0", "h0", "s0"]


def test_a_thousand_holiday_pictures_delay_a_single_drop_by_one():
    jobs = waiting(*(accepted(f"h{n}", batch="holiday") for n in range(1000)), accepted("single"), turns=["holiday"])
    assert order(jobs)[0] == "single"


def test_only_jobs_that_wait_for_a_worker_are_in_the_queue():
    jobs = Jobs()
    records = [
        accepted("unclaimed"),
        accepted("running"), Claimed(job="running"), Started(job="running", attempt="x"),
        accepted("ended"), Claimed(job="ended"), Ended(job="ended", state="failed"),
        accepted("again"), Claimed(job="again"), Started(job="again", attempt="y"),
        AttemptEnded(job="again", error=ERROR, counts=True, retry_at=5.0),
    ]  # fmt: skip
    for entry in entries(*records):
        jobs.apply(entry)
    assert order(jobs) == ["again"]
    assert jobs.pending == 2


def test_a_job_that_is_tried_again_keeps_its_place():
    jobs = waiting(accepted("a"), accepted("b"), accepted("c"))
    for entry in entries(Started(job="a", attempt="x"), AttemptEnded(job="a", error=ERROR, counts=True), first=50):
        jobs.apply(entry)
    assert order(jobs) == ["a", "b", "c"]


ACCEPTS = st.lists(st.tuples(st.integers(-1, 1), st.sampled_from([None, "x", "y"]), st.booleans()), max_size=25)


@given(ACCEPTS)
def test_the_order_and_the_positions_are_those_of_the_rule(drops):
    """Compared with a naive implementation: sort by priority, then take one job from each line in turn."""
    accepts = [accepted(f"j{n}", batch=batch, priority=priority) for n, (priority, batch, _) in enumerate(drops)]
    jobs = waiting(*accepts)
    for n, (_, _, goes) in enumerate(drops):
        if goes:
            for entry in entries(Started(job=f"j{n}", attempt="x"), first=1000 + n):
                jobs.apply(entry)
    left = [job for job in jobs.live.values() if job.state == "pending"]
    expected = []
    for priority in sorted({job.priority for job in left}, reverse=True):
        same = [job for job in left if job.priority == priority]
        lines: dict = {}
        for job in same:
            lines.setdefault(job.accepted.batch, []).append(job.job_id)
        by_turn = sorted(lines, key=lambda batch: jobs.turns.get(batch, 0))
        while any(lines.values()):
            expected += [lines[batch].pop(0) for batch in by_turn if lines[batch]]
    assert order(jobs) == expected
    assert [jobs.queue.position(jobs.live[name]) for name in expected] == list(range(1, len(expected) + 1))
