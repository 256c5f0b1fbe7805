"""The journal: a readable format, one sync for each group of records, and no guessing after a crash."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from job_records import accepted

from daemon.contract.records import AttemptEnded, CancelRequested, Claimed
from daemon.contract.segment_records import SegmentStart
from daemon.contract.status import ErrorInfo
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, History, Journal, JournalError, hold_lock
from daemon.journal.line import UnknownRecordError, decode, encode, is_intact
from daemon.journal.lock import is_running
from daemon.journal.segment import DamageError, Segment


class Files(LocalFiles):
    """The real disk; counts writes and syncs, and fails on request."""

    def __init__(self) -> None:
        self.writes = self.syncs = 0
        self.failing: dict[str, int] = {}
        self.most = 1 << 30

    def write(self, fd, data):
        self.writes += 1
        if "write" in self.failing:
            raise OSError(self.failing["write"], "told to fail")
        return super().write(fd, data[: self.most])

    def sync(self, fd):
        self.syncs += 1
        if "sync" in self.failing:
            raise OSError(self.failing["sync"], "told to fail")
        super().sync(fd)


@pytest.fixture
def folder(tmp_path):
    return os.fsencode(tmp_path / "journal")


def open_journal(folder: bytes, fs=None, **more) -> Journal:
    """A journal as the service opens it; what was recovered is in `.recovered`, what it adds up to in `.jobs`."""
    journal = Journal(fs or LocalFiles(), folder, clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b", **more)
    journal.recovered = journal.recover()
    journal.jobs = Jobs()
    for entry in journal.recovered.entries:
        journal.jobs.apply(entry)
    journal.begin(journal.recovered.segment + 1, journal.recovered.next_seq, list(journal.jobs.live.values()))
    return journal


def last_segment(folder: bytes) -> bytes:
    return os.path.join(folder, max(name for name in os.listdir(folder) if name.endswith(b".jsonl")))


def read_segment(data: bytes):
    """The records that count, and the torn tail."""
    found = Segment(data)
    return list(found.entries()), found.torn


def segment(*groups: int) -> list[bytes]:
    """The lines of a segment: its start, then groups of this many records."""
    lines, seq = [], 1
    for size in (1, *groups):
        for i in range(size):
            record = SegmentStart(version="1", boot_id="b", live=0) if seq == 1 else Claimed(job="a")
            lines.append(encode(Entry(seq + i, seq, "2026-01-31T12:00:00.000Z", record)))
        seq += size
    return lines


# -- the format -----------------------------------------------------------------------------------------------------------


def test_a_line_is_json_closed_by_the_checksum_of_all_before_it():
    line = encode(Entry(7, 6, "2026-01-31T12:00:00.000Z", Claimed(job="a")))
    fields = json.loads(line)
    assert fields == {
        "v": 1, "seq": 7, "group": 6, "ts": "2026-01-31T12:00:00.000Z", "event": "claimed", "job": "a", "crc": fields["crc"],
    }  # fmt: skip
    body, crc = line[:-1].split(b',"crc":"')
    assert crc == b'%08x"}' % zlib.crc32(body)
    assert line.endswith(b"\n")
    assert decode(line[:-1]) == Entry(7, 6, "2026-01-31T12:00:00.000Z", Claimed(job="a"))


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_any_flipped_bit_shows(bit):
    line = encode(Entry(7, 6, "t", accepted("a", picture="päinting \\xff.jpg")))[:-1]
    assert is_intact(line)
    for at in range(len(line)):
        flipped = line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :]
        assert not is_intact(flipped), at


def test_a_record_of_a_newer_version_is_not_understood():
    with pytest.raises(UnknownRecordError, match="record version 99"):
        decode(b'{"v":99,"seq":1,"group":1,"ts":"t","event":"claimed","job":"a","crc":"00000000"}')
    with pytest.raises(UnknownRecordError):
        decode(b'{"v":1,"seq":1,"group":1,"ts":"t","event":"dreamt","job":"a","crc":"00000000"}')
    with pytest.raises(UnknownRecordError, match="an envelope"):
        decode(b'{"version":2,"seq":1}')


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_reads_it(folder):
    journal = open_journal(folder)
    journal.append([accepted("a"), accepted("b")])
    told = subprocess.run(["jq", "-r", ".event", last_segment(folder)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["segment", "accepted", "accepted"]


# -- appending ------------------------------------------------------------------------------------------------------------


def test_records_that_are_ready_together_share_one_write_one_sync_and_a_group(folder):
    fs = Files()
    journal = open_journal(folder, fs)
    before = fs.writes, fs.syncs
    entries = journal.append([accepted(name) for name in "abc"])
    assert (fs.writes, fs.syncs) == (before[0] + 1, before[1] + 1)
    assert [entry.group for entry in entries] == [entries[0].seq] * 3
    assert [entry.seq for entry in entries] == [2, 3, 4]
    assert journal.append([Claimed(job="a")])[0].group == 5


def test_a_short_write_is_continued(folder):
    fs = Files()
    journal = open_journal(folder, fs)
    fs.most = 7
    journal.append([accepted("a")])
    assert list(open_journal(folder).jobs.live) == ["a"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "sync"])
def test_an_error_poisons_the_writer_and_no_sync_is_tried_again(folder, call, number):
    fs = Files()
    journal = open_journal(folder, fs)
    fs.failing[call] = number
    before = fs.writes, fs.syncs
    with pytest.raises(JournalError, match="cannot write the journal"):
        journal.append([accepted("a")])
    assert (fs.writes, fs.syncs) == (before[0] + 1, before[1] + (call == "sync"))
    fs.failing.clear()
    before = fs.writes, fs.syncs
    with pytest.raises(JournalError, match="cannot write the journal"):
        journal.append([accepted("b")])
    assert (fs.writes, fs.syncs) == before


def test_a_segment_that_cannot_begin_leaves_the_journal_as_it_was(folder):
    open_journal(folder).append([accepted("a")])
    fs = Files()
    fs.failing["sync"] = errno.EIO
    with pytest.raises(JournalError, match="cannot begin the journal segment"):
        open_journal(folder, fs)
    assert list(open_journal(folder).jobs.live) == ["a"]


def test_nothing_is_appended_before_the_journal_has_begun(folder):
    journal = Journal(LocalFiles(), folder, clock=lambda: "t", version="1", boot_id="b")
    with pytest.raises(JournalError):
        journal.append([Claimed(job="a")])


# -- segments -------------------------------------------------------------------------------------------------------------


def test_each_start_begins_a_segment_with_a_snapshot_of_the_live_jobs(folder):
    journal = open_journal(folder)
    journal.append([accepted("a"), accepted("b")])
    journal.append([Claimed(job="a"), CancelRequested(job="b")])
    again = open_journal(folder)
    assert again.segment == journal.segment + 1
    third = open_journal(folder)
    assert third.jobs.live == again.jobs.live
    assert [entry.record.event for entry in third.recovered.entries] == ["segment", "live", "live"]
    assert (third.jobs.live["a"].claimed, third.jobs.live["b"].cancel_requested) == (True, True)


def test_a_new_segment_begins_when_one_is_full(folder):
    journal = open_journal(folder, records_per_segment=3)
    journal.append([accepted("a"), accepted("b")])
    assert not journal.is_full(2)
    journal.append([accepted("c")])
    assert journal.is_full(3)
    assert not journal.is_full(4), "a snapshot would be larger than the segment before it"
    jobs = Jobs()
    for entry in History(LocalFiles(), folder).entries():
        jobs.apply(entry)
    journal.rotate(list(jobs.live.values()))
    assert journal.segment == 2
    (entry,) = journal.append([Claimed(job="a")])
    assert entry.seq == 1 + 3 + 4 + 1
    assert list(open_journal(folder).jobs.live) == ["a", "b", "c"]


def test_what_is_left_of_a_segment_that_never_began_is_in_nobodys_way(folder):
    open_journal(folder).append([accepted("a")])
    with open(os.path.join(folder, b".tmp-00000002.jsonl"), "wb") as file:
        file.write(b'{"v":1,"seq":')
    assert list(open_journal(folder).jobs.live) == ["a"]
    assert list(open_journal(folder).jobs.live) == ["a"]


# -- a torn tail ----------------------------------------------------------------------------------------------------------


def test_a_tail_torn_at_any_byte_is_set_aside_and_reported(folder):
    """At every byte of the last group, and of some before it."""
    journal = open_journal(folder)
    journal.append([accepted("a")])
    before = os.path.getsize(last_segment(folder))
    journal.append([Claimed(job="a"), CancelRequested(job="a")])
    path = last_segment(folder)
    with open(path, "rb") as file:
        whole = file.read()
    assert len(whole) - before > 200
    for length in range(before, len(whole)):
        with open(path, "wb") as file:
            file.write(whole[:length])
        fresh = Journal(LocalFiles(), folder, clock=lambda: "t", version="1", boot_id="b")
        recovered = fresh.recover()
        intact = whole[:length].rfind(b"\n") + 1
        assert len(recovered.entries) == whole[:length].count(b"\n")
        if intact == length:
            assert recovered.torn is recovered.report is None
            continue
        assert (recovered.torn.offset, recovered.torn.data) == (intact, whole[intact:length])
        aside = os.path.join(folder, b"torn-00000001-%d" % intact)
        assert os.fsdecode(aside) in recovered.report
        assert f"{length - intact} bytes" in recovered.report
        with open(aside, "rb") as file:
            assert file.read() == whole[intact:length]
        with open(path, "rb") as file:
            assert file.read() == whole[:length], "the segment itself is never changed"


def test_zeros_at_the_end_are_a_torn_tail():
    data = b"".join(segment(1, 2)) + b"\0" * 4096
    entries, torn = read_segment(data)
    assert len(entries) == 4
    assert torn.data == b"\0" * 4096


@pytest.mark.parametrize("filling", [b"\0", b"x"], ids=["zeros", "old bytes"])
def test_a_hole_anywhere_in_the_last_group_is_a_torn_tail(filling):
    """Pages reach the disk in any order: some in the middle may be missing while later ones are there."""
    first, last = segment(1, 3)[:2], segment(1, 3)[2:]
    head, group = b"".join(first), b"".join(last)
    for start in range(len(group)):
        for end in {start + 1, min(start + 64, len(group)), len(group)}:
            hole = group[:start] + filling * (end - start) + group[end:]
            if hole == group:
                continue
            entries, torn = read_segment(head + hole)
            assert len(entries) == 2 + group[:start].count(b"\n")
            assert torn.data == (head + hole)[torn.offset :]


def test_what_stood_behind_a_hole_never_happened(folder):
    """Neither the next start nor the history shows it, although the record itself is intact."""
    journal = open_journal(folder)
    journal.append([accepted("a")])
    journal.append([accepted("lost"), accepted("ghost")])
    path = last_segment(folder)
    with open(path, "rb") as file:
        data = file.read()
    at = data.index(b'"job":"lost"')
    with open(path, "wb") as file:
        file.write(data[:at] + b"\0" * 20 + data[at + 20 :])
    again = open_journal(folder)
    assert list(again.jobs.live) == ["a"]
    history = History(LocalFiles(), folder)
    assert history.job("ghost") is None
    assert history.records_of("ghost") == []
    assert history.job("a") is not None


def test_numbers_go_on_behind_the_last_record_that_counts(folder):
    journal = open_journal(folder)
    journal.append([accepted("a")])
    with open(last_segment(folder), "ab") as file:
        file.write(b'{"v":1,"seq":3,')
    again = open_journal(folder)
    again.append([Claimed(job="a")])
    numbers = [entry.seq for entry in History(LocalFiles(), folder).entries()]
    assert numbers == [1, 2, 3, 4, 5]


# -- damage ---------------------------------------------------------------------------------------------------------------


def test_a_flipped_byte_in_the_middle_is_refused_with_file_line_and_place(folder):
    journal = open_journal(folder)
    for name in "abc":
        journal.append([accepted(name)])
    path = last_segment(folder)
    with open(path, "rb") as file:
        data = file.read()
    lines = data.split(b"\n")
    at = len(lines[0]) + 1 + 40
    with open(path, "wb") as file:
        file.write(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
    with pytest.raises(Refusal) as refusal:
        open_journal(folder)
    assert os.fsdecode(path) in refusal.value.message
    assert f"line 2 (byte {len(lines[0]) + 1})" in refusal.value.message
    assert os.listdir(folder) == [os.path.basename(path)], "something was changed"


def test_any_flipped_byte_before_the_last_group_is_damage():
    lines = segment(2, 1, 3)
    head, last = b"".join(lines[:-3]), b"".join(lines[-3:])
    for at in range(len(head)):
        for flip in (0x01, 0x20, 0x80):
            data = head[:at] + bytes([head[at] ^ flip]) + head[at + 1 :] + last
            with pytest.raises(DamageError):
                read_segment(data)


def test_a_record_of_a_later_group_behind_an_invalid_one_is_damage():
    lines = segment(2, 1)
    read_segment(b"".join(lines))
    lines[2] = lines[2].replace(b'"job":"a"', b'"job":"b"')  # the last of the group before the last
    with pytest.raises(DamageError, match=r"line 3 .*line 4, written later, is"):
        read_segment(b"".join(lines))


def test_a_missing_or_doubled_record_is_damage():
    lines = segment(1, 1, 1)
    with pytest.raises(DamageError, match="record 2 is missing before record 3"):
        read_segment(b"".join(lines[:1] + lines[2:]))
    with pytest.raises(DamageError):
        read_segment(b"".join(lines[:2] + lines[1:]))


def test_a_segment_that_does_not_begin_with_its_whole_snapshot_is_damage(folder):
    journal = open_journal(folder)
    journal.append([accepted("a"), accepted("b")])
    open_journal(folder)
    path = last_segment(folder)
    with open(path, "rb") as file:
        data = file.read()
    for cut in (0, 10, data.index(b"\n") + 1, len(data) - 1):
        with open(path, "wb") as file:
            file.write(data[:cut])
        with pytest.raises(Refusal, match="damaged"):
            open_journal(folder)


def test_a_journal_of_a_newer_version_is_refused(folder):
    journal = open_journal(folder)
    journal.append([Claimed(job="a")])
    body = b'{"v":2,"seq":3,"group":3,"ts":"t","event":"sung","job":"a"'
    with open(last_segment(folder), "ab") as file:
        file.write(body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    with pytest.raises(Refusal, match=r"written by a newer Multiplane \(record version 2\)"):
        open_journal(folder)


# -- a journal that somebody takes away -----------------------------------------------------------------------------------


def _replace(folder: Path) -> None:
    os.rename(folder, f"{folder} away")
    folder.mkdir()
    (folder / "00000001.jsonl").write_bytes(b"")


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: shutil.rmtree(folder),
        lambda folder: os.rename(folder, f"{folder} away"),
        lambda folder: (folder / "00000001.jsonl").unlink(),
        _replace,
    ],
    ids=["folder removed", "folder moved away", "segment removed", "folder replaced"],
)
def test_nothing_is_acknowledged_that_the_next_start_would_not_find(folder, harm):
    journal = open_journal(folder)
    journal.append([accepted("a")])
    journal.check()
    harm(Path(os.fsdecode(folder)))
    for look in (lambda: journal.append([accepted("b")]), journal.check, lambda: journal.append([accepted("c")])):
        with pytest.raises(JournalError, match=r"00000001\.jsonl was removed or moved while the daemon was writing it"):
            look()
    journal.close()


def test_a_journal_that_is_moved_away_and_put_back_goes_on(folder):
    journal = open_journal(folder)
    journal.append([accepted("a")])
    journal.close()
    os.rename(folder, folder + b" away")
    with pytest.raises(Refusal, match="the end of the journal is missing"):
        open_journal(folder)
    os.rename(folder + b" away", folder)
    assert list(open_journal(folder).jobs.live) == ["a"]


# -- the lock -------------------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_and_told_who_has_the_lock(tmp_path):
    path = os.fsencode(tmp_path / "lock")
    first = hold_lock(LocalFiles(), path, 123456)
    with pytest.raises(Refusal, match=r"\(process 123456\)") as refusal:
        hold_lock(LocalFiles(), path, 99)
    assert refusal.value.exit_status == 75
    first.release()
    second = hold_lock(LocalFiles(), path, 7)
    with pytest.raises(Refusal, match=r"\(process 7\)"):
        hold_lock(LocalFiles(), path, 99)
    second.release()


@pytest.mark.parametrize("harm", ["removed", "replaced"])
def test_a_lock_file_that_somebody_touches_lets_no_second_daemon_in(tmp_path, harm):
    path = tmp_path / "lock"
    first = hold_lock(LocalFiles(), os.fsencode(path), 123456)
    path.unlink()
    if harm == "replaced":
        path.write_text("")
    with pytest.raises(Refusal, match=r"\(process unknown\)"):
        hold_lock(LocalFiles(), os.fsencode(path), 99)
    assert is_running(LocalFiles(), os.fsencode(path))
    first.release()
    assert not is_running(LocalFiles(), os.fsencode(path))
    hold_lock(LocalFiles(), os.fsencode(path), 99).release()


def test_a_daemon_that_locks_the_file_alone_is_seen_as_well(tmp_path):
    """Daemons of earlier versions lock only the file."""
    path = os.fsencode(tmp_path / "lock")
    older = LocalFiles().lock(path)
    with pytest.raises(Refusal, match="already running"):
        hold_lock(LocalFiles(), path, 99)
    os.close(older)
    hold_lock(LocalFiles(), path, 99).release()


def test_two_who_ask_whether_a_daemon_runs_are_none_to_each_other(tmp_path):
    fs, path = LocalFiles(), os.fsencode(tmp_path / "lock")
    asking = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not is_running(fs, path)
    os.close(asking)


def test_an_attempt_that_came_to_nothing_keeps_its_error(folder):
    journal = open_journal(folder)
    error = ErrorInfo(code="timeout", message="m", hint="h")
    journal.append([accepted("a"), Claimed(job="a")])
    journal.append([AttemptEnded(job="a", error=error, counts=False, retry_at=5.0)])
    assert open_journal(folder).jobs.live["a"].last_error == error


def test_a_lost_newline_before_a_later_group_is_damage_and_not_a_torn_tail():
    records = [SegmentStart(version="1", boot_id="b", live=0), Claimed(job="one"), Claimed(job="two")]
    lines = [encode(Entry(seq, seq, "2026-01-31T12:00:00.000Z", record)) for seq, record in enumerate(records, start=1)]
    # The newline is all that is changed: both records would be gone if their joined line passed for a torn tail.
    with pytest.raises(DamageError):
        read_segment(lines[0] + lines[1][:-1] + b"\x0b" + lines[2])


def test_segments_that_this_process_began_one_after_the_other_have_no_gap_between_them(folder):
    journal = open_journal(folder)
    for _ in range(2):
        journal.append([accepted("a")])
        journal.rotate([])
    journal.close()
    assert open_journal(folder).recovered.gap is None
