"""Dropping from the command line: whole, or not at all and with one sentence."""

import os

import pytest
import typer
from service_scene import SETTINGS, Files

from daemon.cli import submit
from daemon.fs import LocalFiles
from daemon.settings import load


@pytest.fixture
def settings(tmp_path):
    made = load(tmp_path / "home", SETTINGS)
    made.paths.inbox.mkdir(parents=True)
    return made


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photo.depth.png").write_bytes(b"its depth")
    path = tmp_path / "photo.png"
    path.write_bytes(b"a picture")
    return path


@pytest.mark.parametrize("full", [b"photo.png.yaml", b".submit-", b"inbox"])
def test_what_cannot_be_dropped_whole_leaves_nothing_in_the_inbox(monkeypatch, settings, photo, full, capsys):
    files = Files()
    files.fill("rename", part=full)
    monkeypatch.setattr(submit, "fs", files)
    with pytest.raises(typer.Exit) as ended:
        submit.drop(photo, {"id": "mine"}, settings)
    assert ended.value.exit_code == 1
    assert "photo.png cannot be put into the inbox: No space left on device" in capsys.readouterr().err
    assert list(settings.paths.inbox.iterdir()) == []


def test_a_submit_that_was_stopped_in_its_turn_is_waited_for_only_so_long(monkeypatch, settings, photo, capsys):
    monkeypatch.setattr(submit, "_PATIENCE_SECONDS", 0.05)
    settings.paths.state.mkdir()
    held = LocalFiles().lock(settings.paths.state_bytes + b"/submit.lock")
    with pytest.raises(typer.Exit):
        submit.drop(photo, {"id": "mine"}, settings)
    assert "another submit is at it and does not get on" in " ".join(capsys.readouterr().err.split())
    assert list(settings.paths.inbox.iterdir()) == []
    os.close(held)
    assert submit.drop(photo, {"id": "mine"}, settings).job_id == "mine"
    assert sorted(os.listdir(settings.paths.inbox)) == ["photo.depth.png", "photo.png", "photo.png.yaml"]
