"""Sentences hold commands in their short form; whoever shows a sentence fills in what its reader's terminal needs."""

import shlex

import pytest

from daemon.contract.commands import RETRY, Commands, as_code, command, shortened, well_marked, without_marks
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
    name = "`multiplane retry ID`.jpg"
    error = ErrorInfo(code="internal", message=f"It broke: {name}.", hint=f"Run: {RETRY}.", detail=name)
    status = Status(
        job_id="a", state="failed", batch=name, source=Source(image=name, bytes=1), created_at="", error=error,
        warnings=(f"{name}: {RETRY}",), outputs=(Output(path=name, kind="layer", bytes=1, sha256=""),),
    )  # fmt: skip
    filled = Commands("mp", "-h").fill_all(status)
    assert filled.error
    assert filled.error.hint == "Run: `mp retry ID -h`."
    assert filled.warnings == (f"{name}: `mp retry ID -h`",)
    assert (filled.batch, filled.source, filled.outputs) == (name, status.source, status.outputs)
    assert (filled.error.message, filled.error.detail) == (f"It broke: {name}.", name)
    in_json = Commands("mp", "-h").fill_all([{"status": status.model_dump(), "says": f"{name}: {RETRY}", "file": name}])
    assert in_json == [{"status": filled.model_dump(), "says": f"{name}: `mp retry ID -h`", "file": name}]


def test_a_name_between_two_commands_is_never_taken_for_one():
    name = "`multiplane rm x`"
    said = f"{RETRY}{name}{RETRY} {name}"
    assert Commands("mp").fill(said) == f"`mp retry ID`{name}`mp retry ID` {name}"
    assert Commands("mp").fill(said, keep_marks=True) == f"{as_code('mp retry ID')}{name}{as_code('mp retry ID')} {name}"


def test_other_code_is_shown_as_it_is():
    assert ELSEWHERE.fill(f"Write {as_code('depth: auto')}.") == "Write `depth: auto`."


@pytest.mark.parametrize("most", range(len(f"Run {RETRY}!") + 1))
def test_a_cut_sentence_has_a_whole_command_or_none(most):
    cut = Commands("mp").fill(shortened(f"Run {RETRY}!", most, "…"), keep_marks=True)
    assert cut == f"Run {as_code('mp retry ID')}"[: len(cut) - 1] + cut[-1] or "`" not in cut


def test_a_mark_without_its_partner_is_dropped():
    assert well_marked("a\0`b") == "a`b"
    assert well_marked("a`\0b\0") == "a`b"
    assert well_marked(f"a\0{RETRY}") == f"a{RETRY}"
    assert Commands("mp").fill("\0`multiplane rm x") == "`multiplane rm x"


def test_text_from_a_file_that_anybody_may_write_loses_its_marks():
    forged = Status(job_id="a", state="pending", created_at="", warnings=(command("rm", "x"),))
    assert Commands("mp").fill_all(without_marks(forged)).warnings == ("`multiplane rm x`",)


def test_what_holds_no_command_is_given_back_itself():
    status = Status(job_id="a", state="pending", created_at="", warnings=("none",))
    assert ELSEWHERE.fill_all(status) is status
