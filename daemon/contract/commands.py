"""The one place that writes a command of ours into a sentence.

Who writes a sentence does not know who will read it: a hint goes into the journal, and from there to a page, a status file or a
terminal, perhaps after the home or the program was moved. So a sentence holds a command in its short form, between backticks:
`multiplane retry ID`. What shows the sentence to people fills in what their terminal needs to find this program and this home.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

_T = TypeVar("_T")

_NAME = "multiplane"
#: A command as `command` writes it. Between quotes there may be anything, a backtick too.
_SHORT = re.compile(rf"`{_NAME} ((?:'[^']*'|\"[^\"]*\"|[^`'\"])+)`")
#: With one of these words, a command needs no home: it names one, or only prints something about the program.
_WITHOUT_HOME = ("--home", "--help", "--version")
#: The fields, of models and of JSON objects, that hold sentences of ours. All others may hold names, which are left alone.
PROSE = frozenset(
    {"error", "hint", "last_fault", "last_refusal", "message", "notes", "problem", "reason", "says", "sentence", "warnings"}
)


def command(*words: str) -> str:
    """`multiplane …` within a sentence. `words`: the verb and its arguments, quoted here where a shell needs it."""
    return f"`{_NAME} {shlex.join(words)}`"


def holds_commands(text: str) -> bool:
    """Whether there may be a command in this sentence."""
    return f"`{_NAME} " in text


#: In an error's hint. `ID` becomes the job's own where the job is shown.
RETRY = command("retry", "ID")


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands as one reader can type them. Without arguments: the short ones.

    Attributes:
        program: how the reader's terminal finds the program, quoted for a shell; with the variables that it needs in front.
        home: what is added behind the words, quoted for a shell: `--home …`, or nothing where the program finds it by itself.
    """

    program: str = _NAME
    home: str = ""

    def typed(self, *words: str) -> str:
        """One command, to be copied as it is."""
        return self._typed(shlex.join(words), words)

    def fill(self, text: str) -> str:
        """The sentence, with every command in it as the reader can type it."""
        return _SHORT.sub(self._filled, text) if holds_commands(text) else text

    def fill_all(self, value: _T) -> _T:
        """The model, or the JSON value, with every sentence of ours in it filled in; names in it stay as they are."""
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
