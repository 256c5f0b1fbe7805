"""A file's name cannot tear a line, move the cursor or reverse text, wherever it is printed, listed or logged."""

import ast
import os
import sys
from pathlib import Path

import pytest
from loguru import logger
from pydantic import TypeAdapter

import daemon
from daemon.cli import app, common
from daemon.cli.options import Asked
from daemon.contract.bounds import Prose, Sentence
from daemon.contract.commands import Commands, command
from daemon.contract.words.printable import in_one_line, replace_unprintable
from daemon.outbox.waiting_list import MAX_WAITING, grouped, shared

HERE = Path(daemon.__file__).parents[1]
HOSTILE = "a\nb\rc\x1b[2Jd\u202egnp\u2066\u061c\u2028"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Asked, "for_json", False)
    yield
    logger.configure(patcher=lambda _: None)


@pytest.mark.parametrize("ending", [".jpg", ".jpg.yaml", ".yaml", ".depth.png", ".cr3", ".pdf", ".txt", ".yaml.txt", "", ".mov"])
def test_check_answers_in_whole_lines_whatever_the_name(ending: str, tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / f"{HOSTILE}{ending}"
    path.write_bytes(b"formats:\n-psd\n")
    monkeypatch.setattr(sys, "argv", ["multiplane", "check", os.fspath(path), "--home", os.fspath(tmp_path)])
    with pytest.raises(SystemExit):
        app._run()
    lines = capsys.readouterr().out.splitlines()
    # One line for the name, and for the answer at most what is wrong and what to do.
    assert 2 <= len(lines) <= 3
    assert lines[0].endswith(f"{tmp_path}/{replace_unprintable(HOSTILE)}{ending}")
    assert all(line.isprintable() for line in lines)


def test_the_console_prints_no_control_character_even_of_text_that_was_not_made_safe(capsys) -> None:
    common.out.print(f"one {HOSTILE}", markup=False)
    common.err.print(HOSTILE)
    common.print_error(HOSTILE, HOSTILE)
    common.print_note(HOSTILE)
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))
    assert len(said.err.splitlines()) == 5  # the second console text holds the one line end that is not taken for a name's
    assert common.printable_lines("a\x1b\nb") == "a·\nb"


def test_each_reason_in_the_waiting_list_is_one_line() -> None:
    found = shared(grouped([(b"", HOSTILE.encode(), f"waiting for {HOSTILE}.yaml")]))
    assert found.items[0].reason == f"waiting for {replace_unprintable(HOSTILE)}.yaml"
    assert found.items[0].path == HOSTILE  # a program gets the name itself
    many = shared(grouped([(b"", b"x%d" % number, HOSTILE) for number in range(MAX_WAITING + 1)]))
    assert [one.reason for one in many.more] == [replace_unprintable(HOSTILE)]


def test_each_message_in_the_log_is_one_line_with_its_commands(capsys) -> None:
    common.log_safely(Commands(home="--home h"))
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    logger.warning("{} waits: {}", HOSTILE, command("doctor"))
    logger.remove(sink)
    assert said == [f"{replace_unprintable(HOSTILE)} waits: `multiplane doctor --home h`\n"]


@pytest.mark.parametrize("kind", [Sentence, Prose])
def test_each_sentence_of_a_status_is_one_line(kind: object) -> None:
    assert TypeAdapter(kind).validate_python(HOSTILE).isprintable()


def test_the_marks_of_commands_are_kept_in_one_line() -> None:
    assert in_one_line(f"{HOSTILE} {command('run')}") == f"{replace_unprintable(HOSTILE)} {command('run')}"


def test_no_sentence_shows_a_name_as_python_would() -> None:
    """`!r` and `!a` double backslashes, and put names between quotation marks of another kind than all other sentences do."""
    found = [
        f"{path.relative_to(HERE)}, line {node.lineno}"
        for part in ("daemon", "pipeline")
        for path in sorted(HERE.joinpath(part).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue) and node.conversion in (ord("r"), ord("a"))
    ]
    assert found == []
