"""No text of the program names a command by hand: `command` writes it, for whoever shows the text to fill in; and all exist.

What a person does not run as it is printed is left out: docstrings, and names of files, programs and packages.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from daemon.cli.app import VERBS, command_line
from daemon.contract import commands
from daemon.settings.layout import PROGRAM

SOURCES = sorted(
    path
    for path in (*(PROGRAM / "daemon").rglob("*"), *(PROGRAM / "pipeline").rglob("*"))
    if path.suffix in (".py", ".js", ".html") and path != Path(commands.__file__)
)
#: With a verb or an option behind it, or with whatever is put there later.
BY_HAND = re.compile(rf"\bmultiplane\s+(?:-|\0|$|(?:{'|'.join(VERBS)})\b)")
LINE_TOOL = typer.main.get_command(command_line())
UsageError = typer.BadParameter.__base__
#: Stands for what is known only when the text is written: a text or a number.
A_VALUE = "1"


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text in a module but its docstrings, with its line."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            values = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values]
            yield node.lineno, "".join(values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (parts | alone):
            yield node.lineno, node.value


def by_hand(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    found = texts(ast.parse(source)) if path.suffix == ".py" else enumerate(source.splitlines(), 1)
    hits = ((line, text) for line, text in found if BY_HAND.search(text))
    return [f"{path.relative_to(PROGRAM)}, line {line}: {text}" for line, text in hits]


def test_no_text_names_a_command_by_hand() -> None:
    assert [hit for path in SOURCES for hit in by_hand(path)] == []


@pytest.mark.parametrize(
    "text",
    [
        '"Run: multiplane retry ID."',
        'f"See {x} (multiplane models fetch {name})."',
        'f"Run: multiplane {verb}"',
        '"multiplane " + verb',
    ],
)
def test_a_command_written_by_hand_is_found(tmp_path, monkeypatch, text) -> None:
    monkeypatch.setattr("test_printed_commands.PROGRAM", tmp_path)
    (tmp_path / "x.py").write_text(f'"""multiplane run is fine here."""\nhint = {text}\n')
    assert len(by_hand(tmp_path / "x.py")) == 1


def written() -> Iterator[tuple[str, list[str]]]:
    """Every command that the program may print: where it is written, and its words."""
    for path in SOURCES:
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _name(node.func) in ("command", "commands.command", "commands.typed"):
                    words = [arg.value if isinstance(arg, ast.Constant) else A_VALUE for arg in node.args]
                    if words and isinstance(node.args[0], ast.Constant) and words[0] != "--":
                        yield f"{path.relative_to(PROGRAM)}, line {node.lineno}", words


def _name(called: ast.expr) -> str:
    """The function that is called, with the last word of what it belongs to."""
    return ".".join(ast.unparse(called).split(".")[-2:])


def test_every_command_that_may_be_printed_is_known_and_takes_its_words_and_its_home() -> None:
    said = [(where, words) for where, words in written() if where.split(",")[0] != "daemon/settings/typed_command.py"]
    assert len(said) > 40, "the search for them no longer finds them"
    for where, words in said:
        typed = shlex.split(commands.Commands("multiplane", "--home /h").typed(*words))[1:]
        if any(word in ("--help", "--version") for word in typed):
            assert typed[0] in (*VERBS, "--help", "--version"), where
            continue
        try:
            _parse(LINE_TOOL, typed)
        except UsageError as error:
            pytest.fail(f"{where}: multiplane {shlex.join(typed)}: {error.format_message()}")


def _parse(tool, words: list[str]) -> None:
    """Read the words as the command line does, and run nothing."""
    context = tool.context_class(tool)
    if hasattr(tool, "resolve_command"):
        name, inner, rest = tool.resolve_command(context, words)
        assert inner, name
        _parse(inner, rest)
    else:
        tool.make_context(tool.name, words)
