"""The search for the jobs of pictures by name: through all segments once, and afterwards only through what is new."""

import os
from pathlib import Path

import pytest
from service_scene import Files, Scene

from daemon.contract.names import to_text
from daemon.contract.records import Accepted, Claimed, ClaimedFile, Ended, Removed
from daemon.contract.spec import JobSpec
from daemon.errors import Refusal
from daemon.journal.line import seal, unseal
from daemon.journal.search.name_search import NameSearch

#: One with what JSON escapes, and with a byte that is no text.
ODD = b'a "quoted" \\ name\n\xff.png'


class Counting(Files):
    """The real disk, which notes what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_paths: list[bytes] = []

    def read(self, path, limit):
        self.read_paths.append(path)
        return super().read(path, limit)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "home", Counting())


def accepted(job: str, name: bytes = b"photo.png") -> tuple:
    file = ClaimedFile(role="image", name=to_text(name), to=to_text(name), ino=1, size=1, mtime_ns=1)
    return Accepted(job=job, files=(file,), spec=JobSpec()), Claimed(job=job)


def search(scene: Scene, *names: bytes) -> NameSearch:
    return NameSearch(scene.fs, scene.settings.paths.journal_bytes, lambda name: name in names)


def found(searching: NameSearch) -> list[tuple[str, str]]:
    return [(job.job_id, job.state) for job in searching.jobs()]


def test_jobs_are_found_by_the_names_of_their_files_in_whichever_segment_they_go_on(scene) -> None:
    scene.ledger.record(*accepted("one"), *accepted("other", b"other.png"), *accepted("odd", ODD))
    scene.ledger.begin_segment()
    scene.ledger.record(Ended(job="one", state="completed"), *accepted("two"), *accepted("three"))
    scene.ledger.begin_segment()
    scene.ledger.record(Ended(job="three", state="failed"), Removed(job="three"))
    assert found(search(scene, b"photo.png", ODD)) == [("one", "completed"), ("odd", "pending"), ("two", "pending")]
    assert [job.job_id for job in search(scene, b"photo.png").jobs()] == ["one", "two"]
    for job in search(scene, b"photo.png", ODD).jobs():
        assert job == scene.history.job(job.job_id)


def test_only_what_is_new_is_read_again(scene) -> None:
    scene.ledger.record(*accepted("one"))
    scene.ledger.begin_segment()
    scene.ledger.record(*accepted("other", b"other.png"))
    searching = search(scene, b"photo.png")
    before = searching.jobs()
    assert found(searching) == [("one", "pending")]
    scene.fs.read_paths.clear()
    assert searching.jobs() is before
    assert scene.fs.read_paths == []
    scene.ledger.record(Ended(job="one", state="completed"), *accepted("two"))
    assert found(searching) == [("one", "completed"), ("two", "pending")]
    scene.ledger.begin_segment()
    scene.ledger.record(Ended(job="two", state="cancelled"))
    assert found(searching) == [("one", "completed"), ("two", "cancelled")]
    assert not [path for path in scene.fs.read_paths if path.endswith(b"00000001.jsonl")]


def test_a_record_that_is_half_written_is_read_when_it_is_whole(scene) -> None:
    scene.ledger.record(*accepted("one"))
    path = scene.settings.paths.journal / "00000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    searching = search(scene, b"photo.png")
    assert found(searching) == [("one", "pending")], "accepted; only that it was claimed is not there yet"
    path.write_bytes(whole)
    assert len(searching.jobs()) == 1
    assert searching.jobs()[0] == scene.history.job("one")


def test_a_journal_of_a_newer_version_is_refused_with_a_sentence(scene) -> None:
    scene.ledger.record(*accepted("one"))
    path = scene.settings.paths.journal / "00000001.jsonl"
    first, *others = path.read_bytes().splitlines()
    newer = seal(unseal(others[-1])[:-1].replace(b'"event":"claimed"', b'"event":"beamed_up"'))
    path.write_bytes(b"\n".join((first, *others[:-1], newer, b"")))
    with pytest.raises(Refusal, match="newer Multiplane"):
        search(scene, b"photo.png").jobs()


def test_nothing_is_found_where_there_is_no_journal(tmp_path) -> None:
    assert NameSearch(Files(), os.fsencode(tmp_path / "none"), lambda _: True).jobs() == ()
