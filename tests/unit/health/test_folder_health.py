"""A new home gets the shipped presets, an existing one is left alone; folders are recognised without their marker."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from service_scene import SETTINGS, Scene

from daemon.contract.records import Job
from daemon.fs import LocalFiles, make_folders
from daemon.health.folder_health import FolderHealth
from daemon.health.folder_identities import FolderIdentities
from daemon.health.shipped_presets import ShippedPresets
from daemon.journal import History
from daemon.outbox import Outbox
from daemon.outbox.ownership import Ownership, who
from daemon.platform.mounts import Mount
from daemon.settings import load
from daemon.shipped import PRESETS
from daemon.watch import Watch
from daemon.watch.folder_watch import FolderWatch

SHIPPED = {path.parent.name for path in PRESETS.glob("*/_preset.yaml")}


def prepared(home: Path) -> set[str]:
    Start(home).health.prepare()
    return {name for name in os.listdir(home / "inbox") if name != ".multiplane"}


def test_a_new_inbox_has_the_shipped_presets(tmp_path) -> None:
    assert {"photo in 4 layers", "oil painting"} <= SHIPPED
    assert prepared(tmp_path) == SHIPPED
    for name in SHIPPED:
        parts = (name, "_preset.yaml")
        assert (tmp_path / "inbox").joinpath(*parts).read_bytes() == PRESETS.joinpath(*parts).read_bytes()


@pytest.mark.parametrize("content", [["mine.jpg"], [".multiplane"]])
def test_an_inbox_that_was_used_before_gets_nothing_but_its_marker(tmp_path, content) -> None:
    (tmp_path / "inbox").mkdir()
    for name in content:
        (tmp_path / "inbox" / name).touch()
    assert prepared(tmp_path) == set(content) - {".multiplane"}


@pytest.mark.parametrize("content", [[], [".DS_Store", "lost+found"]])
def test_an_empty_inbox_that_an_administrator_made_has_the_shipped_presets(tmp_path, content) -> None:
    (tmp_path / "inbox").mkdir()
    for name in content:
        (tmp_path / "inbox" / name).touch()
    assert prepared(tmp_path) == SHIPPED | set(content)


def test_presets_that_a_person_removes_before_the_first_start_do_not_come_back(tmp_path) -> None:
    """`multiplane submit` makes the inbox of a new home, with its presets."""
    (tmp_path / ".state").mkdir()
    (tmp_path / "inbox").mkdir()
    ShippedPresets(LocalFiles(), load(tmp_path, SETTINGS).paths).put()
    for name in SHIPPED:
        shutil.rmtree(tmp_path / "inbox" / name)
    assert prepared(tmp_path) == set()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A home that is the program's checkout, as git makes it."""
    monkeypatch.setattr("daemon.health.shipped_presets.PROGRAM", tmp_path.resolve())
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / ".gitkeep").touch()
    return tmp_path


def test_the_inbox_of_a_fresh_clone_has_the_shipped_presets_after_the_first_start(checkout) -> None:
    (checkout / "inbox" / "photo.jpg").touch()
    assert prepared(checkout) == {".gitkeep", "photo.jpg"}
    assert Start(checkout).absence() is None
    assert set(os.listdir(checkout / "inbox")) == SHIPPED | {".gitkeep", ".multiplane", "photo.jpg"}


def test_a_preset_that_a_person_edits_stays_and_one_that_a_pull_removes_is_put_back(checkout) -> None:
    prepared(checkout)
    edited = checkout / "inbox" / "oil painting" / "_preset.yaml"
    edited.parent.mkdir()
    edited.write_text("style: wash-strokes\n")
    waits = checkout / "inbox" / "photo in 4 layers" / "waits.jpg"
    waits.parent.mkdir()
    waits.touch()
    assert Start(checkout).absence() is None
    assert edited.read_text() == "style: wash-strokes\n"
    assert waits.with_name("_preset.yaml").read_bytes() == (PRESETS / waits.parent.name / "_preset.yaml").read_bytes()


def test_a_preset_that_a_person_removes_from_a_checkout_does_not_come_back(checkout) -> None:
    prepared(checkout)
    assert Start(checkout).absence() is None
    shutil.rmtree(checkout / "inbox" / "oil painting")
    assert Start(checkout).absence() is None
    assert not (checkout / "inbox" / "oil painting").exists()


# -- a marker that somebody removed -------------------------------------------------------------------------------------------


class Start:
    """One start of a daemon, as far as its folders are concerned."""

    def __init__(self, home: Path, jobs: Iterable[Job] = ()) -> None:
        fs, settings = LocalFiles(), load(home, SETTINGS)
        make_folders(fs, settings.paths.state_bytes)
        self.outbox = Outbox(fs, settings.paths.outbox_bytes)
        self.health = FolderHealth(fs, settings, self.outbox, lambda: jobs, Ownership(fs, who(fs, settings.paths, new_id=True)))
        # On a share nothing is watched, so that no thread of it is left behind.
        share = lambda *_: Mount(b"/", "nfs", "server:/")  # noqa: E731
        self.watch = Watch(settings.paths.inbox_bytes, lambda: None, read_control=lambda *_: None, mount_of=share)

    def absence(self) -> str | None:
        bell = FolderWatch(self.outbox.root, lambda: None)
        try:
            return self.health.absence(self.watch, bell, 0.0)
        finally:
            bell.stop()


@pytest.fixture
def home(tmp_path) -> Path:
    """A stopped home in which a daemon has worked, with one job `j`."""
    scene = Scene(tmp_path)
    scene.pending("j")
    (tmp_path / "inbox" / ".multiplane").touch()
    assert Start(tmp_path, scene.jobs.live.values()).absence() is None
    return tmp_path


@pytest.fixture
def jobs(home: Path) -> list[Job]:
    return list(History(LocalFiles(), os.fsencode(home / ".state" / "journal")).now().live.values())


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_a_marker_that_was_removed_between_two_starts_is_put_back_and_told_of(home, jobs, name, monkeypatch) -> None:
    said = []
    monkeypatch.setattr("daemon.health.folder_health.logger.warning", lambda text, *values: said.append(text.format(*values)))
    (home / name / ".multiplane").unlink()
    assert Start(home, jobs).absence() is None
    assert (home / name / ".multiplane").exists()
    assert any(f"the marker file .multiplane of the {name} had been removed" in sentence for sentence in said)


def test_a_marker_of_the_outbox_that_is_removed_while_it_runs_is_put_back(home, jobs) -> None:
    start = Start(home, jobs)
    assert start.absence() is None
    (home / "outbox" / ".multiplane").unlink()
    assert start.absence() is None
    assert (home / "outbox" / ".multiplane").exists()


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_what_is_in_the_place_of_a_folder_is_told_as_it_is(home, jobs, name) -> None:
    folder = home / name
    folder.rename(home / "elsewhere")
    start = Start(home, jobs)
    assert start.absence() == f"{folder} is not there"
    assert start.health.absence_hint.startswith("Nothing is lost; work resumes as soon as the folder is back.")
    folder.mkdir()
    assert start.absence().startswith(f"{folder} is there, but not its marker file .multiplane")
    folder.rmdir()
    folder.write_text("a file")
    assert start.absence() == f"{folder} is not a folder"
    assert f"folders.{name}" in start.health.absence_hint


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_another_folder_in_its_place_is_never_taken_for_it(home, jobs, name) -> None:
    """The folder that an unmounted disk leaves: its mount point."""
    (home / name).rename(home / "mounted")
    (home / name).mkdir()
    for _ in range(2):
        assert Start(home, jobs).absence() is not None
        assert list((home / name).iterdir()) == []
    (home / name).rmdir()
    (home / "mounted").rename(home / name)
    assert Start(home, jobs).absence() is None


def test_a_link_to_another_folder_is_never_taken_for_it(home, jobs) -> None:
    (home / "inbox").rename(home / "mounted")
    (home / "elsewhere").mkdir()
    (home / "inbox").symlink_to(home / "elsewhere")
    assert Start(home, jobs).absence() is not None
    assert list((home / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("loss", ["folder", "picture", "other picture"])
def test_an_outbox_without_its_jobs_is_not_the_outbox_whatever_its_number(home, jobs, loss) -> None:
    """A folder that was deleted and created again may get the same inode."""
    picture = home / "outbox" / "j" / "source" / "j.jpg"
    if loss == "folder":
        (home / "outbox" / "j").rename(home / "thrown away")
    else:
        picture.unlink()
    if loss == "other picture":
        picture.write_bytes(b"another picture")
    (home / "outbox" / ".multiplane").unlink()
    assert "outbox is there, but not its marker file .multiplane" in Start(home, jobs).absence()
    assert not (home / "outbox" / ".multiplane").exists()


def test_an_outbox_that_no_job_is_known_to_be_in_is_known_by_itself(home) -> None:
    (home / "outbox" / ".multiplane").unlink()
    assert Start(home).absence() is None


def test_a_mount_point_is_never_remembered(tmp_path) -> None:
    proof = FolderIdentities(LocalFiles(), os.fsencode(tmp_path / "folders.json"))
    proof.remember("inbox", b"/")
    assert not proof.recognises("inbox", b"/")
    proof.remember("inbox", os.fsencode(tmp_path))
    assert proof.recognises("inbox", os.fsencode(tmp_path))
    proof.remember("inbox", b"/")
    assert not proof.recognises("inbox", os.fsencode(tmp_path))


@pytest.mark.parametrize("data", [b"", b"{", b'{"inbox": 1}', b"\0" * 99])
def test_a_damaged_memory_proves_nothing_and_stops_nothing(home, jobs, data) -> None:
    (home / ".state" / "folders.json").write_bytes(data)
    assert Start(home, jobs).absence() is None
    (home / ".state" / "folders.json").write_bytes(data)
    (home / "inbox" / ".multiplane").unlink()
    assert Start(home, jobs).absence() is not None
