"""What the log says about jobs and batches is one plain sentence each, which repeats nothing."""

import pytest

from daemon.contract.records import Claimed, Ended, Started
from daemon.errors import Cancelled, ImageType
from daemon.jobs import told
from daemon.jobs.fold import Jobs
from tests.unit.job_records import accepted, entries, publishing


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (Ended(job="one", state="completed", processing_seconds=12.34), "one is completed after 12.3 s"),
        (Ended(job="one", state="completed"), "one is completed"),
        (Ended(job="one", state="cancelled", error=Cancelled(told.BY_REQUEST).info()), "one was cancelled"),
        (
            Ended(job="one", state="cancelled", error=Cancelled("its folder was removed").info()),
            "one was cancelled: its folder was removed",
        ),
        (Ended(job="one", state="failed", error=ImageType("a.jpg is text.").info()), "one failed (image_type): a.jpg is text."),
    ],
)
def test_an_end_is_told_once(ended: Ended, said: str) -> None:
    jobs = Jobs()
    between = [publishing("one")] if ended.state == "completed" else []
    for entry in entries(accepted("one"), Claimed(job="one"), Started(job="one", attempt="x"), *between, ended):
        jobs.apply(entry)
    job = jobs.find("one")
    assert job is not None
    assert told.end_of(job) == said


def test_a_start_tells_only_what_is_not_a_matter_of_course() -> None:
    assert told.start_of("one", 1, None) == "one started"
    assert told.start_of("one", 2, "studio") == "one started on studio (attempt 2)"


def test_a_request_is_told_as_what_became_of_it() -> None:
    assert told.request_answer("retry", "one", True, "one will run again") == "one will run again"
    assert told.request_answer("cancel", "one", False, "one: no") == "a request to cancel one was refused: no"
    assert told.request_answer("rm", "one", False, "one runs") == "a request to remove one was refused: one runs"


def test_a_batch_is_done_when_all_its_jobs_have_ended() -> None:
    assert (
        told.end_of_batch("b", {"completed": 1200, "failed": 1, "cancelled": 0})
        == "the batch b is done: 1,200 completed, 1 failed"
    )
    assert told.end_of_batch("b", {}) == "the batch b is done"
