"""Dropping from the command line: completely, or not at all and with one sentence."""

import errno
import os
import unicodedata

import pytest
import typer
import yaml
from service_scene import SETTINGS

from daemon.cli.app import _explained
from daemon.cli.asking import sending_requests
from daemon.cli.exit_status import ExitStatus
from daemon.cli.submitting import dropping
from daemon.cli.submitting.preset_folders import preset_folder
from daemon.cli.verbs import submit
from daemon.contract.requests import Request
from daemon.fs import LocalFiles
from daemon.settings import load

#: What a command sees of a picture: its beginning and its end.
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20) + b"IEND\xaeB`\x82"


@pytest.fixture
def settings(tmp_path):
    made = load(tmp_path / "home", SETTINGS)
    made.paths.inbox.mkdir(parents=True)
    return made


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photo.depth.png").write_bytes(PICTURE)
    path = tmp_path / "photo.png"
    path.write_bytes(PICTURE)
    return path


class Failing(LocalFiles):
    """The real disk until this many renames are done; then `happens` is called, and the next rename fails."""

    def __init__(self, renames, happens=lambda: None, error=None):
        self.left, self.happens = renames, happens
        self.error = error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def rename(self, source, target):
        if self.left == 0:
            self.happens()
            raise self.error
        self.left -= 1
        super().rename(source, target)


@pytest.mark.parametrize("renames", [0, 1, 2], ids=["nothing", "the picture", "its depth too"])
def test_what_cannot_be_dropped_whole_leaves_nothing_in_the_inbox(monkeypatch, settings, photo, renames, capsys):
    monkeypatch.setattr(dropping, "fs", Failing(renames))
    with pytest.raises(typer.Exit) as ended:
        dropping.drop(photo, {"id": "mine"}, settings)
    assert ended.value.exit_code == ExitStatus.DISK
    told = " ".join(capsys.readouterr().err.split())
    assert "photo.png cannot be put into the inbox: No space left on device" in told
    assert f"Make room on the disk of {settings.paths.inbox}" in told
    assert list(settings.paths.inbox.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_a_missing_permission(monkeypatch, settings, photo, capsys):
    monkeypatch.setattr(dropping, "fs", Failing(0, error=OSError(errno.EROFS, os.strerror(errno.EROFS))))
    with pytest.raises(typer.Exit) as ended:
        dropping.drop(photo, {"id": "mine"}, settings)
    assert ended.value.exit_code == ExitStatus.DENIED
    assert "Read-only file system" in capsys.readouterr().err


def test_a_request_that_finds_no_room_says_so_with_the_status_of_a_disk(monkeypatch, settings, capsys):
    monkeypatch.setattr(sending_requests, "fs", Failing(0))
    with pytest.raises(typer.Exit) as ended:
        sending_requests.send(settings, Request(verb="cancel", jobs=("j",)), runs=False)
    assert ended.value.exit_code == ExitStatus.DISK
    assert "cannot be written (No space left on device)" in " ".join(capsys.readouterr().err.split())
    assert list(settings.paths.requests.iterdir()) == []


def test_a_disk_that_is_full_while_a_file_is_written_ends_every_verb_with_one_sentence():
    refusal = _explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))  # the system names no file then
    assert refusal is not None
    assert (refusal.message, refusal.exit_status) == (
        "a file cannot be read or written: No space left on device",
        ExitStatus.DISK,
    )


def test_ctrl_c_leaves_nothing_in_the_inbox_either(monkeypatch, settings, photo):
    monkeypatch.setattr(dropping, "fs", Failing(1, error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        dropping.drop(photo, {"id": "mine"}, settings)
    assert list(settings.paths.inbox.iterdir()) == []


def test_ctrl_c_right_after_a_rename_takes_that_file_back_too(monkeypatch, settings, photo):
    class Interrupted(LocalFiles):
        def rename(self, source, target):
            super().rename(source, target)
            raise KeyboardInterrupt

    monkeypatch.setattr(dropping, "fs", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        dropping.drop(photo, {"id": "mine"}, settings)
    assert list(settings.paths.inbox.iterdir()) == []


def test_a_link_to_a_picture_is_submitted_as_the_picture(settings, photo, tmp_path):
    (tmp_path / "linked").mkdir()
    for name in ("photo.png", "photo.depth.png"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / name)
    dropping.drop(tmp_path / "linked" / "photo.png", {"id": "mine"}, settings)
    dropped = {path.name: path.read_bytes() for path in settings.paths.inbox.iterdir() if path.suffix == ".png"}
    assert dropped == {"photo.png": PICTURE, "photo.depth.png": PICTURE}


def test_a_file_that_somebody_else_put_in_place_of_ours_is_not_taken_back(monkeypatch, settings, photo, tmp_path):
    inbox = settings.paths.inbox

    def claimed_and_dropped_again() -> None:
        (inbox / "photo.png").rename(tmp_path / "claimed.png")
        (inbox / "photo.png").write_bytes(b"another picture")

    monkeypatch.setattr(dropping, "fs", Failing(2, claimed_and_dropped_again))
    with pytest.raises(typer.Exit):
        dropping.drop(photo, {"id": "mine"}, settings)
    assert {path.name: path.read_bytes() for path in inbox.iterdir()} == {"photo.png": b"another picture"}


def test_once_the_sidecar_is_there_the_job_is_dropped_whatever_the_disk_says_then(monkeypatch, settings, photo, capsys):
    class Unsure(LocalFiles):
        def sync_dir(self, path):
            if path == settings.paths.inbox_bytes:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().sync_dir(path)

    monkeypatch.setattr(dropping, "fs", Unsure())
    assert dropping.drop(photo, {"id": "mine"}, settings).job_id == "mine"
    assert "photo.png is in the inbox, but a power cut might lose it" in " ".join(capsys.readouterr().err.split())
    assert sorted(os.listdir(settings.paths.inbox)) == ["photo.depth.png", "photo.png", "photo.png.yaml"]


@pytest.mark.parametrize("why", [errno.EACCES, errno.EROFS, errno.ENOLCK, errno.ENOTSUP])
def test_where_there_can_be_no_lock_no_turns_are_taken(monkeypatch, settings, photo, why):
    class Lockless(LocalFiles):
        def lock(self, path):
            raise OSError(why, os.strerror(why))

    monkeypatch.setattr(dropping, "fs", Lockless())
    assert dropping.drop(photo, {"id": "mine"}, settings).job_id == "mine"


def test_a_submit_that_was_stopped_in_its_turn_is_waited_for_only_so_long(monkeypatch, settings, photo, capsys):
    monkeypatch.setattr(dropping, "_LOCK_SECONDS", 0.05)
    settings.paths.state.mkdir()
    held = LocalFiles().lock(settings.paths.state_bytes + b"/submit.lock")
    with pytest.raises(typer.Exit):
        dropping.drop(photo, {"id": "mine"}, settings)
    assert "another submit is running and does not finish" in " ".join(capsys.readouterr().err.split())
    assert list(settings.paths.inbox.iterdir()) == []
    os.close(held)
    assert dropping.drop(photo, {"id": "mine"}, settings).job_id == "mine"
    assert sorted(os.listdir(settings.paths.inbox)) == ["photo.depth.png", "photo.png", "photo.png.yaml"]


def test_what_was_dropped_before_one_that_could_not_be_is_told(monkeypatch, settings, photo, tmp_path, capsys):
    (tmp_path / "second.png").write_bytes(PICTURE)
    monkeypatch.setattr(dropping, "fs", Failing(3))  # the first, its depth and its sidecar
    monkeypatch.setattr(submit, "home_to_fill", lambda home: settings)
    with pytest.raises(typer.Exit):
        submit.submit([photo, tmp_path / "second.png"], json=True)
    told = " ".join(capsys.readouterr().err.split())
    assert "second.png cannot be put into the inbox" in told
    (sidecar,) = settings.paths.inbox.glob("*.yaml")
    assert f"{yaml.safe_load(sidecar.read_text())['id']} is already in the inbox." in told


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_preset_is_found_however_its_umlaut_is_written(settings, form):
    folder = settings.paths.inbox / unicodedata.normalize(form, "Köche")
    folder.mkdir()
    (folder / "_preset.yaml").write_text("num_layers: 3\n")
    for typed in ("NFC", "NFD"):
        found, preset = preset_folder(settings, unicodedata.normalize(typed, "Köche"))
        assert (found, preset.fields) == (folder, {"num_layers": 3})
