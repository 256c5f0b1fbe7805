"""Makefile targets are not commands; whoever types one is told what to run instead."""

import re
import subprocess
import sys

import pytest
from typer.main import get_command

from daemon.cli import app
from daemon.settings.layout import PROGRAM, make, set_up_again

TARGETS = re.findall(r"^([a-z]+):.*## ", (PROGRAM / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_target_of_the_makefile_is_a_verb_or_known_not_to_be_one() -> None:
    assert set(TARGETS) - set(app.VERBS) - {"help"} == set(app.MAKE_TARGETS)


def test_the_overview_says_of_each_verb_what_the_verb_says_of_itself() -> None:
    said = {name: found.get_short_help_str(200) for name, found in get_command(app.overview()).commands.items()}
    assert said == {name: found.get_short_help_str(200) for name, found in get_command(app.command_line()).commands.items()}
    assert list(said) == list(app.VERBS)


@pytest.mark.parametrize("target", app.MAKE_TARGETS)
def test_a_target_typed_as_a_verb_is_answered_with_the_command(target, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["multiplane", target])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        f"multiplane: {target} is a command of the checkout, not a verb of multiplane",
        f"Run: {make(target)}",
    ]


def test_the_command_runs_as_printed_from_any_folder(tmp_path) -> None:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "Makefile").write_text("setup:\n\t@pwd\n")
    said = subprocess.run(set_up_again(folder), shell=True, cwd="/", capture_output=True, text=True, check=True).stdout
    assert str(folder.resolve()) in said
    assert set_up_again(tmp_path) == "pipx reinstall multiplane"
