"""A command that we show works in the terminal of whoever reads it, and reaches the home that it was shown for."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from daemon import settings
from daemon.contract.commands import command
from daemon.settings.layout import PROGRAM
from daemon.settings.typed_command import commands_anywhere, commands_here


def typed(home, made=commands_anywhere, **environ):
    environ = {"MULTIPLANE_CONFIG": "", "PATH": "/nowhere", **environ}
    found = made(settings.load(home, environ).paths.home, environ)
    return shlex.split(found.typed("models", "fetch", "m"))


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
    assert typed(home) == ["MULTIPLANE_CONFIG=", script, "models", "fetch", "m", "--home", str(home)]


def test_the_checkout_as_home_needs_no_naming(script):
    assert typed(PROGRAM) == ["MULTIPLANE_CONFIG=", script, "models", "fetch", "m"]


@pytest.mark.parametrize("made", [commands_anywhere, commands_here])
def test_the_checkout_as_home_is_named_where_a_bare_command_may_mean_another(tmp_path, script, made):
    assert typed(PROGRAM, made, MULTIPLANE_HOME=str(tmp_path))[-2:] == ["--home", str(PROGRAM)]


def test_what_says_where_things_lie_goes_along_and_nothing_else(tmp_path, script, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").touch()
    given = {"CONFIG": "my.yaml", "FOLDERS__MODELS": "/big disk", "QUEUE__MAX_PENDING": "7"}
    places = {"XDG_DATA_HOME": "/my data", "XDG_RUNTIME_DIR": "/run/1"}
    found = typed(PROGRAM, **{f"MULTIPLANE_{name}": value for name, value in given.items()}, **places)
    assert found[: found.index(script)] == [
        f"MULTIPLANE_CONFIG={tmp_path / 'my.yaml'}",
        "MULTIPLANE_FOLDERS__MODELS=/big disk",
        "XDG_DATA_HOME=/my data",
    ]


def test_without_a_script_the_interpreter_runs_the_module(script):
    Path(script).unlink()
    assert typed(PROGRAM)[1:5] == [sys.executable, "-P", "-m", "daemon.cli"]


def test_in_a_terminal_that_finds_this_program_its_name_is_enough(tmp_path, script):
    names = tmp_path / "bin"
    names.mkdir()
    (names / "multiplane").symlink_to(script)
    assert typed(tmp_path, commands_here, PATH=f"/nowhere:{names}")[1:2] == ["multiplane"]
    assert typed(tmp_path, commands_anywhere, PATH=str(names))[1] == script, "another terminal may not find it"


def test_in_a_terminal_that_finds_another_program_of_that_name_the_path_is_given(tmp_path, script):
    names = tmp_path / "bin"
    names.mkdir()
    (names / "multiplane").touch(mode=0o755)
    assert typed(tmp_path, commands_here, PATH=str(names))[1] == script


def test_the_shortest_command_is_the_one_that_a_newcomer_types(script):
    environ = {"PATH": os.path.dirname(script)}
    assert commands_here(PROGRAM, environ).fill(f"Run: {command('retry', 'ID')}.") == "Run: `multiplane retry ID`."
