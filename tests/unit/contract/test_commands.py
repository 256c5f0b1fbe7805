"""Sentences hold commands in their short form; whoever shows a sentence fills in what its reader's terminal needs."""

import shlex

import pytest

from daemon.contract.commands import RETRY, Commands, command
from daemon.contract.status import ErrorInfo, Output, Source, Status

ELSEWHERE = Commands("'/my programs/multiplane'", "--home '/Ann`s \"fotos\"'")
AWKWARD = 'it\'s `mine` "too"'


def test_every_command_in_a_sentence_is_filled_in():
    said = f"Run: {command('models', 'list')}, fetch the model it names, then: {RETRY}."
    there = "--home '/Ann`s \"fotos\"'"
    assert ELSEWHERE.fill(said) == (
        f"Run: `'/my programs/multiplane' models list {there}`, fetch the model it names, "
        f"then: `'/my programs/multiplane' retry ID {there}`."
    )


def test_words_are_quoted_whatever_they_contain():
    filled = ELSEWHERE.fill(f"Run: {command('models', 'fetch', AWKWARD)}, then go on.")
    assert filled.startswith("Run: `")
    assert filled.endswith("`, then go on.")
    words = shlex.split(filled.removeprefix("Run: `").removesuffix("`, then go on."))
    assert words == ["/my programs/multiplane", "models", "fetch", AWKWARD, "--home", '/Ann`s "fotos"']
    assert shlex.split(ELSEWHERE.typed("models", "fetch", AWKWARD)) == words


@pytest.mark.parametrize("words", [("--version",), ("submit", "--help"), ("service", "uninstall", "--home", "/b c")])
def test_a_command_that_needs_no_home_gets_none(words):
    assert shlex.split(ELSEWHERE.typed(*words)) == ["/my programs/multiplane", *words]
    assert ELSEWHERE.fill(command(*words)) == f"`{ELSEWHERE.typed(*words)}`"


def test_a_filled_sentence_stays_as_it_is_when_it_is_filled_again():
    filled = ELSEWHERE.fill(f"Run: {RETRY}.")
    assert Commands("other", "--home /other").fill(filled) == filled


def test_sentences_are_filled_in_everywhere_and_names_nowhere():
    name = f"{RETRY}.jpg"
    error = ErrorInfo(code="internal", message="It broke.", hint=f"Run: {RETRY}.", detail=name)
    status = Status(
        job_id="a", state="failed", batch=name, source=Source(image=name, bytes=1), created_at="", error=error, warnings=(RETRY,),
        outputs=(Output(path=name, kind="layer", bytes=1, sha256=""),),
    )  # fmt: skip
    filled = Commands("mp", "-h").fill_all(status)
    assert filled.error
    assert filled.error.hint == "Run: `mp retry ID -h`."
    assert filled.warnings == ("`mp retry ID -h`",)
    assert (filled.batch, filled.source, filled.error.detail, filled.outputs) == (name, status.source, name, status.outputs)
    in_json = Commands("mp", "-h").fill_all([{"status": status.model_dump(), "says": RETRY, "file": name}])
    assert in_json == [{"status": filled.model_dump(), "says": "`mp retry ID -h`", "file": name}]


def test_what_holds_no_command_is_given_back_itself():
    status = Status(job_id="a", state="pending", created_at="", warnings=("none",))
    assert ELSEWHERE.fill_all(status) is status
