"""A truncated journal always recovers, a changed one is always refused, and the doctor explains both."""

import itertools
import os
import shlex
from pathlib import Path

import pytest

from daemon.contract.records import Accepted, Claimed, ClaimedFile, Ended, Noted
from daemon.contract.spec import JobSpec
from daemon.doctor import judging
from daemon.doctor.facts import journal_facts
from daemon.doctor.model import Answer, ClockFacts, DaemonFacts, Facts, Finding, ServiceFacts
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import Journal

LAST = 200


class Unsynced(LocalFiles):
    """The real disk, without waiting for it."""

    def sync(self, fd: int) -> None:
        pass

    def sync_dir(self, path: bytes) -> None:
        pass


def start(folder: Path) -> tuple[Journal, Jobs]:
    """What the daemon does with the journal at a start."""
    journal = Journal(Unsynced(), os.fsencode(folder), clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b")
    recovered = journal.recover()
    jobs = Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()))
    return journal, jobs


def accepted(name: str) -> Accepted:
    image = ClaimedFile(role="image", name=f"{name}.jpg", to=f"{name}.jpg", ino=1, size=10, mtime_ns=20)
    return Accepted(job=name, files=(image,), spec=JobSpec(), mode="photo-realistic")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A segment of several groups, the last ones small, so that the last 200 bytes hold more than one."""
    folder = tmp_path_factory.mktemp("whole")
    journal, _ = start(folder)
    journal.append([accepted("a"), accepted("b")])
    journal.append([Claimed(job="a"), Claimed(job="b")])
    journal.append([accepted("c"), Claimed(job="c")])
    journal.append([Ended(job="a", state="cancelled")])
    journal.append([Claimed(job="c")])
    journal.append([Noted(job="b", warning="late")])
    journal.close()
    return (folder / "00000001.jsonl").read_bytes()


def doctor(folder: Path) -> list[Finding]:
    """What the doctor reports about the journal while no daemon runs."""
    facts = Facts(
        home=str(folder),
        python="3",
        folders=(),
        moving=None,
        journal=journal_facts(LocalFiles(), os.fsencode(folder)),
        daemon=DaemonFacts(holds=False),
        clock=ClockFacts(wall=2e9, stamp=None, program=1e9),
        service=ServiceFacts(file="", home=None, python=""),
        models=Answer(value=[]),
        verified=Answer(value=[]),
        devices=Answer(value={}),
        settings={"device": "auto", "sandbox": "auto", "max_output_bytes": 0, "min_free_bytes": 0},
    )
    return [finding for finding in judging.judge(facts) if finding.area == "journal"]


def home_with(tmp_path: Path, data: bytes, numbers: itertools.count) -> Path:
    folder = tmp_path / str(next(numbers))
    folder.mkdir()
    (folder / "00000001.jsonl").write_bytes(data)
    return folder


def test_cut_at_any_of_its_last_bytes_it_always_recovers_and_the_doctor_says_what_was_lost(whole, tmp_path):
    numbers = itertools.count()
    for length in range(len(whole) - LAST, len(whole) + 1):
        left = whole[:length]
        folder = home_with(tmp_path, left, numbers)
        torn = not left.endswith(b"\n")
        said = doctor(folder)[0]
        assert said.grade == ("note" if torn else "ok"), length
        if torn:
            line = left.count(b"\n") + 1
            assert f"{folder}/00000001.jsonl was cut off in line {line}; nothing depended on it" in said.sentence
            assert "the next start sets it aside" in said.hint
        _journal, jobs = start(folder)
        assert list(jobs.live) + list(jobs.ended) in (["a", "b", "c"], ["b", "c", "a"]), length
        assert ("a" in jobs.ended) == (b'"event":"ended"' in left[: left.rfind(b"\n")])
        assert (folder / "00000002.jsonl").exists(), "it does not go on"
        after = doctor(folder)
        assert not [finding for finding in after if finding.grade == "problem"], length
        assert any("set aside once" in finding.sentence for finding in after) == torn


def test_with_any_byte_changed_before_its_last_group_it_always_refuses_and_the_doctor_says_where(whole, tmp_path):
    """Changes include a flipped bit, a zero and a newline."""
    folder = home_with(tmp_path, whole, itertools.count())
    path = folder / "00000001.jsonl"
    last_group = whole.rfind(b"\n", 0, -1) + 1
    for at in range(0, last_group, 3):
        byte = (whole[at] ^ (1 << at % 8), 0, ord("\n"))[at % 3 if whole[at] != ord("\n") else 0]
        path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        line = whole.count(b"\n", 0, at) + 1
        with pytest.raises(Refusal) as refusal:
            start(folder)
        assert f"{path}, line {line} (byte " in refusal.value.message, at
        assert "multiplane doctor" in refusal.value.hint
        assert os.listdir(folder) == [path.name], "something was changed"
        (said,) = [finding for finding in doctor(folder) if finding.grade == "problem"]
        assert f"{path}, line {line} (byte " in said.sentence
        assert shlex.join(("mv", str(path), f"{folder}/damaged-00000001.jsonl")) in said.hint
