"""Throughput, times and failures, from the journal."""

import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from job_records import ERROR, accepted, publishing
from rich.console import Console

from daemon.cli.display.render import bar, duration
from daemon.cli.verbs.stats import screen
from daemon.contract.records import Claimed, Ended, Removed, Requeued, Started
from daemon.contract.status import ErrorInfo
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.stats import Stats, percentile, stats

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Reading(LocalFiles):
    """The real disk; records what was read."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def read(self, path, limit):
        if limit > 4096:  # whole files, not their first lines
            self.seen.append(os.path.basename(path))
        return super().read(path, limit)


class WrittenJournal:
    """A journal written at times of the test's choosing."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.at = NOW - timedelta(days=20)
        self.jobs = Jobs()
        self.start()

    def start(self) -> None:
        clock = lambda: self.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")  # noqa: E731
        self.journal = Journal(LocalFiles(), self.folder, clock=clock, version="1", boot_id="b")
        recovered = self.journal.recover()
        self.journal.begin(recovered.segment + 1, recovered.next_seq, list(self.jobs.live.values()))

    def record(self, *records) -> None:
        for entry in self.journal.append(records):
            self.jobs.apply(entry)

    def begin(self, job: str, **spec) -> None:
        self.record(accepted(job, **spec), Claimed(job=job), Started(job=job, attempt="x"))

    def complete(self, job: str) -> None:
        made = publishing(job)
        self.record(made, Ended(job=job, state="completed", source=made.source, processing_seconds=made.processing_seconds))

    def fail(self, job: str, code: str = "timeout", message: str = "it took too long") -> None:
        self.record(Ended(job=job, state="failed", error=ErrorInfo(code=code, message=message, hint="wait")))


@pytest.fixture
def story(tmp_path) -> WrittenJournal:
    return WrittenJournal(os.fsencode(tmp_path / "journal"))


def found(story: WrittenJournal, *, days: int = 3, zone=UTC, fs=None) -> Stats:
    return stats(History(fs or LocalFiles(), story.folder), now=NOW, days=days, zone=zone)


def test_jobs_count_for_the_day_they_ended_on(story) -> None:
    story.at = NOW - timedelta(days=2)
    for name in ("a", "b", "c"):
        story.begin(name)
    story.complete("a")
    story.fail("b")
    story.at = NOW - timedelta(hours=1)
    story.complete("c")
    story.record(accepted("d"), Claimed(job="d"), Ended(job="d", state="cancelled", error=ERROR))
    told = found(story)
    assert [(day.date.day, day.completed, day.failed, day.cancelled) for day in told.days] == [
        (29, 1, 1, 0),
        (30, 0, 0, 0),
        (31, 1, 0, 1),
    ]
    assert told.days[0].megapixels == pytest.approx(8e-6, abs=1e-3)


def test_what_ended_before_the_period_counts_for_nothing_and_is_not_read(story) -> None:
    story.begin("old")
    story.complete("old")
    for _ in range(3):
        story.start()
    story.at = NOW - timedelta(days=5)
    story.start()
    story.begin("older")
    story.fail("older")
    story.at = NOW
    story.start()
    story.begin("new")
    story.complete("new")
    fs = Reading()
    told = found(story, fs=fs)
    assert sum(day.completed for day in told.days) == 1
    assert told.failures == ()
    assert fs.seen == [b"00000006.jsonl", b"00000005.jsonl"]
    assert told.known_since is None


def test_a_job_begun_in_an_older_segment_keeps_its_mode(story) -> None:
    story.at = NOW - timedelta(days=10)
    story.begin("p", mode="painterly", style="oil")
    story.at = NOW
    story.start()
    story.complete("p")
    (times,) = found(story).modes
    assert (times.mode, times.jobs, times.median) == ("painterly", 1, 1.5)


def test_removed_jobs_were_done_all_the_same_and_each_run_counts(story) -> None:
    story.at = NOW
    story.begin("a")
    story.fail("a", "disk_full", "no room")
    story.record(Requeued(job="a", value=_requeued(story.jobs.find("a"))))
    story.record(Started(job="a", attempt="y"))
    story.complete("a")
    story.record(Removed(job="a"))
    today = found(story).days[-1]
    assert (today.completed, today.failed) == (1, 1)


def _requeued(job):
    return replace(job, state="pending", ended=None, completed_at=None)


def test_failures_are_told_by_code_the_most_frequent_first_with_the_last_example(story) -> None:
    story.at = NOW - timedelta(hours=3)
    for number, (code, message) in enumerate((("timeout", "slow"), ("image_type", "a"), ("image_type", "b"))):
        story.at += timedelta(minutes=1)
        story.begin(f"j{number}")
        story.fail(f"j{number}", code, message)
    told = found(story).failures
    assert [(each.code, each.jobs, each.example) for each in told] == [("image_type", 2, "b"), ("timeout", 1, "slow")]
    assert told[0].last_job == "j2"


def test_days_begin_at_midnight_where_the_question_is_asked(story) -> None:
    story.at = datetime(2026, 1, 30, 20, 0, tzinfo=UTC)
    story.begin("a")
    story.complete("a")
    assert [day.completed for day in found(story).days] == [0, 1, 0]
    assert [day.completed for day in found(story, zone=timezone(timedelta(hours=9))).days] == [0, 0, 1]


def test_the_end_of_the_record_is_told_when_it_lies_within_the_period(story) -> None:
    assert found(story, days=30).known_since == "2026-01-11T12:00:00Z"
    assert found(story, days=3).known_since is None


def test_an_empty_journal_has_empty_days(tmp_path) -> None:
    told = stats(History(LocalFiles(), os.fsencode(tmp_path / "none")), now=NOW, days=2, zone=UTC)
    assert [day.completed for day in told.days] == [0, 0]
    assert (told.modes, told.failures, told.known_since) == ((), (), None)


def test_percentiles_are_values_that_occurred() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 100.0]
    assert percentile(values, 50) == 5.0
    assert percentile(values, 90) == 9.0
    assert percentile([3.0], 90) == 3.0


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (1 / 32, "▏"), (7 / 32, "▉"), (2.0, "████"), (-1, "")]
)
def test_a_bar_is_exact_to_an_eighth_of_a_column(share, drawn) -> None:
    assert bar(share, 4) == drawn
    assert bar(share, 4, ground=True) == drawn.ljust(4, "·")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_lengths_of_time_are_said_in_two_units_at_most(seconds, said) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("days", [14, 100])
def test_the_screen_fits_its_width_and_shows_every_number(story, width, days) -> None:
    story.at = NOW - timedelta(days=1)
    for number in range(12):
        story.begin(f"j{number}")
        if number % 3:
            story.complete(f"j{number}")
        else:
            story.fail(f"j{number}", "image_unreadable", "[red]x\x1b[2J[/] is cut off after 3 of 4 rows" * 3)
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    for part in screen(found(story, days=days), width, NOW):
        console.print(part)
    text = console.export_text()
    assert "8 completed, 4 failed" in text
    assert "image_unreadable" in text
    assert "photo-realistic" in text
    assert "\x1b[2J" not in text
    assert "[red]x" in text
    assert max(map(len, text.splitlines())) <= width
    assert any("█" in line and "…" not in line and " 8 " in line for line in text.splitlines())
