"""Segments of a real journal are deleted, swapped, duplicated and cut: each case is detected or harmless."""

import itertools
import os
import shutil
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cut_journal import Unsynced, accepted, doctor

from daemon.contract.records import Claimed, Ended
from daemon.contract.segment_records import SegmentStart
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, Journal
from daemon.journal.line import decode, encode

SEGMENTS = 5
#: Live when the journal ended.
LIVE = ["job-1", "job-3", "job-5"]


def start(folder: Path) -> tuple[Journal, Jobs, str | None]:
    """What the daemon does with the journal at a start, and what it reports as missing."""
    journal = Journal(Unsynced(), os.fsencode(folder), clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b")
    recovered = journal.recover()
    jobs = Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()))
    return journal, jobs, recovered.gap


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A journal of five starts; each adds a job, and every second job ends."""
    folder = tmp_path_factory.mktemp("whole") / "journal"
    for number in range(1, SEGMENTS + 1):
        journal, _, gap = start(folder)
        assert gap is None
        journal.append([accepted(f"job-{number}"), Claimed(job=f"job-{number}")])
        if number % 2 == 0:
            journal.append([Ended(job=f"job-{number}", state="cancelled")])
        journal.close()
    return folder


@pytest.fixture(scope="module")
def old(whole, tmp_path_factory) -> Path:
    """The same as written by versions that did not record the order."""
    folder = tmp_path_factory.mktemp("old") / "journal"
    shutil.copytree(whole, folder)
    for path in folder.iterdir():
        first, rest = path.read_bytes().split(b"\n", 1)
        entry = decode(first)
        plain = SegmentStart(version="1", boot_id="b", live=entry.record.live)
        path.write_bytes(encode(Entry(entry.seq, entry.group, entry.ts, plain)) + rest)
    return folder


def copy_of(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place / "journal")
    head = folder.with_name("journal.head")
    if head.exists():
        shutil.copy(head, place)
    return place / "journal"


def segment(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.jsonl"


def problems(folder: Path) -> list[str]:
    return [finding.sentence for finding in doctor(folder) if finding.grade == "problem"]


def is_refused(folder: Path) -> bool:
    """Whether a start is refused, with nothing changed; otherwise it continues with all live jobs."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    try:
        _journal, jobs, _gap = start(folder)
    except Refusal:
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
        return True
    assert list(jobs.live) == LIVE
    return False


def test_a_whole_journal_has_no_problem(whole, old, tmp_path):
    for number, folder in enumerate((whole, old)):
        copy = copy_of(folder, tmp_path / str(number))
        assert problems(copy) == []
        assert start(copy)[2] is None
        assert problems(copy) == []


@pytest.mark.parametrize("number", range(1, SEGMENTS + 1))
def test_a_deleted_segment_is_found_and_the_oldest_may_have_been_forgotten(whole, tmp_path, number):
    folder = copy_of(whole, tmp_path)
    segment(folder, number).unlink()
    said = problems(folder)
    assert bool(said) == (number > 1)
    assert all(f"{number:08}.jsonl" in sentence for sentence in said)
    assert is_refused(folder) == (number == SEGMENTS)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(1, SEGMENTS + 1), 2)))
@pytest.mark.parametrize("kind", ["whole", "old"])
def test_exchanged_segments_are_found_and_never_worked_from(request, tmp_path, one, other, kind):
    folder = copy_of(request.getfixturevalue(kind), tmp_path)
    segment(folder, one).rename(folder / "aside")
    segment(folder, other).rename(segment(folder, one))
    (folder / "aside").rename(segment(folder, other))
    assert problems(folder)
    assert is_refused(folder) == (other == SEGMENTS)


@pytest.mark.parametrize(
    ("one", "other"), [pair for pair in itertools.permutations(range(1, SEGMENTS + 2), 2) if pair[0] <= SEGMENTS]
)
def test_a_segment_in_the_place_of_another_is_found(whole, tmp_path, one, other):
    folder = copy_of(whole, tmp_path)
    shutil.copy(segment(folder, one), segment(folder, other))
    assert problems(folder)
    assert is_refused(folder) == (other >= SEGMENTS)


@pytest.mark.parametrize("number", range(1, SEGMENTS + 1))
def test_a_segment_that_lost_its_last_records_is_found(whole, tmp_path, number):
    folder = copy_of(whole, tmp_path)
    lines = segment(folder, number).read_bytes().splitlines(keepends=True)
    segment(folder, number).write_bytes(b"".join(lines[:-1]))
    assert [sentence for sentence in problems(folder) if f"{number:08}.jsonl" in sentence]
    assert is_refused(folder) == (number == SEGMENTS)


def test_a_journal_that_is_gone_altogether_is_not_begun_anew(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    shutil.rmtree(folder)
    folder.mkdir()
    assert is_refused(folder)
    assert problems(folder)


def test_a_damaged_last_segment_that_was_moved_away_as_the_doctor_says_stops_nothing(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    segment(folder, SEGMENTS).rename(folder / f"damaged-{SEGMENTS:08}.jsonl")
    _journal, jobs, _gap = start(folder)
    assert list(jobs.live) == LIVE[:-1]
    assert segment(folder, SEGMENTS + 1).exists(), "a number is given twice"
    assert problems(folder) == []


def test_a_record_of_a_newer_version_is_called_that_and_nobody_is_told_to_move_it_away(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    last = segment(folder, SEGMENTS)
    lines = last.read_bytes().splitlines(keepends=True)

    body = lines[-1].rsplit(b',"crc"', 1)[0].replace(b'{"v":1,', b'{"v":3,')
    last.write_bytes(b"".join(lines[:-1]) + body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    with pytest.raises(Refusal) as refusal:
        start(folder)
    (finding,) = [finding for finding in doctor(folder) if finding.grade == "problem"]
    for said in (refusal.value.message, refusal.value.hint, finding.sentence, finding.hint):
        assert not [word for word in ("damaged", "mv ", "backup", "repair") if word in said], said
    for said in (refusal.value.message, finding.sentence):
        assert "written by a newer Multiplane (record version 3)" in said
    assert "Start that version" in finding.hint


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(("delete", "exchange", "copy", "cut", "restore")), st.integers(1, 6), st.integers(1, 6)), max_size=4
)


@given(operations=OPERATIONS)
@settings(max_examples=300 if "SOAK_TESTS" in os.environ else 60, deadline=None)
def test_whatever_is_done_to_the_segments_no_start_works_from_another_end_than_the_last(whole, tmp_path_factory, operations):
    folder = copy_of(whole, tmp_path_factory.mktemp("moved"))
    for name, one, other in operations:
        first, second = segment(folder, one), segment(folder, other)
        if name == "restore" and segment(whole, one).exists():
            shutil.copy(segment(whole, one), first)
        if not first.exists():
            continue
        if name == "delete":
            first.unlink()
        elif name == "copy" and one != other:
            shutil.copy(first, second)
        elif name == "cut":
            lines = first.read_bytes().splitlines(keepends=True)
            first.write_bytes(b"".join(lines[: max(1, len(lines) - other)]))
        elif name == "exchange" and second.exists():
            data = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(data)
    names = sorted(path.name for path in folder.iterdir())
    numbers = [int(name[:8]) for name in names]
    same = [
        number
        for number in numbers
        if number <= SEGMENTS and segment(folder, number).read_bytes() == segment(whole, number).read_bytes()
    ]
    untouched = numbers == same and numbers == list(range(numbers[0], SEGMENTS + 1)) if numbers else False
    assert (problems(folder) == []) == untouched, names
    is_refused(folder)


def test_losing_the_head_stops_nothing(whole, tmp_path):
    folder = copy_of(whole, tmp_path)
    for data in (b"", b"{", b"\x00" * 40, b'{"segment":"x"}'):
        folder.with_name("journal.head").write_bytes(data)
        assert not is_refused(folder)
    assert LocalFiles().read(os.fsencode(folder.with_name("journal.head")), 100).startswith(b'{"segment"')
