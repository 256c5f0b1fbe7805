"""A mistake in the command line is told in our words, with the help of the verb in which it is."""

import json
import sys

import pytest

from daemon.cli import app
from daemon.cli.options import Asked
from daemon.contract.words.printable import replace_unprintable

OF_THE_LIBRARIES = ("Value error", "Input should", "Invalid value", "Usage:", "Got unexpected", "No such", "requires an", "╭")


def typed(*words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command line answers on standard error, line by line; it must end with 2 and print nothing else."""
    monkeypatch.setattr(sys, "argv", ["multiplane", *words])
    monkeypatch.setattr(Asked, "for_json", "--json" in words)
    with pytest.raises(SystemExit) as ended:
        app._run()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    return said.err.splitlines()


@pytest.mark.parametrize(
    ("line", "said", "help_of"),
    [
        ("submit --num-layers x a.jpg", '--num-layers must be a whole number, not "x"', "submit"),
        ("submit --strength x a.jpg", '--strength must be a number, not "x"', "submit"),
        ("submit --patience -1 a.jpg", '--patience must be at least 0, not "-1"', "submit"),
        ("submit --if-exists no a.jpg", '--if-exists must be fail, skip or new, not "no"', "submit"),
        ("submit --nu 3 a.jpg", 'there is no option --nu; did you mean "--num-layers"?', "submit"),
        ("submit --home= a.jpg", "--home is empty. Name a folder, or leave --home out.", "submit"),
        ("submit", "IMAGE is missing", "submit"),
        ("jobs --state x", '--state must be pending, processing, completed, failed or cancelled, not "x"', "jobs"),
        ("jobs --page", "--page needs a value", "jobs"),
        ("jobs --json=3", "--json takes no value", "jobs"),
        ("jobs --all --page 2", "--all lists the jobs of all pages: leave --page out", "jobs"),
        ("prune --state x", "--state must be ", "prune"),
        ("models fetch", "NAME is missing", "models fetch"),
        ("models fetch a b", "there is more than this verb takes: b", "models fetch"),
        ("models frob", 'there is no verb "frob"', "models"),
        ("service install --frob", "there is no option --frob", "service install"),
        ("joobs", 'there is no verb "joobs"; did you mean "jobs"?', ""),
        ("--frob", "there is no option --frob", ""),
        ("jobs --\x1b[2J", "there is no option --·[2J", "jobs"),
    ],
)
def test_a_mistake_is_told_in_our_words_with_the_help_of_its_verb(line, said, help_of, monkeypatch, capsys) -> None:
    words = line.split(" ")
    message, hint = typed(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert message.startswith(f"multiplane: {said}")
    help_words = " ".join([*help_of.split(), "--help"])
    assert f" {help_words}` lists the " in hint or f"multiplane {help_words}` lists the " in hint
    assert not any(words in message + hint for words in OF_THE_LIBRARIES)
    if "--json" not in line and words[0] in app.VERBS:
        verb = len(help_of.split())
        (as_json,) = typed(*words[:verb], "--json", *words[verb:], monkeypatch=monkeypatch, capsys=capsys)
        error = json.loads(as_json)["error"]
        assert replace_unprintable(error["message"]).startswith(said) or "--json" in error["message"]  # not all verbs have it
        assert error["hint"] == hint
