"""What commands know about jobs: pages of a long history, of which only the requested page is read."""

import os
from itertools import chain
from pathlib import Path

import pytest
from job_records import accepted

from daemon.cli.job_queries import Looking
from daemon.contract.records import Claimed, Ended, Job, Removed, Requeued, Started
from daemon.contract.status import ErrorInfo
from daemon.fs import LocalFiles, make_folders
from daemon.jobs.fold import Jobs
from daemon.journal import Journal, history
from daemon.settings import load

ERROR = ErrorInfo(code="timeout", message="it took too long", hint="be patient")


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    """Forty jobs over several segments, every third failed, every fifth of a batch; then one that runs and two that wait."""
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": os.devnull})
    folder = settings.paths.journal_bytes
    make_folders(LocalFiles(), folder)
    journal = Journal(LocalFiles(), folder, clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b")
    journal.begin(1, 1, [])
    jobs = Jobs(keep=None)

    def record(*records: object) -> None:
        for entry in journal.append(records):
            jobs.apply(entry)

    for number in range(40):
        name = f"job-{number:02}"
        record(accepted(name, batch="spring" if number % 5 == 0 else None), Claimed(job=name))
        failed = number % 3 == 0
        record(Ended(job=name, state="failed" if failed else "completed", error=ERROR if failed else None))
        if number % 8 == 7:
            journal.rotate(list(jobs.live.values()))
    record(Removed(job="job-01"), Requeued(job="job-00", value=again(jobs.ended["job-00"])))
    record(*(accepted(name) for name in ("next", "last")), *(Claimed(job=name) for name in ("next", "last")))
    record(Started(job="job-00", attempt="x"))
    journal.close()
    return Looking(LocalFiles(), settings)


def again(job: Job) -> Job:
    return Job(
        job_id=job.job_id,
        accepted=job.accepted,
        sequence=job.sequence,
        created_at=job.created_at,
        spec=job.spec,
        mode=job.mode,
        refusal=None,
        claimed=True,
    )


def ids(looking: Looking, first: int, most: int, **only: object) -> list[str]:
    return [status.job_id for status in looking.statuses(first, most, **only)]


def test_what_goes_on_comes_first_then_what_ended_last(looking: Looking) -> None:
    everything = ids(looking, 0, 1000)
    assert everything[:3] == ["job-00", "next", "last"]
    assert everything[3:] == [f"job-{number:02}" for number in range(39, 1, -1)]
    assert [(status.state, status.queue_position) for status in looking.statuses(0, 3)] == [
        ("processing", None),
        ("pending", 1),
        ("pending", 2),
    ]


@pytest.mark.parametrize("most", [1, 2, 7, 40])
def test_pages_put_together_are_the_whole(looking: Looking, most: int) -> None:
    pages = (ids(looking, first, most) for first in range(0, 60, most))
    assert list(chain.from_iterable(pages)) == ids(looking, 0, 1000)


def test_only_those_that_were_asked_for(looking: Looking) -> None:
    everything = looking.statuses(0, 1000)
    for state in ("processing", "pending", "completed", "failed", "cancelled"):
        assert ids(looking, 0, 1000, state=state) == [each.job_id for each in everything if each.state == state]
    assert ids(looking, 0, 1000, batches={"spring"}) == [each.job_id for each in everything if each.batch == "spring"]
    assert ids(looking, 0, 9, state="failed", batches={"spring"}) == ["job-30", "job-15"]
    assert ids(looking, 1, 9, state="failed", batches={"spring"}) == ["job-15"]
    assert ids(looking, 0, 9, batches={"autumn"}) == []


def test_a_batch_is_known_only_if_there_was_one(looking: Looking) -> None:
    assert looking.batches("spring") == {"spring"}
    assert looking.batches("autumn") == set()


def test_of_a_long_history_only_the_page_is_decoded(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    job = history.Outline.job
    monkeypatch.setattr(history.Outline, "job", lambda self, places: decoded.append(places[0].job) or job(self, places))
    assert ids(looking, 30, 2) == decoded == ["job-12", "job-11"]
