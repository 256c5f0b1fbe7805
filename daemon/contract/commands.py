"""Writes Multiplane's commands into sentences. No other module does.

The code that writes a sentence does not know who will read it. A hint goes into the journal, and from there to a page, a status
file or a terminal, perhaps after the home or the program was moved. So a sentence contains the short form of a command, between
backticks: `multiplane retry ID`. The code that shows the sentence fills in what the reader's terminal needs to find the program
and the home.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

_T = TypeVar("_T")

_NAME = "multiplane"
#: A command as `command` writes it. Quotes may contain any character, even a backtick.
_SHORT = re.compile(rf"`{_NAME} ((?:'[^']*'|\"[^\"]*\"|[^`'\"])+)`")
#: A command with one of these words needs no home added: it names a home, or only prints something about the program.
_WITHOUT_HOME = ("--home", "--help", "--version")
#: The fields of models and JSON objects that contain our sentences. Other fields may contain names, which stay unchanged.
PROSE = frozenset(
    {"error", "hint", "last_fault", "last_refusal", "message", "notes", "problem", "reason", "says", "sentence", "warnings"}
)


def command(*words: str) -> str:
    """The command `multiplane …` for a sentence. `words`: the verb and its arguments, which this quotes if a shell needs it."""
    return f"`{_NAME} {shlex.join(words)}`"


def holds_commands(text: str) -> bool:
    """Whether this sentence may contain a command."""
    return f"`{_NAME} " in text


#: A command in an error's hint. When a job is shown, its own id replaces `ID`.
RETRY = command("retry", "ID")


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands as one reader can type them. `Commands()` leaves them in their short form.

    Attributes:
        program: the words that start the program, quoted for a shell. The variables that it needs come first.
        home: what follows the verb and its arguments, quoted for a shell: `--home …`; empty if the program finds the home itself.
    """

    program: str = _NAME
    home: str = ""

    def typed(self, *words: str) -> str:
        """One command, which the reader can copy as it is."""
        return self._typed(shlex.join(words), words)

    def fill(self, text: str) -> str:
        """The sentence with its commands in the form that the reader can type."""
        return _SHORT.sub(self._filled, text) if holds_commands(text) else text

    def fill_all(self, value: _T) -> _T:
        """The model or JSON value, with `fill` applied to each sentence in it. Names stay unchanged."""
        return cast("_T", self._fill_all(value, is_prose=False))

    def _fill_all(self, value: Any, *, is_prose: bool) -> Any:  # noqa: ANN401 - JSON of any kind
        match value:
            case str():
                return self.fill(value) if is_prose else value
            case BaseModel():
                old = {name: getattr(value, name) for name in type(value).model_fields}
                new = {name: self._fill_all(each, is_prose=name in PROSE) for name, each in old.items()}
                changed = {name: each for name, each in new.items() if each is not old[name]}
                return value.model_copy(update=changed) if changed else value
            case Mapping():
                filled = {name: self._fill_all(each, is_prose=name in PROSE) for name, each in value.items()}
                return value if all(each is value[name] for name, each in filled.items()) else filled
            case tuple() | list():
                items = [self._fill_all(each, is_prose=is_prose) for each in value]
                return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
        return value

    def _filled(self, found: re.Match[str]) -> str:
        return f"`{self._typed(found[1], found[1].split())}`"

    def _typed(self, text: str, words: tuple[str, ...] | list[str]) -> str:
        knows_its_home = any(word.split("=")[0] in _WITHOUT_HOME for word in words)
        return " ".join(filter(None, (self.program, text, "" if knows_its_home else self.home)))
