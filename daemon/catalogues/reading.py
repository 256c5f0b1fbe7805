"""Reads one file of a catalogue, as YAML, and reports errors with file and line.

These files belong to the user or the program and are trusted. `daemon.sidecar` reads the untrusted files in the inbox.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ValidationError

from daemon.contract.words.validation import faults
from daemon.errors import Refusal
from daemon.shipped import CONFIG

Kind = Literal["styles", "models"]
#: The keys that lead to a value, from the top of the file.
Place = tuple[str, ...]
Checked = TypeVar("Checked")

SHIPPED: Mapping[Kind, str] = {"styles": str(CONFIG / "styles.yaml"), "models": str(CONFIG / "models.yaml")}
"""The program's own file for each catalogue."""

SAME_LISTS = "Let both machines have equal files beside their settings files, or none; the worker there then restarts by itself."
"""What to do about a machine of a cluster whose own lists are not those of this machine."""

#: libyaml's loader, if PyYAML was built with it. Every command reads these files, so reading them must be fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Deeper than any field. The limit is needed because an alias can refer to a node that contains the alias.
_MAX_DEPTH = 6


@dataclass(frozen=True)
class CatalogueFile:
    """The content of one file, with its lines.

    Attributes:
        kind: the kind of catalogue.
        path: the path of the file.
        content: the mapping in the file; empty if the file is empty.
        lines: the 1-based line of each key.
    """

    kind: Kind
    path: str
    content: dict[str, Any]
    lines: Mapping[Place, int]

    def fault(self, place: Place, reason: str) -> Refusal:
        """A refusal because of what is at a place in the file. `reason`: what is wrong there.

        It names the line of that place. If that is unknown, it names the line of the nearest key around the place.
        """
        while place and place not in self.lines:
            place = place[:-1]
        return _fault(self.kind, self.path, f"is not valid: line {self.lines.get(place, 1)}: {reason}")

    def checked(self, check: Callable[[object], Checked]) -> Checked:
        """The content, converted by `check`, a function of pydantic.

        Raises:
            Refusal: pydantic found errors; the message describes the first one.
        """
        try:
            return check(self.content)
        except ValidationError as error:
            wrong = faults(error)[0]
            # For a style, pydantic adds the engine (the tag of the union) as the second key.
            place = tuple(part for number, part in enumerate(wrong.place) if number != 1 or self.kind != "styles")
            raise self.fault(place, str(replace(wrong, place=place))) from error


def read(kind: Kind, path: str) -> CatalogueFile:
    """Read a file of a catalogue.

    Raises:
        Refusal: the file cannot be read, is not YAML, has a key twice, or does not contain a mapping.
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
    """The names of the styles that are in the files now. A new style can thus be used while the daemon runs.

    Args:
        own: the path of the user's own list, even if it does not exist; may be empty.
    """

    def __init__(self, own: Sequence[str]) -> None:
        self._own = tuple(own)
        self._stamps: tuple[object, ...] = ()
        self._names: tuple[str, ...] = ()

    def now(self) -> tuple[str, ...]:
        """The names, the program's first. If a file has an error, this returns the earlier names; the next start reports it.

        Raises:
            Refusal: a file has an error, and there are no names from before.
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
        Refusal: as in `read`, or a name appears twice.
    """
    origins: dict[str, str] = {}
    for path in paths:
        file = read("styles", path)
        for name in file.content:
            claim(origins, file, (str(name),))
    return tuple(origins)


def claim(origins: dict[str, str], file: CatalogueFile, place: Place) -> None:
    """Note in `origins` which file an entry is from. The last key of `place` is the entry's name.

    Raises:
        Refusal: an earlier entry has the same name.
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
