"""What `--help` and the README say about every verb, and about the exit statuses."""

import re

import pytest
from typer.testing import CliRunner

from daemon.cli.app import VERBS, command_line, overview
from daemon.cli.exit_status import MEANINGS, ExitStatus
from daemon.settings.layout import PROGRAM

RUNNER = CliRunner()


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_shows_an_example_and_has_a_short_form(verb):
    tool = command_line(verb)
    several = [verb]
    shown = RUNNER.invoke(tool, [verb, "-h"], prog_name="multiplane", terminal_width=200)
    if "Commands" in shown.output:
        several = [f"{verb} {name}" for name in re.findall(r"^│ (\w+) ", shown.output.split("Commands")[1], re.MULTILINE)]
        assert several
    for words in several:
        shown = RUNNER.invoke(tool, [*words.split(), "-h"], prog_name="multiplane", terminal_width=200)
        assert shown.exit_code == 0, words
        assert re.search(rf"Examples?: +multiplane {words}", plain(shown.output)), words


def test_the_exit_statuses_are_told_the_same_way_in_the_help_and_in_the_readme():
    readme = (PROGRAM / "README.md").read_text(encoding="utf-8")
    shown = plain(RUNNER.invoke(overview(), ["--help"], terminal_width=200).output)
    assert list(MEANINGS) == list(ExitStatus)
    for status, meaning in MEANINGS.items():
        assert f"| {status.value} | {meaning} |" in readme
        assert f"{status.value} {meaning}" in shown
