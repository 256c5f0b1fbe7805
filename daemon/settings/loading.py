"""Reads the settings from their sources. A refusal names the file or variable, the line, the key, and what is allowed."""

import os
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, get_args, get_origin

import platformdirs
from annotated_types import Ge, Gt, Le
from pydantic import ByteSize, ValidationError
from pydantic.fields import FieldInfo

from daemon.catalogues.reading import SHIPPED as LISTS
from daemon.catalogues.reading import StyleNames
from daemon.errors import Refusal
from daemon.settings.layout import Layout, default_home, lay_out
from daemon.settings.model import Settings
from daemon.shipped import CONFIG as SHIPPED_CONFIG
from daemon.sidecar import MAX_BYTES, fields, yaml_subset
from daemon.sidecar.problems import Problem, choice, did_you_mean, quoted

PREFIX = "MULTIPLANE_"
HOME, CONFIG = "MULTIPLANE_HOME", "MULTIPLANE_CONFIG"
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


def home_of(home: Path | None, environ: Mapping[str, str]) -> Path:
    """The absolute path of the home: `home`, or else the home that the environment names, or else the default home."""
    return Path(os.path.abspath((home or Path(environ.get(HOME) or default_home())).expanduser()))


def load(home: Path | None, environ: Mapping[str, str], *, is_network: Callable[[Path], bool] = lambda _: False) -> Settings:
    """Read the settings from the shipped file, the user's file and the environment. Later sources override keys of earlier ones.

    Args:
        home: the home folder. None: ``MULTIPLANE_HOME``; if that is not set, `default_home`.
        environ: the environment variables. ``MULTIPLANE_GROUP__KEY`` sets a key; its value is written as in the file.
            ``MULTIPLANE_CONFIG`` names the user's file; if it is empty, no user's file is read.
        is_network: whether a path is on a network file system.

    Raises:
        Refusal: a file cannot be read, or a key is unknown, is given twice, or has a value that is not allowed.
    """
    sources = _sources(environ)
    settings = _merge(sources)
    user_file = user_file_of(environ)
    beside = Path(os.path.abspath(user_file)) if user_file else None
    place = home_of(home, environ)
    folders = settings.folders
    settings._paths = lay_out(
        place,
        inbox=folders.inbox,
        outbox=folders.outbox,
        models=folders.models,
        catalogue=folders.catalogue,
        beside=beside,
        deliveries=settings.deliver.folder,
        is_network=is_network,
    )
    _check_lists(settings.paths)
    settings._styles = StyleNames(settings.paths.own_styles)
    if settings.defaults.style is not None and settings.defaults.style not in settings.styles:
        style = settings.defaults.style
        suggestion = did_you_mean(style, settings.styles) or f"; there are {', '.join(settings.styles)}"
        _refuse([_place(sources, [("defaults", "style")], f"there is no style {quoted(style)}{suggestion}")])
    return settings


def user_file_of(environ: Mapping[str, str]) -> Path | None:
    """Where the user's settings file is, whether or not it exists; None if none is to be read."""
    named = environ.get(CONFIG)
    if named is None:
        return Path(platformdirs.user_config_dir("multiplane")) / "config.yaml"
    return Path(named).expanduser() if named else None


def _sources(environ: Mapping[str, str]) -> list[Source]:
    """What the files and the environment set, weakest first."""
    user_file = user_file_of(environ)
    own = [_from_file(user_file, required=environ.get(CONFIG) is not None)] if user_file else []
    return [_from_file(SHIPPED, required=True), *own, _from_environment(environ)]


def origins(environ: Mapping[str, str]) -> dict[Key, tuple[str, int | None]]:
    """Where each key gets its value: the name of the file or of the variable, and the line in a file; the shipped file first.

    Raises:
        Refusal: as `load`.
    """
    found: dict[Key, tuple[str, int | None]] = {}
    for source in _sources(environ):
        found |= source.places
    return found


def _check_lists(paths: Layout) -> None:
    """Refuse the user's own lists if they are not valid. The program's lists alone are not checked."""
    # Imported only when needed: importing these takes longer than reading all settings.
    if paths.style_lists != (LISTS["styles"],):
        from daemon.catalogues.styles import styles

        styles(paths.style_lists)
    if paths.model_lists != (LISTS["models"],):
        from daemon.catalogues.models import catalogue

        catalogue(paths.model_lists)


def _merge(sources: list[Source]) -> Settings:
    values: dict[str, dict[str, object]] = {}
    for source in sources:
        for group, given in source.values.items():
            values.setdefault(group, {}).update(given)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        found = {tuple(str(part) for part in problem["loc"][:2]): problem for problem in error.errors(include_url=False)}
        _refuse([_explain(sources, where, problem["type"], problem.get("ctx", {})) for where, problem in found.items()])


def _explain(sources: list[Source], where: tuple[str, ...], kind: str, context: Mapping[str, object]) -> Problem:
    """One of pydantic's errors as a problem in plain words."""
    if kind == "missing":
        return Problem(str(SHIPPED), None, f"{'.'.join(where)} is missing")
    if len(where) < 2:
        # An error about several keys: from JobSpec if it is about `defaults`, otherwise from Settings.
        sentence = str(context["error"])
        if where == ("cluster",):
            keys = [("cluster", "scheduler")]
        elif where:
            keys = [("defaults", "split"), ("defaults", "num_layers")]
        else:
            keys = [key for key in _keys() if ".".join(key) in sentence]
        return _place(sources, keys, sentence)
    key = (where[0], where[1])
    given = next((source.values[key[0]][key[1]] for source in reversed(sources) if key in source.places), None)
    if key[0] == "defaults" and given is not None:
        return _place(sources, [key], f"defaults.{fields.not_allowed(key[1], given)}")
    if "error" in context:
        return _place(sources, [key], f"{'.'.join(key)}: {context['error']}")
    found = "nothing" if given in (None, ()) else quoted(str(given))
    return _place(sources, [key], f"{'.'.join(key)} must be {_allowed(key)}, not {found}")


def _allowed(key: Key) -> str:
    """The values that a key allows, in words that follow "must be"."""
    if key[0] == "defaults":
        return fields.FIELDS[key[1]].allowed
    info = _keys()[key]
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
            high = f" to {bound.le}"
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


def _keys() -> dict[Key, FieldInfo]:
    """Every key that can be set, with pydantic's description of it."""
    known: dict[Key, FieldInfo] = {}
    for group, info in Settings.model_fields.items():
        model = info.annotation
        for key, field in getattr(model, "model_fields", {}).items():
            if not (group == "defaults" and key in _NOT_DEFAULTS):
                known[group, key] = field
    return known


def _entries(path: Path, *, required: bool) -> list[yaml_subset.Entry]:
    """The entries of a settings file; an empty list if it is missing and not required."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return list(yaml_subset.entries(data, max_depth=_MAX_DEPTH))
    except FileNotFoundError:
        if not required:
            return []
        hint = f"Check {CONFIG}, or unset it." if path != SHIPPED else "Restore the file; it is part of the program."
        raise Refusal(f"There is no settings file {path}.", hint=hint) from None
    except OSError as error:
        raise Refusal(
            f"The settings file {path} cannot be read: {error.strerror}.", hint="Correct its permissions, or its name."
        ) from error
    except yaml_subset.OutsideSubset as fault:
        _refuse([Problem(str(path), fault.line, fault.reason)])


def _from_file(path: Path, *, required: bool) -> Source:
    source, problems, name = Source({}, {}), [], str(path)
    for group in _entries(path, required=required):
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
        _refuse(problems)
    return source


def _from_environment(environ: Mapping[str, str]) -> Source:
    source, problems = Source({}, {}), []
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in (HOME, CONFIG):
            continue
        group, _, key = name[len(PREFIX) :].lower().partition("__")
        if (group, key) not in _keys():
            known = ["HOME", "CONFIG", *("__".join(pair).upper() for pair in _keys())]
            suggestion = did_you_mean(name[len(PREFIX) :], known, prefix=PREFIX)
            problems.append(Problem(name, None, f"there is no setting of this name{suggestion}"))
            continue
        try:
            node = _node_of(environ[name])
        except yaml_subset.OutsideSubset as fault:
            problems.append(Problem(name, None, fault.reason))
            continue
        problems += _read_field(source, (group, key), node, (name, None))
    if problems:
        _refuse(problems)
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
    if key not in _keys():
        known = [".".join(pair) for pair in _keys()]
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
    if _is_list(_keys()[key]) and isinstance(node, yaml_subset.Items):
        texts = tuple(item.text for item in node.items if isinstance(item, yaml_subset.Scalar))
        if len(texts) == len(node.items):
            return texts
    elif _is_list(_keys()[key]) and not fields.is_null(node):
        raise fields.Wrong(f"{key[1]} must be {_allowed(key)}, not {fields.describe(node)}", node.line)
    if not isinstance(node, yaml_subset.Scalar):
        raise fields.Wrong(f"{key[1]} must be {_allowed(key)}, not {fields.describe(node)}", node.line)
    return None if fields.is_null(node) else node.text


def _place(sources: list[Source], keys: list[Key], sentence: str) -> Problem:
    """A problem with this sentence, at the place where the last source sets one of these keys."""
    places = (source.places[key] for source in reversed(sources) for key in keys if key in source.places)
    return Problem(*next(places), sentence)


def _refuse(problems: list[Problem]) -> NoReturn:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = f"Correct it and start again; {SHIPPED} explains every key."
    if len(problems) > 1:
        hint = f"{hint} Also: {'; '.join(str(problem) for problem in problems[1:11])}"
    raise Refusal(f"{problems[0]}{more}", hint=hint)
