"""What commands know about jobs: pages of a long history, of which only the requested page is read."""

import json
import os
import unicodedata
from copy import copy
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from job_records import accepted
from typer.testing import CliRunner

from daemon.cli.app import command_line
from daemon.cli.job_queries import JobQueries
from daemon.contract.records import Claimed, Ended, Job, Removed, Requeued, Started
from daemon.contract.status import ErrorInfo
from daemon.fs import LocalFiles, make_folders
from daemon.jobs.fold import Jobs
from daemon.journal import Journal
from daemon.journal.outline import Outline
from daemon.settings import load

ERROR = ErrorInfo(code="timeout", message="it took too long", hint="be patient")


@pytest.fixture
def queries(tmp_path: Path) -> JobQueries:
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
    return JobQueries(LocalFiles(), settings)


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


def ids(queries: JobQueries, first: int, most: int | None, **only: object) -> list[str]:
    return [status.job_id for status in queries.statuses(first, most, **only)]


def test_what_goes_on_comes_first_then_what_ended_last(queries: JobQueries) -> None:
    everything = ids(queries, 0, 1000)
    assert everything[:3] == ["job-00", "next", "last"]
    assert everything[3:] == [f"job-{number:02}" for number in range(39, 1, -1)]
    assert [(status.state, status.queue_position) for status in queries.statuses(0, 3)] == [
        ("processing", None),
        ("pending", 1),
        ("pending", 2),
    ]


def test_the_count_is_that_of_all_pages_together(queries: JobQueries) -> None:
    assert queries.count() == len(ids(queries, 0, None)) == 41
    for only in ({"state": "failed"}, {"state": "pending"}, {"batches": {"spring"}}, {"state": "failed", "batches": {"spring"}}):
        assert queries.count(**only) == len(ids(queries, 0, None, **only)), only


def test_a_program_that_gets_one_page_is_told_how_many_jobs_there_are(queries: JobQueries, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("daemon.cli.verbs.jobs.PAGE", 20)
    monkeypatch.setenv("MULTIPLANE_CONFIG", "")

    def listed(*words: str) -> tuple[int, list[dict]]:
        done = CliRunner().invoke(command_line("jobs"), ["jobs", "--json", "--home", str(tmp_path), *words])
        assert done.exit_code == 0, done.output
        return len(json.loads(done.stdout)), [note for line in done.stderr.splitlines() if "total" in (note := json.loads(line))]

    shown, (note,) = listed()
    assert (shown, note["shown"], note["total"], note["page"], note["pages"]) == (20, 20, 41, 1, 3)
    assert note["note"] == "Listed: jobs 1 to 20 of 41: --page 2 lists the next ones, --all lists all."
    assert listed("--page", "3")[0] == 1
    assert listed("--page", "3")[1][0]["note"].startswith("Listed: job 41 of 41: this is the last page")
    assert listed("--page", "4")[1][0]["note"].startswith("Listed: none of 41: this is the last page")
    assert listed("--all") == (41, [])
    assert listed("--state", "failed")[1] == []
    told = CliRunner().invoke(command_line("jobs"), ["jobs", "--home", str(tmp_path)])
    assert "These are 20 of 41 jobs. More with --page 2, all with --all." in told.stderr


def test_a_job_that_ends_meanwhile_is_listed_once(queries: JobQueries, monkeypatch: pytest.MonkeyPatch) -> None:
    now, everything = queries.history.now(), ids(queries, 0, None)
    ended = next(iter(queries.history.past())).job()
    # What was read first still says that it runs.
    earlier = copy(now)
    earlier.live = {ended.job_id: replace(ended, state="processing"), **now.live}
    monkeypatch.setattr(queries.history, "now", lambda: earlier)
    assert sorted(ids(queries, 0, None)) == sorted(everything)
    assert queries.count() == len(everything)


@pytest.mark.parametrize("most", [1, 2, 7, 40])
def test_pages_put_together_are_the_whole(queries: JobQueries, most: int) -> None:
    pages = (ids(queries, first, most) for first in range(0, 60, most))
    assert list(chain.from_iterable(pages)) == ids(queries, 0, 1000)


def test_only_those_that_were_asked_for(queries: JobQueries) -> None:
    everything = queries.statuses(0, 1000)
    for state in ("processing", "pending", "completed", "failed", "cancelled"):
        assert ids(queries, 0, 1000, state=state) == [each.job_id for each in everything if each.state == state]
    assert ids(queries, 0, 1000, batches={"spring"}) == [each.job_id for each in everything if each.batch == "spring"]
    assert ids(queries, 0, 9, state="failed", batches={"spring"}) == ["job-30", "job-15"]
    assert ids(queries, 1, 9, state="failed", batches={"spring"}) == ["job-15"]
    assert ids(queries, 0, 9, batches={"autumn"}) == []


def test_a_batch_is_known_only_if_there_was_one(queries: JobQueries) -> None:
    assert queries.batches("spring") == {"spring"}
    assert queries.batches("autumn") == set()


def test_of_a_long_history_only_the_page_is_decoded(queries: JobQueries, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    job = Outline.job
    monkeypatch.setattr(Outline, "job", lambda self, places: decoded.append(places[0].job) or job(self, places))
    assert ids(queries, 30, 2) == decoded == ["job-12", "job-11"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_batch_is_found_however_its_umlaut_is_written(tmp_path: Path, form: str) -> None:
    """A Mac hands over the letter and its dots apart; people type them as one."""
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": os.devnull})
    make_folders(LocalFiles(), settings.paths.journal_bytes)
    journal = Journal(
        LocalFiles(), settings.paths.journal_bytes, clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b"
    )
    journal.begin(1, 1, [])
    batch = replace(accepted("one", batch="20260131T120000-jager"), folder=unicodedata.normalize(form, "Hochzeit Jäger"))
    journal.append([batch, Claimed(job="one"), Started(job="one", attempt="x"), Ended(job="one", state="completed")])
    journal.close()
    found = JobQueries(LocalFiles(), settings)
    for typed in ("NFC", "NFD"):
        assert found.batches(unicodedata.normalize(typed, "Hochzeit Jäger")) == {"20260131T120000-jager"}
