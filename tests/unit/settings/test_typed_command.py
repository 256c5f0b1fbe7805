"""A command shown on a page works in a terminal without the daemon's environment."""

import shlex
import sys
from pathlib import Path

import pytest

from daemon import settings
from daemon.settings.layout import PROGRAM
from daemon.settings.typed_command import typed_command


def typed(home, tmp_path, **environ):
    environ = {"MULTIPLANE_CONFIG": "", "PATH": "/nowhere", **environ}
    return shlex.split(typed_command(settings.load(home, environ), environ, "models", "fetch", "m"))


@pytest.fixture
def script(tmp_path, monkeypatch):
    """An installation with the command beside its interpreter, under an awkward path."""
    folder = tmp_path / "my programs" / "bin"
    folder.mkdir(parents=True)
    (folder / "multiplane").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return str(folder / "multiplane")


def test_it_names_the_program_and_the_home(tmp_path, script):
    home = tmp_path / "Anna's layers"
    assert typed(home, tmp_path) == ["MULTIPLANE_CONFIG=", script, "models", "fetch", "m", "--home", str(home)]


def test_the_checkout_as_home_needs_no_naming(tmp_path, script):
    assert typed(PROGRAM, tmp_path) == ["MULTIPLANE_CONFIG=", script, "models", "fetch", "m"]


def test_what_says_where_things_lie_goes_along_and_nothing_else(tmp_path, script, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").touch()
    given = {"CONFIG": "my.yaml", "FOLDERS__MODELS": "/big disk", "QUEUE__MAX_PENDING": "7"}
    found = typed(PROGRAM, tmp_path, **{f"MULTIPLANE_{name}": value for name, value in given.items()})
    assert found[: found.index(script)] == [f"MULTIPLANE_CONFIG={tmp_path / 'my.yaml'}", "MULTIPLANE_FOLDERS__MODELS=/big disk"]


def test_without_a_script_the_interpreter_runs_the_module(tmp_path, script):
    Path(script).unlink()
    assert typed(PROGRAM, tmp_path)[1:5] == [sys.executable, "-P", "-m", "daemon.cli"]
