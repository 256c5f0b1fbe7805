"""Writes Multiplane's commands into sentences. No other module does.

The code that writes a sentence does not know who will read it. A hint goes into the journal, and from there to a page, a status
file or a terminal, perhaps after the home or the program was moved. So a sentence contains the short form of a command, such as
`multiplane retry ID`. The code that shows the sentence fills in what the reader's terminal needs to find program and home.

A sentence also contains names that strangers chose, and a name may look like a command. So each command stands between two marks,
and only marked text is filled in, or shown as code. A mark is a backtick next to a NUL character. No name of a file, no argument
and no variable of the environment can contain a NUL. It is removed from all other text that others write: from YAML files by
`daemon.sidecar.problems`, from workers' messages by `daemon.contract.bounds`, from files in the outbox by those who read them
(`without_marks`).
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

_T = TypeVar("_T")

_NAME = "multiplane"
_NUL = "\0"
_NUL_IN_JSON = "\\u0000"
_OPEN, _CLOSE = f"{_NUL}`", f"`{_NUL}"
_MARKED = re.compile(f"{_OPEN}([^{_NUL}]+){_CLOSE}")
_ANYTHING = re.compile(r"(?s).*")
#: A command with one of these words needs no home added: it names a home, or only prints something about the program.
_WITHOUT_HOME = ("--home", "--help", "--version")


def command(*words: str) -> str:
    """The command `multiplane …` for a sentence. `words`: the verb and its arguments, which this quotes if a shell needs it."""
    return as_code(f"{_NAME} {shlex.join(words)}")


def as_code(text: str) -> str:
    """Something else to type, for a sentence: another program's command, or a line of a YAML file. It is shown unchanged."""
    return f"{_OPEN}{text}{_CLOSE}"


def has_marks(text: str) -> bool:
    """Whether this sentence may contain a command or other code."""
    return _NUL in text


def unmarked(text: str) -> str:
    """The sentence without marks, so that nothing in it is filled in. Commands stand in their short form between backticks."""
    return text.replace(_NUL, "")


def without_marks(value: _T) -> _T:
    """The model or JSON value, with `unmarked` applied to each text in it. This is for files that anybody may have written."""
    return _changed(value, unmarked)


def well_marked(text: str, allowed: re.Pattern[str] = _ANYTHING) -> str:
    """The sentence without the marks that lack a partner, and without those around code that `allowed` does not match.

    Marks around what begins like a command, but is not written as `command` writes one, are removed, too.
    """
    if not has_marks(text):
        return text
    return _rewritten(text, lambda found: as_code(found) if allowed.fullmatch(found) and _is_ours(found) else f"`{found}`")


def shortened(text: str, most: int, end: str) -> str:
    """The sentence, cut to at most `most` characters and `end` if it is longer. A command is left out rather than cut."""
    if len(text) <= most:
        return text
    cut = text[:most]
    begun = cut.rfind(_OPEN)
    return (cut[:begun] if cut.rfind(_CLOSE) < begun else cut) + end


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
        knows_its_home = any(word.split("=")[0] in _WITHOUT_HOME for word in words)
        return " ".join(filter(None, (self.program, shlex.join(words), "" if knows_its_home else self.home)))

    def fill(self, text: str, *, keep_marks: bool = False) -> str:
        """The sentence with its commands in the form that the reader can type, between backticks.

        With `keep_marks`, they stay marked, so that the reader's program can tell them from names.
        """
        if not has_marks(text):
            return text
        return _rewritten(text, lambda found: as_code(self._filled(found)) if keep_marks else f"`{self._filled(found)}`")

    def fill_all(self, value: _T, *, keep_marks: bool = False) -> _T:
        """The model or JSON value, with `fill` applied to each text in it."""
        if isinstance(value, BaseModel) and _has_no_marks(value):
            return value
        return _changed(value, lambda text: self.fill(text, keep_marks=keep_marks))

    def _filled(self, found: str) -> str:
        return self.typed(*shlex.split(found)[1:]) if found.startswith(f"{_NAME} ") else found


#: Commands for help texts and documentation, where no home is known.
SHORT = Commands()


def _rewritten(text: str, rewrite: Callable[[str], str]) -> str:
    """The text with its marked parts rewritten, and without other NULs. `rewrite` gets a part without its marks."""
    parts = _MARKED.split(text)
    return "".join(rewrite(part) if place % 2 else unmarked(part) for place, part in enumerate(parts))


def _is_ours(found: str) -> bool:
    """Whether marked text that begins like a command is one that `command` could have written."""
    if not found.startswith(f"{_NAME} "):
        return True
    try:
        return shlex.join(shlex.split(found)) == found
    except ValueError:  # a quote without its partner
        return False


def _has_no_marks(value: BaseModel) -> bool:
    """Whether it is certain that no text in the model has marks. Looking into each text in Python would take far longer."""
    try:
        return _NUL_IN_JSON not in value.model_dump_json()
    except ValueError:  # a text with half of a character, which JSON in UTF-8 does not allow
        return False


def _changed(value: _T, change: Callable[[str], str]) -> _T:
    """The model or JSON value, with `change` applied to each text in it except the names of fields."""
    return cast("_T", _changed_in(value, change))


def _changed_in(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON of any kind
    match value:
        case str():
            return change(value)
        case BaseModel():
            old = {name: getattr(value, name) for name in type(value).model_fields}
            new = {name: _changed_in(each, change) for name, each in old.items()}
            changed = {name: each for name, each in new.items() if each is not old[name]}
            return value.model_copy(update=changed) if changed else value
        case Mapping():
            made = {name: _changed_in(each, change) for name, each in value.items()}
            return value if all(each is value[name] for name, each in made.items()) else made
        case tuple() | list():
            items = [_changed_in(each, change) for each in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    return value
