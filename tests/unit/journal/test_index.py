"""The index of a segment saves time, and changes no answer: whatever is in its place, the records count."""

import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from job_records import accepted, publishing

from daemon.clock import rfc3339
from daemon.contract.records import Claimed, Ended, Removed, Requeued, Started
from daemon.contract.status import ErrorInfo
from daemon.doctor.survey import Survey
from daemon.errors import Refusal
from daemon.fs import LocalFiles, write_atomic
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.journal.index import ENDINGS, JOBS, OUTCOMES, SMALLEST, Index, index_of, read_index
from daemon.journal.line import seal
from daemon.journal.segment_files import index_path, load_segment, segment_path

#: Their records exceed `SMALLEST`.
_JOBS = 60
FAILED = ErrorInfo(code="timeout", message="it “took” too long", hint="wait")


class Reading(LocalFiles):
    """The real disk; records the names that were read."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def read(self, path, limit):
        self.seen.append(os.fsdecode(os.path.basename(path)))
        return super().read(path, limit)


class NoIndexes(LocalFiles):
    """The real disk, on which no index can be written."""

    def create(self, path):
        if path.endswith(b".index"):
            raise OSError(28, "No space left on device")
        return super().create(path)


def journal_of(folder: bytes, fs: LocalFiles, segments: int = 3) -> None:
    """Three segments; the first two are large, and each says something new about jobs of the one before."""
    day, jobs = 1, Jobs(keep=None)

    def record(*records) -> None:
        for entry in journal.append(records):
            jobs.apply(entry)

    clock = lambda: rfc3339(datetime(2026, 1, day, 12, tzinfo=UTC) + timedelta(seconds=len(jobs.ended)))  # noqa: E731
    journal = Journal(fs, folder, clock=clock, version="1", boot_id="b")
    journal.recover()
    journal.begin(1, 1, [])
    for day in range(1, segments + 1):
        if day > 1:
            record(Removed(job=f"{day - 1}-3"), Requeued(job=f"{day - 1}-5", value=jobs.find(f"{day - 1}-5")))
            journal.rotate(list(jobs.live.values()))
        for number in range(_JOBS if day < segments else 3):
            job = f"{day}-{number}"
            record(accepted(job, batch="spring" if number % 7 == 1 else None), Claimed(job=job), Started(job=job, attempt="x"))
            if number % 5 == 0:
                record(Ended(job=job, state="failed", error=FAILED))
            elif number % 9:
                made = publishing(job)
                record(made, Ended(job=job, state="completed", source=made.source, processing_seconds=1.5))
    journal.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> bytes:
    folder = os.fsencode(tmp_path_factory.mktemp("written") / "journal")
    journal_of(folder, LocalFiles())
    return folder


@pytest.fixture
def folder(written, tmp_path) -> bytes:
    """A copy of the journal; every file has the time of change that it had."""
    shutil.copytree(written, copied := os.fsencode(tmp_path / "journal"))
    return copied


def answers(folder: bytes, fs: LocalFiles | None = None, save=None) -> tuple:
    """All that a history is asked for."""
    history = History(fs or LocalFiles(), folder, save)
    past = [(each.job_id, each.state, each.ended_at, each.batch) for each in history.past()]
    assert [(each.job, each.state, each.at, each.batch) for each in history.ended_entries()] == past
    stories = {name: history.records_of(name) for name in ("1-3", "1-4", "1-5", "1-9", "2-1", "nobody")}
    return past, list(history.backwards()), history.batch("spring"), list(history.statistics()), stories


@pytest.fixture(scope="module")
def right(written, tmp_path_factory) -> tuple:
    """The answers without any index."""
    shutil.copytree(written, folder := os.fsencode(tmp_path_factory.mktemp("bare") / "journal"))
    for number in (1, 2):
        os.unlink(index_path(folder, number))
    return answers(folder)


def save(path: bytes, data: bytes) -> bool:
    write_atomic(LocalFiles(), path, data, durable=False)
    return True


def test_a_large_segment_gets_an_index_when_another_continues_it(folder, right) -> None:
    assert sorted(name for name in os.listdir(folder) if name.endswith(b".index")) == [b"00000001.index", b"00000002.index"]
    assert os.path.getsize(segment_path(folder, 1)) >= SMALLEST
    for number in (1, 2):
        index, segment = read_index(LocalFiles(), folder, number), load_segment(LocalFiles(), segment_path(folder, number))
        assert index.is_of(segment.data)
        for part in (JOBS, OUTCOMES, ENDINGS):
            assert index.part(part) == part.of(segment)
    assert len(right[0]) > _JOBS
    assert answers(folder) == right


def test_a_start_indexes_the_segment_of_the_process_before(folder) -> None:
    os.unlink(index_path(folder, 2))
    os.unlink(segment_path(folder, 3))
    journal = Journal(LocalFiles(), folder, clock=lambda: "2026-02-01T12:00:00.000Z", version="1", boot_id="b")
    recovered = journal.recover()
    journal.begin(recovered.segment + 1, recovered.next_seq, [])
    assert read_index(LocalFiles(), folder, 2).is_of_file(LocalFiles().lstat(segment_path(folder, 2)))


def test_a_search_for_a_job_reads_only_the_segments_that_mention_it(folder) -> None:
    fs = Reading()
    assert History(fs, folder).job("2-1").state == "completed"
    assert [name for name in fs.seen if name.endswith(".jsonl")] == ["00000002.jsonl", "00000003.jsonl"]


def test_whoever_needs_no_records_reads_no_segment_that_has_an_index(folder) -> None:
    fs = Reading()
    assert len(list(History(fs, folder).ended_entries())) > _JOBS
    assert [name for name in fs.seen if name.endswith(".jsonl")] == ["00000003.jsonl"]


def test_a_missing_index_is_written_by_whoever_may(folder, right) -> None:
    for number in (1, 2):
        os.unlink(index_path(folder, number))
    assert History(LocalFiles(), folder).job("1-4")
    assert not os.path.exists(index_path(folder, 1))
    assert History(LocalFiles(), folder, save).job("1-4")
    assert read_index(LocalFiles(), folder, 1).mentions("1-4")
    os.unlink(index_path(folder, 2))
    assert answers(folder, save=save) == right
    assert read_index(LocalFiles(), folder, 2).mentions("2-4")


def test_after_a_failure_to_write_one_no_other_is_made(folder, right) -> None:
    for number in (1, 2):
        os.unlink(index_path(folder, number))
    tried = []
    assert answers(folder, save=lambda path, _data: bool(tried.append(path))) == right
    assert tried == [index_path(folder, 2)]


@pytest.mark.parametrize("search", [lambda history: list(history.ended_entries()), lambda history: history.records_of("nobody")])
def test_a_segment_that_lost_its_last_record_gets_no_index(folder, search) -> None:
    os.unlink(index_path(folder, 1))
    with open(segment_path(folder, 1), "rb+") as file:
        file.truncate(file.read().rindex(b"\n", 0, -1) + 1)
    search(History(LocalFiles(), folder, save, on_damage=lambda damage: None))
    assert read_index(LocalFiles(), folder, 1) is None


def test_a_journal_whose_indexes_cannot_be_written_goes_on(tmp_path, right) -> None:
    folder = os.fsencode(tmp_path / "journal")
    journal_of(folder, NoIndexes())
    assert not [name for name in os.listdir(folder) if b"index" in name]
    assert answers(folder) == right


@pytest.mark.parametrize("byte", [b"\n", b"1", b"\x00"])
def test_a_damaged_index_changes_no_answer(folder, right, byte) -> None:
    whole = index_bytes(folder, 1)
    for place in (*range(0, 200, 13), *range(200, len(whole), 701)):
        put(folder, whole[:place] + byte + whole[place + 1 :])
        assert answers(folder) == right, place


def test_an_index_that_is_cut_off_changes_no_answer(folder, right) -> None:
    whole = index_bytes(folder, 1)
    for length in (*(place for place, byte in enumerate(whole) if byte == ord("\n")), 20, len(whole) // 2, len(whole) - 1):
        put(folder, whole[:length])
        assert answers(folder) == right, length


def put(folder: bytes, data: bytes) -> None:
    with open(index_path(folder, 1), "wb") as file:
        file.write(data)


def index_bytes(folder: bytes, number: int) -> bytes:
    with open(index_path(folder, number), "rb") as file:
        return file.read()


def forged(line: int, value: bytes, folder: bytes) -> bytes:
    """The first index with another value in one of its lines, and the right CRC."""
    lines = index_bytes(folder, 1).split(b"\n")
    lines[line] = seal(b'{"value":' + value)
    return b"\n".join(lines)


@pytest.mark.parametrize(
    "make",
    [
        lambda _folder: b"",
        lambda _folder: b"\n" * 4,
        lambda _folder: b"[" * 100_000,
        lambda folder: forged(0, b'{"format":5,"size":1,"mtime_ns":1,"checksum":1}', folder),
        lambda folder: forged(0, b"[" * 50_000 + b"]" * 50_000, folder),
        lambda folder: forged(2, b'[[["1-4","flying","soon",null,"",null]],[],[]]', folder),
        lambda folder: forged(2, b"NaN", folder),
        lambda folder: forged(3, b'[["1-4","2026-01-01","completed",null,NaN,-1,null,""]]', folder),
        lambda folder: forged(3, b'[["1-4","2026-01-01T12:00:00Z","completed",null,1e999,1.0,null,""]]', folder),
        lambda folder: index_bytes(folder, 2),
    ],
)
def test_an_index_that_makes_no_sense_changes_no_answer(folder, right, make) -> None:
    put(folder, make(folder))
    assert answers(folder) == right


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_something_else_in_the_place_of_an_index_changes_no_answer(folder, right, make) -> None:
    os.unlink(index_path(folder, 1))
    make(index_path(folder, 1))
    assert answers(folder) == right


def test_a_huge_file_in_the_place_of_an_index_changes_no_answer(folder, right) -> None:
    os.truncate(index_path(folder, 1), 1 << 40)
    assert answers(folder) == right


def test_a_segment_that_was_changed_is_read_itself(folder) -> None:
    path = segment_path(folder, 1)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff")
    history = History(LocalFiles(), folder)
    for look in (history.past, history.ended_entries, history.statistics, lambda: history.batch("spring")):
        with pytest.raises(Refusal, match=r"00000001\.jsonl, line"):
            list(look())


def test_a_segment_in_the_place_of_another_is_read_itself(folder) -> None:
    """Even with the time of change of the one that was indexed."""
    changed = os.stat(segment_path(folder, 1)).st_mtime_ns
    os.replace(segment_path(folder, 2), segment_path(folder, 1))
    os.utime(segment_path(folder, 1), ns=(changed, changed))
    found = answers(folder)
    os.unlink(index_path(folder, 1))
    assert answers(folder) == found
    assert found[0][-1][0].startswith("2-")


def test_a_forged_index_shows_no_job_that_has_no_records(folder) -> None:
    put(folder, forged(2, b'[[["made-up","completed","2026-01-01T12:00:00.000Z",null,"",null]],[],[]]', folder))
    with pytest.raises(Refusal, match=r"index of .*00000001\.jsonl is wrong: it lists made-up"):
        list(History(LocalFiles(), folder).backwards())


def test_the_doctor_tells_an_index_that_does_not_fit(folder) -> None:
    def stale() -> list[bool]:
        survey = Survey(LocalFiles(), folder)
        survey.look()
        return [segment.stale_index for segment in survey.segments]

    assert stale() == [False, False, False]
    shutil.copy(index_path(folder, 1), index_path(folder, 2))
    assert stale() == [False, True, False]
    os.unlink(index_path(folder, 2))
    assert stale() == [False, False, False]


def test_an_index_is_found_by_ids_as_they_are_written(folder) -> None:
    segment = load_segment(LocalFiles(), segment_path(folder, 1))
    index = Index(index_of(segment, 0))
    assert index.mentions("1-4")
    assert not index.mentions("1-")
    assert not index.mentions("timeout")


def test_a_segment_that_is_remembered_is_parsed_once_until_its_file_changes(folder) -> None:
    history = History(LocalFiles(), folder, remember=True)
    before = history.now()
    assert history.now() is before
    assert list(history.past())
    journal = Journal(LocalFiles(), folder, clock=lambda: "2026-03-01T00:00:00.000Z", version="1", boot_id="b")
    recovered = journal.recover()
    journal.begin(recovered.segment + 1, recovered.next_seq, [])
    journal.append([accepted("later")])
    assert "later" in history.now().live
    journal.close()
