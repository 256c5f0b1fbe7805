"""Which notifications there are: one at the end of a batch, one for failures, each shown once."""

from dataclasses import dataclass, field, replace

import pytest
from loguru import logger

from daemon.contract.batch_records import BatchClosed
from daemon.contract.records import AttemptEnded, Claimed, Ended, Removed, Requeued, Started, Withdrawn
from daemon.contract.status import ErrorInfo
from daemon.fs import LocalFiles, make_folders
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.notify.notices import Notice, one_line
from daemon.notify.user_notifications import UserNotifications
from daemon.settings import load
from daemon.settings.model import Notifications
from tests.unit.job_records import accepted, entries, publishing

ALL = Notifications(batches=True, singles=True, failures=True)


@dataclass
class Screen:
    """Replaces the desktop: keeps what it is asked to show."""

    shown: list[Notice] = field(default_factory=list)

    def show(self, title: str, text: str) -> None:
        self.shown.append(Notice(title, text))

    def tidy(self) -> None:
        pass


class RecordFeed:
    """Records as a daemon receives them, on a manual clock."""

    def __init__(self, settings, *before, wanted: Notifications = ALL, history: History | None = None) -> None:
        self.now = 1000.0
        self.screen = Screen()
        self.jobs = Jobs()
        self.count = 0
        for record in before:
            self.apply(record)
        settings = settings.model_copy(update={"notifications": wanted})
        nothing = History(LocalFiles(), settings.paths.journal_bytes)
        self.notifications = UserNotifications(
            settings, self.jobs, None, desktop=self.screen, tags=False, clock=lambda: self.now, history=history or nothing
        )

    def apply(self, record) -> None:
        self.count += 1
        self.jobs.apply(entries(record, first=self.count)[0])

    def record(self, *records) -> None:
        for record in records:
            self.apply(record)
            self.notifications.on_record(record)

    def run(self, job: str, state: str = "completed", message: str = "it is damaged", **more) -> None:
        """One job from acceptance to end."""
        self.record(accepted(job, picture=f"{job}.jpg", **more), Claimed(job=job))
        self.end(job, state, message)

    def end(self, job: str, state: str = "completed", message: str = "it is damaged") -> None:
        error = ErrorInfo(code="image_unreadable", message=message, hint="export it") if state == "failed" else None
        self.record(Started(job=job, attempt="x"))
        self.record(*([publishing(job)] if state == "completed" else []), Ended(job=job, state=state, error=error))

    def after(self, seconds: float) -> list[Notice]:
        """What is shown when the daemon checks after this many seconds."""
        self.now += seconds
        self.screen.shown.clear()
        self.notifications.look()
        return list(self.screen.shown)


@pytest.fixture
def day(quiet_settings):
    return RecordFeed(quiet_settings)


@pytest.fixture
def quiet_settings(tmp_path):
    return load(tmp_path, {"MULTIPLANE_CONFIG": ""})


@pytest.fixture
def logged():
    """What the log says, line by line."""
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    yield said
    logger.remove(sink)


def test_a_batch_is_told_once_when_its_folder_is_gone_and_nothing_of_it_is_left(day, logged) -> None:
    day.record(*(accepted(job, picture=f"{job}.jpg", batch="Holiday") for job in "abc"))
    day.end("a")
    day.end("b", "cancelled")
    assert day.after(500) == []
    day.end("c")
    assert (day.after(1), logged) == ([], [])
    day.record(BatchClosed(job="c", folder="Holiday"))
    assert day.after(0) == [Notice("Multiplane: a batch is done", "Holiday: 2 done, 1 cancelled")]
    assert day.after(500) == []
    assert logged == ["the batch Holiday is done: 2 completed, 1 cancelled\n"]


def test_a_batch_whose_folder_stays_is_over_after_a_minute(day) -> None:
    day.run("a", batch="Holiday")
    assert day.after(59) == []
    assert [notice.text for notice in day.after(1)] == ["Holiday: 1 done"]


def test_what_was_dropped_singly_is_told_together_when_all_of_it_is_done(day) -> None:
    day.record(*(accepted(job, picture=f"{job}.jpg") for job in ("one", "two", "three", "four", "five")))
    for job in ("one", "two", "three", "four"):
        day.end(job)
    assert day.after(100) == []
    day.end("five")
    assert day.after(1.9) == []
    assert day.after(0.1) == [
        Notice("Multiplane: layers", "The layers of 5 pictures are there: one.jpg, two.jpg, three.jpg and 2 more")
    ]


def test_drops_that_never_pause_fill_no_memory_and_are_told_when_they_do(day) -> None:
    for number in range(500):
        day.run(f"p{number}")
        assert day.after(1) == []
    (group,) = day.notifications._notices._groups.values()
    assert len(group.names) == 3
    text = "The layers of 500 pictures are there: p0.jpg, p1.jpg, p2.jpg and 497 more"
    assert [notice.text for notice in day.after(1)] == [text]


def test_a_single_picture_is_named(day) -> None:
    day.run("beach")
    assert [notice.text for notice in day.after(2)] == ["The layers are there: beach.jpg"]


def test_every_failure_is_told_at_once_and_a_flood_of_them_together(day) -> None:
    day.run("bad", "failed")
    assert day.after(0) == [Notice("Multiplane: a picture failed", "bad.jpg: it is damaged")]
    for number in range(100):
        day.run(f"p{number}", "failed")
    assert day.after(4.9) == []
    assert day.after(0.1) == [
        Notice("Multiplane: 100 pictures failed", "p0.jpg, p1.jpg, p2.jpg and 97 more. index.html in the outbox says why.")
    ]
    assert day.after(100) == []


def test_a_sentence_that_names_the_picture_does_not_name_it_twice(day) -> None:
    day.run("bad", "failed", "bad.jpg cannot be read")
    assert day.after(0)[0].text == "bad.jpg cannot be read"


def test_only_failures_of_single_drops_have_no_second_notice_of_their_end(day) -> None:
    day.run("bad", "failed")
    assert len(day.after(0)) == 1
    assert day.after(100) == []


def test_an_attempt_that_is_tried_again_is_no_end(day) -> None:
    day.record(accepted("a"), Claimed(job="a"), Started(job="a", attempt="x"))
    day.record(AttemptEnded(job="a", counts=True, retry_at=5.0))
    assert day.after(1000) == []


def test_files_taken_back_and_jobs_removed_keep_nothing_from_ending(day) -> None:
    day.record(accepted("a"), accepted("b"), accepted("c"))
    day.end("a")
    day.record(Withdrawn(job="b"))
    assert day.after(100) == []
    day.record(Removed(job="c"))
    assert len(day.after(0)) == 1


def test_a_job_that_is_run_again_is_told_again(day) -> None:
    day.run("a", "failed")
    assert len(day.after(0)) == 1
    failed = day.jobs.find("a")
    day.record(Requeued(job="a", value=replace(failed, state="pending", ended=None)))
    day.end("a")
    assert [notice.title for notice in day.after(10)] == ["Multiplane: layers"]


def test_of_a_batch_under_way_at_the_start_no_number_is_made_up(quiet_settings) -> None:
    day = RecordFeed(quiet_settings, *(accepted(job, batch="Holiday") for job in "ab"))
    day.end("a")
    assert day.after(100) == []
    day.end("b")
    assert [notice.text for notice in day.after(60)] == ["Holiday: all of its pictures are through"]


def recorded(settings, *lives: list) -> History:
    """A journal with the records of several starts of a daemon, each beginning with what was left of those before."""
    fs, folder, jobs = LocalFiles(), settings.paths.journal_bytes, Jobs()
    make_folders(fs, folder)
    journal = Journal(fs, folder, clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b")
    following = 1
    for number, life in enumerate(lives, start=1):
        journal.begin(number, following, list(jobs.live.values()))
        for entry in journal.append(life):
            jobs.apply(entry)
            following = entry.seq + 1
    return History(fs, folder)


def ending(job: str, state: str = "completed") -> list:
    return [Started(job=job, attempt="x"), *([publishing(job)] if state == "completed" else []), Ended(job=job, state=state)]


def test_a_batch_that_lived_through_two_restarts_is_told_with_all_its_numbers(quiet_settings) -> None:
    name = "20260131T110000-holiday-01234567"
    began = [accepted(job, batch=name) for job in "abcd"]
    before = [accepted("other", batch="20260131T110000-other-01234567"), *ending("other"), *began, *ending("a")]
    history = recorded(quiet_settings, before, ending("b", "failed"), [*ending("c"), *ending("d", "cancelled")])
    day = RecordFeed(quiet_settings, *began[2:], history=history)
    day.end("c")
    day.end("d", "cancelled")
    assert [notice.text for notice in day.after(60)] == [f"{name}: 2 done, 1 failed, 1 cancelled"]


def test_no_more_of_the_journal_is_read_than_since_the_batch_began(quiet_settings) -> None:
    """What ended before the time in the batch's id is older than the batch; a journal may cover a year."""
    name = "20260131T130000-holiday-01234567"
    history = recorded(quiet_settings, [accepted("a", batch=name), *ending("a")])
    day = RecordFeed(quiet_settings, accepted("b", batch=name), history=history)
    day.end("b")
    assert [notice.text for notice in day.after(60)] == [f"{name}: all of its pictures are through"]


@pytest.mark.parametrize("kind", ["batches", "singles", "failures"])
def test_each_kind_can_be_switched_off(quiet_settings, kind) -> None:
    day = RecordFeed(quiet_settings, wanted=ALL.model_copy(update={kind: False}))
    day.run("a", batch="Holiday")
    day.run("b")
    day.run("c", "failed")
    titles = {"batches": "a batch is done", "singles": "layers", "failures": "a picture failed"}
    expected = {f"Multiplane: {title}" for name, title in titles.items() if name != kind}
    assert {notice.title for notice in day.after(100)} == expected
    assert day.after(100) == []


def test_a_name_from_hell_is_one_short_line() -> None:
    assert one_line("a\n\x1b[2J\u202egnp.jpg\1\ud800") == "a··[2J·gnp.jpg··"
    assert len(one_line("x" * 5000)) == 240
    family = "\N{MAN}\u200d\N{GIRL}"
    assert one_line(f'日本 é "x" {family}') == f'日本 é "x" {family}'
