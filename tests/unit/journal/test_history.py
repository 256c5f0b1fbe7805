"""Reading back over the segments, a little at a time, and removing the oldest."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from job_records import accepted, publishing

from daemon.clock import rfc3339
from daemon.contract.records import Claimed, Ended, Publishing, Removed, Requeued, Started
from daemon.contract.segment_records import SegmentStart
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, History, Journal, prune
from daemon.journal.line import decode, encode


class Reading(LocalFiles):
    """The real disk; records which files were read, not counting those of which only the first line was."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def read(self, path, limit):
        if limit > 4096:
            self.seen.append(os.path.basename(path))
        return super().read(path, limit)


class WrittenJournal:
    """A journal written over many starts, a day apart."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.day = self.away = 0
        self.jobs = Jobs()
        self.start()

    def start(self) -> None:
        self.day += 1
        clock = lambda: rfc3339(datetime(2025, 12, 31, 12, tzinfo=UTC) + timedelta(days=self.day + self.away))  # noqa: E731
        self.journal = Journal(LocalFiles(), self.folder, clock=clock, version="1", boot_id="b")
        recovered = self.journal.recover()
        self.journal.begin(recovered.segment + 1, recovered.next_seq, list(self.jobs.live.values()))

    def record(self, *records) -> None:
        for entry in self.journal.append(records):
            self.jobs.apply(entry)

    def do(self, job: str, state: str = "completed") -> None:
        self.record(accepted(job))
        self.record(Claimed(job=job), Started(job=job, attempt="x"), publishing(job))
        self.record(Ended(job=job, state=state))


@pytest.fixture
def story(tmp_path):
    return WrittenJournal(os.fsencode(tmp_path / "journal"))


@pytest.fixture
def history(story):
    return History(LocalFiles(), story.folder)


def test_the_story_of_a_job_is_told_across_segments(story, history):
    story.record(accepted("a"), accepted("ab"))
    story.start()
    story.record(Claimed(job="a"), Claimed(job="ab"))
    story.record(Ended(job="a", state="failed"))
    events = [entry.record.event for entry in history.records_of("a")]
    assert events == ["accepted", "live", "claimed", "ended"]
    assert history.job("a").state == "failed"
    assert history.job("a").completed_at == "2026-01-02T12:00:00.000Z"
    assert history.job("ab").state == "pending"
    assert history.job("b") is None


def test_jobs_that_ended_are_told_newest_first_and_only_as_far_back_as_asked(story):
    for day in range(5):
        for name in "xyz":
            story.do(f"{name}{day}")
        story.start()
    fs = Reading()
    found = [job.job_id for job in History(fs, story.folder).ended(4)]
    assert found == ["z4", "y4", "x4", "z3"]
    assert fs.seen == [b"00000006.jsonl", b"00000005.jsonl", b"00000004.jsonl"]
    assert len(History(LocalFiles(), story.folder).ended(10**9)) == 15


def test_no_ended_job_of_a_long_segment_is_forgotten(story, history):
    for number in range(450):
        story.record(accepted(f"job-{number}"), Ended(job=f"job-{number}", state="cancelled"))
    assert [job.job_id for job in history.backwards()] == [f"job-{number}" for number in reversed(range(450))]


def test_what_a_newer_segment_says_of_a_job_is_what_holds(story, history):
    for name in ("kept", "again", "removed", "reborn"):
        story.do(name, "failed")
    story.start()
    story.record(Requeued(job="again", value=history.job("again")), Removed(job="removed"), Removed(job="reborn"))
    story.start()
    story.do("reborn")
    told = {job.job_id: job.state for job in history.ended(100)}
    assert told == {"reborn": "completed", "kept": "failed"}
    assert history.job("removed") is None


def test_endings_are_read_from_their_own_lines_alone(story, history):
    story.do("a")
    story.start()
    story.do("b", "failed")
    assert list(history.endings()) == [("b", "2026-01-02T12:00:00.000Z"), ("a", "2026-01-01T12:00:00.000Z")]
    fs = Reading()
    assert next(History(fs, story.folder).endings())[0] == "b"
    assert fs.seen == [b"00000002.jsonl"]


def test_an_id_with_marks_of_a_pattern_is_taken_literally(story, history):
    story.record(accepted("a.b"), accepted("axb"))
    assert [entry.record.job for entry in history.records_of("a.b")] == ["a.b"]


def test_the_live_jobs_are_read_from_the_last_segment_alone(story):
    for _ in range(3):
        story.record(accepted(f"job-{story.day}"))
        story.start()
    fs = Reading()
    assert list(History(fs, story.folder).now().live) == ["job-1", "job-2", "job-3"]
    assert fs.seen == [b"00000004.jsonl"]


def test_looking_back_at_a_damaged_segment_is_refused(story, history):
    story.do("a")
    story.do("b")
    with open(os.path.join(story.folder, b"00000001.jsonl"), "r+b") as file:
        file.seek(200)
        file.write(b"\xff")
    with pytest.raises(Refusal, match=r"00000001\.jsonl, line"):
        list(history.entries())


def harm(story, number: int, *, record: int = -1, cut: bool = False) -> None:
    """Change a byte of a record in a segment, or cut this record and all after it off."""
    path = os.path.join(story.folder, b"%08d.jsonl" % number)
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    lines[record:] = [] if cut else [lines[record].replace(b'"ts":"2', b'"ts":"3', 1), *lines[record:][1:]]
    with open(path, "wb") as file:
        file.write(b"".join(lines))


def three_segments(story) -> None:
    for job in ("a", "b", "c"):
        story.do(job)
        story.start()


@pytest.mark.parametrize("cut", [False, True])
def test_a_closed_segment_whose_end_is_lost_is_damaged(story, history, cut):
    three_segments(story)
    assert [job.job_id for job in history.backwards()] == ["c", "b", "a"]
    harm(story, 2, cut=cut)
    with pytest.raises(Refusal, match=r"00000002\.jsonl, line 6 .*continues after record 12") as refused:
        list(history.backwards())
    assert "doctor" in refused.value.hint
    for ask in (history.entries, history.ended_entries, history.statistics):
        with pytest.raises(Refusal, match=r"00000002\.jsonl"):
            list(ask())


def test_a_torn_tail_that_a_start_set_aside_is_no_damage(story, history):
    story.do("a")
    with open(os.path.join(story.folder, b"00000001.jsonl"), "ab") as file:
        file.write(b'{"seq":8,')
    story.start()
    assert [job.job_id for job in history.backwards()] == ["a"]


def test_a_segment_that_is_marked_as_incomplete_is_read_as_far_as_it_goes(story, history):
    three_segments(story)
    harm(story, 2)
    open(os.path.join(story.folder, b"lost-00000002.jsonl"), "w").close()
    assert [job.job_id for job in history.backwards()] == ["c", "a"]


@pytest.mark.parametrize("record", [2, -1])
def test_whoever_only_looks_gets_what_the_intact_segments_say_and_is_told_of_the_damaged_one(story, record):
    three_segments(story)
    harm(story, 2, record=record)
    told = []
    history = History(LocalFiles(), story.folder, on_damage=told.append)
    assert [job.job_id for job in history.backwards()] == ["c", "a"]
    assert [ended.job for ended in history.ended_entries()] == ["c", "a"]
    assert [ending.job for _, endings in history.statistics() for ending in endings] == ["c", "a"]
    assert history.job("a").state == "completed"
    assert len(told) == 3
    history.records_of("b")
    assert len(told) == 4
    assert all("00000002.jsonl, line" in refusal.message for refusal in told)


def test_the_damage_of_the_newest_segment_is_never_left_out(story):
    three_segments(story)
    story.do("d")
    harm(story, 4, record=2)
    with pytest.raises(Refusal, match=r"00000004\.jsonl"):
        list(History(LocalFiles(), story.folder, on_damage=pytest.fail).backwards())


# -- forgetting -----------------------------------------------------------------------------------------------------------


def segments(folder: bytes) -> list[str]:
    return sorted(os.fsdecode(name) for name in os.listdir(folder))


def test_segments_that_are_older_than_asked_are_removed_and_no_other(story, history):
    story.record(accepted("live"))
    for day in range(1, 6):
        story.do(f"job-{day}")
        story.start()
    assert prune(LocalFiles(), story.folder, timedelta(days=2, hours=1)) == 2
    assert segments(story.folder) == [f"{number:08}.jsonl" for number in (3, 4, 5, 6)]
    assert [job.job_id for job in history.ended(9)] == ["job-5", "job-4", "job-3"]
    assert list(history.now().live) == ["live"]
    assert history.job("live").state == "pending"


YEAR = timedelta(days=365)


@pytest.mark.parametrize("wrong", [730, 10_000, -730, -10_000])
def test_starts_with_the_clock_set_wrong_forget_nothing_that_is_not_old(story, history, wrong):
    """An empty battery: some starts have the clock years ahead, then it is right again, or it stays wrong."""
    for day in range(1, 4):
        story.do(f"job-{day}")
        story.start()
    for away in (wrong, wrong, 0, wrong, wrong + 3):
        story.away = away
        story.do(f"at-{story.day}")
        story.start()
        assert prune(LocalFiles(), story.folder, YEAR) == 0
    assert len(history.ended(99)) == 8


def test_a_machine_whose_clock_stays_wrong_still_forgets_in_time(story, history):
    story.do("old")
    story.away = 3650
    for _ in range(400):
        story.start()
    assert prune(LocalFiles(), story.folder, YEAR) == 400 - 365 - 1
    assert not history.ended(9)


def test_segments_of_older_versions_are_as_old_as_the_last_of_them_says(story):
    """They do not record the counted time; a wrong clock at this version's first start must not make them look old."""
    for _ in range(3):
        story.start()
    for name in segments(story.folder)[:-1]:
        forget_what_is_new(os.path.join(os.fsdecode(story.folder), name))
    story.away = 3650
    for _ in range(2):
        story.start()
        assert prune(LocalFiles(), story.folder, timedelta(days=30)) == 0


def forget_what_is_new(path: str) -> None:
    """Rewrite a segment as older versions did, without order and counted time."""
    with open(path, "rb") as file:
        first, rest = file.read().split(b"\n", 1)
    entry = decode(first)
    start = SegmentStart(version="1", boot_id="b", live=entry.record.live)
    with open(path, "wb") as file:
        file.write(encode(Entry(entry.seq, entry.group, entry.ts, start)) + rest)


def test_the_last_segment_stays_however_old_it_is(story):
    story.do("a")
    assert prune(LocalFiles(), story.folder, timedelta(0)) == 0
    story.start()
    story.start()
    assert prune(LocalFiles(), story.folder, timedelta(0)) == 1
    assert segments(story.folder) == ["00000002.jsonl", "00000003.jsonl"]


def test_nothing_is_forgotten_behind_a_segment_that_cannot_be_read(story):
    for _ in range(3):
        story.start()
    with open(os.path.join(story.folder, b"00000002.jsonl"), "r+b") as file:
        file.write(b"?")
    assert prune(LocalFiles(), story.folder, timedelta(0)) == 0


def test_the_index_and_the_torn_tails_of_an_old_segment_go_with_it(story):
    story.start()
    story.start()
    for name in (b"torn-00000001-77", b"torn-00000003-5", b"00000002.index", b"00000003.index", b"notes.txt"):
        with open(os.path.join(story.folder, name), "wb"):
            pass
    story.start()
    assert prune(LocalFiles(), story.folder, timedelta(0)) == 2
    assert segments(story.folder) == ["00000003.index", "00000003.jsonl", "00000004.jsonl", "notes.txt", "torn-00000003-5"]


def test_a_job_keeps_what_was_published(story, history):
    story.do("a")
    assert isinstance(history.job("a").published, Publishing)
