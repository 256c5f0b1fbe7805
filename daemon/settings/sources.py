"""Reads what one source of the settings says: the shipped file, the user's file, the environment.

A refusal names the file or variable, the line, the key, and what is allowed.
"""

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, get_args, get_origin

import platformdirs
from annotated_types import Ge, Gt, Le
from pydantic import ByteSize
from pydantic.fields import FieldInfo

from daemon.contract.words.printable import quoted
from daemon.errors import Refusal
from daemon.settings.model import Settings
from daemon.shipped import CONFIG as SHIPPED_CONFIG
from daemon.sidecar import MAX_BYTES, fields, yaml_subset
from daemon.sidecar.problems import Problem, choice, did_you_mean

PREFIX = "MULTIPLANE_"
HOME, CONFIG = "MULTIPLANE_HOME", "MULTIPLANE_CONFIG"
#: Not a setting: a hook is told the id of its job by it, and may call the command line.
JOB = "MULTIPLANE_JOB"
SHIPPED = SHIPPED_CONFIG / "default.yaml"

_MAX_DEPTH = 4
"""Levels of nesting: group, key, list, and one more, so that an error message about a deeper level can name the key."""
_NOT_DEFAULTS = ("id", "images")
"""Sidecar fields without a default: every job needs its own id, and only batches name pictures."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Source:
    """What one file, or the environment, sets.

    Attributes:
        values: the values by group and key.
        places: where each key is set, for messages: the name of the file or variable, and the line in a file.
    """

    values: dict[str, dict[str, object]]
    places: dict[Key, tuple[str, int | None]]


class WrongKeysError(Refusal):
    """A source has keys that are wrong. `source`: what it sets besides."""

    def __init__(self, problems: list[Problem], source: Source) -> None:
        more = f" (and {len(problems) - 1} more {'mistakes' if problems[2:] else 'mistake'})" if problems[1:] else ""
        hint = f"Correct it and start again; {SHIPPED} explains every key."
        if len(problems) > 1:
            hint = f"{hint} Also: {'; '.join(str(problem) for problem in problems[1:11])}"
        super().__init__(f"{problems[0]}{more}", hint=hint)
        self.source = source


def user_file_of(environ: Mapping[str, str]) -> Path | None:
    """Where the user's settings file is, whether or not it exists; None if none is to be read."""
    named = environ.get(CONFIG)
    if named is None:
        return Path(platformdirs.user_config_dir("multiplane")) / "config.yaml"
    return Path(named).expanduser() if named else None


def sources_of(environ: Mapping[str, str], *, tolerant: bool = False) -> list[Source]:
    """What the shipped file, the user's file and the environment set, weakest first. `tolerant`: leave out what is wrong.

    Raises:
        Refusal: a file cannot be read, or a key is unknown or given twice.
    """
    user_file = user_file_of(environ)
    readers: list[Callable[[], Source]] = [partial(_from_file, SHIPPED, required=True)]
    if user_file:
        readers.append(partial(_from_file, user_file, required=environ.get(CONFIG) is not None))
    readers.append(partial(_from_environment, environ))
    sources = []
    for read in readers:
        try:
            sources.append(read())
        except Refusal as refusal:
            if not tolerant:
                raise
            sources.append(refusal.source if isinstance(refusal, WrongKeysError) else Source({}, {}))
    return sources


def allowed_values(key: Key) -> str:
    """The values that a key allows, in words that follow "must be"."""
    if key[0] == "defaults":
        return fields.FIELDS[key[1]].allowed
    info = all_keys()[key]
    annotation, low, high = info.annotation, "", ""
    if _is_list(info):
        return 'a list of texts such as ["/usr/local/bin/notify", "--all"], or null'
    least: object = 0
    for bound in info.metadata:
        if isinstance(bound, Ge):
            low = f" from {bound.ge}"
            least = bound.ge
        elif isinstance(bound, Gt):
            low = f" above {bound.gt}"
        elif isinstance(bound, Le):
            high = f"{' and up' if low.startswith(' above') else ''} to {bound.le}"
    if annotation is ByteSize:
        return f"a size such as 500 MB, at least {_size(int(str(least)))}"
    words = [
        word for part in (annotation, *get_args(annotation)) if get_origin(part) is typing.Literal for word in get_args(part)
    ]
    if words:
        numbers = [] if get_origin(annotation) is typing.Literal else ["a whole number from 1 to 1024"]
        return choice([*words, *numbers])
    if int in get_args(annotation):
        return "a whole number from 1 to 36500, or null"
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        return f"{'a whole number' if annotation is int else 'a number'}{low}{high}"
    return "a text" if annotation is str else "the path of a folder, or null"


def _size(count: int) -> str:
    """A number of bytes as people write it in the settings. It is not rounded."""
    for unit, size in (("MB", 1_000_000), ("kB", 1000)):
        if count and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


def all_keys() -> dict[Key, FieldInfo]:
    """Every key that can be set, with pydantic's description of it."""
    known: dict[Key, FieldInfo] = {}
    for group, info in Settings.model_fields.items():
        model = info.annotation
        for key, field in getattr(model, "model_fields", {}).items():
            if not (group == "defaults" and key in _NOT_DEFAULTS):
                known[group, key] = field
    return known


def _bytes_of(path: Path, *, required: bool) -> bytes:
    """The content of a settings file; empty if it is missing and not required."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return b""
        hint = f"Check {CONFIG}, or unset it." if path != SHIPPED else "Restore the file; it is part of the program."
        raise Refusal(f"There is no settings file {path}.", hint=hint) from None
    except OSError as error:
        raise Refusal(
            f"The settings file {path} cannot be read: {error.strerror}.", hint="Correct its permissions, or its name."
        ) from error


def _entries(path: Path, data: bytes, problems: list[Problem]) -> Iterator[yaml_subset.Entry]:
    """Yield the entries of a settings file. If it is no YAML of ours, add that to `problems`, and end there."""
    try:
        yield from yaml_subset.entries(data, max_depth=_MAX_DEPTH)
    except yaml_subset.OutsideSubset as fault:
        problems.insert(0, Problem(str(path), fault.line, fault.reason))


def _from_file(path: Path, *, required: bool) -> Source:
    source, name = Source({}, {}), str(path)
    problems: list[Problem] = []
    for group in _entries(path, _bytes_of(path, required=required), problems):
        if group.key not in Settings.model_fields:
            problems.append(
                Problem(name, group.line, f"unknown key {quoted(group.key)}{did_you_mean(group.key, Settings.model_fields)}")
            )
        elif isinstance(group.value, yaml_subset.Entries):
            for entry in group.value.entries:
                problems += _read_field(source, (group.key, entry.key), entry.value, (name, entry.line))
        elif not fields.is_null(group.value):
            problems.append(Problem(name, group.line, f"{group.key} must be a group of keys, indented below it"))
    if problems:
        raise WrongKeysError(problems, source)
    return source


def _from_environment(environ: Mapping[str, str]) -> Source:
    source, problems = Source({}, {}), []
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in (HOME, CONFIG, JOB):
            continue
        group, _, key = name[len(PREFIX) :].lower().partition("__")
        if (group, key) not in all_keys():
            known = ["HOME", "CONFIG", *("__".join(pair).upper() for pair in all_keys())]
            suggestion = did_you_mean(name[len(PREFIX) :], known, prefix=PREFIX)
            if not (key or suggestion or group in Settings.model_fields):
                continue  # some script's own variable: a setting has two underscores in its name
            problems.append(Problem(name, None, f"there is no setting of this name{suggestion}"))
            continue
        try:
            node = _node_of(environ[name])
        except yaml_subset.OutsideSubset as fault:
            problems.append(Problem(name, None, fault.reason))
            continue
        problems += _read_field(source, (group, key), node, (name, None))
    if problems:
        raise WrongKeysError(problems, source)
    return source


def _node_of(text: str) -> yaml_subset.Node:
    """A variable's value as a YAML node: a list if it begins with a bracket, otherwise a scalar."""
    if not text.startswith("["):
        return yaml_subset.Scalar(text, plain=True, line=1)
    (entry,) = yaml_subset.entries(f"value: {text}".encode(), max_depth=_MAX_DEPTH)
    return entry.value


def _read_field(source: Source, key: Key, node: yaml_subset.Node, place: tuple[str, int | None]) -> Iterator[Problem]:
    """Put one key into the source, or yield what is wrong with it."""
    name, line = place
    if key not in all_keys():
        known = [".".join(pair) for pair in all_keys()]
        yield Problem(name, line, f"unknown key {quoted('.'.join(key))}{did_you_mean('.'.join(key), known)}")
    elif key in source.places:
        yield Problem(name, line, f"{'.'.join(key)} appears twice; the first time in line {source.places[key][1]}")
    else:
        try:
            value = fields.value(key[1], node) if key[0] == "defaults" else _value(node, key)
        except fields.Wrong as wrong:
            yield Problem(name, line, f"{key[0]}.{wrong.sentence}")
            return
        source.values.setdefault(key[0], {})[key[1]] = value
        source.places[key] = place


def _is_list(info: FieldInfo) -> bool:
    """Whether a key takes a list of texts."""
    return any(get_origin(part) is tuple for part in get_args(info.annotation))


def _value(node: yaml_subset.Node, key: Key) -> str | tuple[str, ...] | None:
    """A scalar as text, which pydantic converts to the type of the key, or a list of texts; None if the scalar is null."""
    if _is_list(all_keys()[key]) and isinstance(node, yaml_subset.Items):
        texts = tuple(item.text for item in node.items if isinstance(item, yaml_subset.Scalar))
        if len(texts) == len(node.items):
            return texts
    elif _is_list(all_keys()[key]) and not fields.is_null(node):
        raise fields.Wrong(f"{key[1]} must be {allowed_values(key)}, not {fields.describe(node)}", node.line)
    if not isinstance(node, yaml_subset.Scalar):
        raise fields.Wrong(f"{key[1]} must be {allowed_values(key)}, not {fields.describe(node)}", node.line)
    return None if fields.is_null(node) else node.text


def refuse(problems: list[Problem]) -> NoReturn:
    """Refuse the settings for these reasons."""
    raise WrongKeysError(problems, Source({}, {}))
