"""Reads one file of a catalogue, as YAML, and reports every error with file and line.

These files belong to the user and the program, not to a stranger. `daemon.sidecar` reads what is dropped into the inbox.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ValidationError

from daemon.errors import Refusal
from daemon.shipped import CONFIG

Kind = Literal["styles", "models"]
#: The keys that lead to a value, from the top of the file.
Place = tuple[str, ...]
Checked = TypeVar("Checked")

SHIPPED: Mapping[Kind, str] = {"styles": str(CONFIG / "styles.yaml"), "models": str(CONFIG / "models.yaml")}
"""The program's own file for each catalogue."""

#: Libyaml's loader, if PyYAML was built with it: every command reads these files, and they are mostly comments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Deeper than any field. An alias can refer to something that contains it.
_MAX_DEPTH = 6
#: Words for the most frequent mistakes, by pydantic's error type, to follow the name of the field.
_WORDS = {
    "extra_forbidden": "is no field there is",
    "missing": "is missing",
    "union_tag_not_found": "needs an engine: strokes or diffusion",
    "union_tag_invalid": "has an engine there is not; it must be strokes or diffusion",
}


@dataclass(frozen=True)
class CatalogueFile:
    """The content of one file, with its lines.

    Attributes:
        kind: of the catalogue.
        path: of the file, absolute.
        content: the mapping in the file; empty if the file is empty.
        lines: the 1-based line of each key.
    """

    kind: Kind
    path: str
    content: dict[str, Any]
    lines: Mapping[Place, int]

    def fault(self, place: Place, reason: str) -> Refusal:
        """A refusal because of what is at a place in the file.

        It names the line of that place, or of the nearest one around it.
        """
        while place and place not in self.lines:
            place = place[:-1]
        return _fault(self.kind, self.path, f"is not valid: line {self.lines.get(place, 1)}: {reason}")

    def checked(self, check: Callable[[object], Checked]) -> Checked:
        """The content, converted by `check`.

        Raises:
            Refusal: pydantic finds an error; the message describes the first one.
        """
        try:
            return check(self.content)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            # Pydantic adds the tag of a union to the keys.
            place = tuple(str(part) for number, part in enumerate(wrong["loc"]) if number != 1 or self.kind != "styles")
            raise self.fault(place, _worded(place, wrong["type"], wrong["msg"])) from error


def read(kind: Kind, path: str) -> CatalogueFile:
    """Read a file.

    Raises:
        Refusal: it cannot be read, is not YAML, has a key twice, or does not contain a mapping.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            loader = _Loader(file.read())
            try:
                node = loader.get_single_node()
                content = {} if node is None else loader.construct_document(node)
            finally:
                loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise _fault(kind, path, f"cannot be read: {line}{error.problem}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _fault(kind, path, f"cannot be read: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise _fault(kind, path, f"cannot be read: {error.strerror}") from error
    lines: dict[Place, int] = {}
    found = CatalogueFile(kind, path, content if isinstance(content, dict) else {}, lines)
    if node is not None and not isinstance(content, dict):
        raise found.fault((), "it must hold names, each with its fields indented below it")
    if node is not None:
        _note(node, (), found, lines)
    return found


class StyleNames:
    """The names of the styles that are in the files now, so that a new style can be used at once, even while the daemon runs.

    Args:
        own: where the user's own list is, or would be.
    """

    def __init__(self, own: Sequence[str]) -> None:
        self._own = tuple(own)
        self._stamps: tuple[object, ...] = ()
        self._names: tuple[str, ...] = ()

    def now(self) -> tuple[str, ...]:
        """The names, the program's first. If a file has an error now, the earlier names; the next start reports the error.

        Raises:
            Refusal: a file has an error, and none was ever read.
        """
        paths = (SHIPPED["styles"], *(path for path in self._own if os.path.lexists(path)))
        stamps = tuple(_stamp(path) for path in paths)
        if stamps != self._stamps:
            try:
                self._names = names(paths)
            except Refusal:
                if not self._names:
                    raise
            self._stamps = stamps
        return self._names


def _stamp(path: str) -> tuple[str, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path, found.st_ino, found.st_mtime_ns, found.st_size


def names(paths: Sequence[str]) -> tuple[str, ...]:
    """The names of the styles in these files, in order. The styles themselves are not checked.

    Raises:
        Refusal: as for `read`, or a name appears twice.
    """
    origins: dict[str, str] = {}
    for path in paths:
        file = read("styles", path)
        for name in file.content:
            claim(origins, file, (str(name),))
    return tuple(origins)


def claim(origins: dict[str, str], file: CatalogueFile, place: Place) -> None:
    """Note which file an entry comes from; its name is the last key of its place.

    Raises:
        Refusal: the name is taken.
    """
    name = place[-1]
    if name in origins:
        raise file.fault(place, f"{name} is already in {origins[name]}; choose another name")
    origins[name] = file.path


def _fault(kind: Kind, path: str, what: str) -> Refusal:
    shipped = SHIPPED[kind]
    if os.path.realpath(path) == shipped:
        return Refusal(f"The list of {kind} {path} {what}.", hint="Restore the file; it is part of the program.")
    return Refusal(
        f"The list of {kind} {path} {what}.", hint=f"Correct {path}; the first lines of {shipped} explain every field."
    )


def _worded(place: Place, kind: str, message: str) -> str:
    words = _WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should be", "must be")
    where = ".".join(place)
    joint = " " if words.startswith(("is ", "must ", "needs ", "has an ")) else ": "
    return f"{where}{joint}{words}" if where else words


def _note(node: yaml.Node, place: Place, file: CatalogueFile, lines: dict[Place, int]) -> None:
    """Record the line of every key below a node, and refuse a key that appears twice (YAML itself would use the last)."""
    if not isinstance(node, yaml.MappingNode) or len(place) == _MAX_DEPTH:
        return
    for key, value in node.value:
        at = (*place, str(key.value))
        if at in lines:
            raise file.fault(at, f"{'.'.join(at)} appears again in line {key.start_mark.line + 1}; remove one of the two")
        lines[at] = key.start_mark.line + 1
        _note(value, at, file, lines)
