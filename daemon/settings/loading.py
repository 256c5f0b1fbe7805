"""Brings the sources of the settings together. A refusal names the file or variable, the line, the key, and what is allowed."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from daemon.catalogues.reading import SHIPPED as LISTS
from daemon.catalogues.reading import StyleNames
from daemon.contract.words.printable import quoted
from daemon.errors import Refusal
from daemon.settings.layout import Layout, default_home, lay_out
from daemon.settings.model import Settings
from daemon.settings.sources import HOME, SHIPPED, Key, Source, all_keys, allowed_values, refuse, sources_of, user_file_of
from daemon.sidecar import fields
from daemon.sidecar.problems import Problem, did_you_mean


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
    return _load(home, environ, is_network, tolerant=False)


def load_what_is_right(
    home: Path | None, environ: Mapping[str, str], *, is_network: Callable[[Path], bool] = lambda _: False
) -> tuple[Settings, Refusal | None]:
    """`load`, for verbs that only look: what is wrong is left out, so that its default is used, and returned beside the settings.

    Raises:
        Refusal: the settings are wrong, and without what is wrong they are still not complete.
    """
    try:
        return load(home, environ, is_network=is_network), None
    except Refusal as refusal:
        return _load(home, environ, is_network, tolerant=True), refusal


def _load(home: Path | None, environ: Mapping[str, str], is_network: Callable[[Path], bool], *, tolerant: bool) -> Settings:
    sources = sources_of(environ, tolerant=tolerant)
    settings = _merge(sources, tolerant=tolerant)
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
    settings._styles = StyleNames(settings.paths.own_styles)
    if tolerant:
        return settings
    _check_lists(settings.paths)
    if settings.defaults.style is not None and settings.defaults.style not in settings.styles:
        style = settings.defaults.style
        suggestion = did_you_mean(style, settings.styles) or f"; there are {', '.join(settings.styles)}"
        refuse([_place(sources, [("defaults", "style")], f"there is no style {quoted(style)}{suggestion}")])
    return settings


def origins(environ: Mapping[str, str]) -> dict[Key, tuple[str, int | None]]:
    """Where each key gets its value: the name of the file or of the variable, and the line in a file; the shipped file first.

    Raises:
        Refusal: as `load`.
    """
    found: dict[Key, tuple[str, int | None]] = {}
    for source in sources_of(environ):
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


def _merge(sources: list[Source], *, tolerant: bool = False) -> Settings:
    """The settings that all sources make together. `tolerant`: leave out what is wrong in the user's own sources."""
    values: dict[str, dict[str, object]] = {}
    for source in sources:
        for group, given in source.values.items():
            values.setdefault(group, {}).update(given)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        found = {tuple(str(part) for part in problem["loc"][:2]): problem for problem in error.errors(include_url=False)}
        if tolerant and len(sources) > 1:
            own = [_without(source, found) for source in sources[1:]]
            return _merge([sources[0], *own] if own != sources[1:] else sources[:1], tolerant=True)
        refuse([_explain(sources, where, problem["type"], problem.get("ctx", {})) for where, problem in found.items()])


def _without(source: Source, wrong: Collection[tuple[str, ...]]) -> Source:
    """A source without these keys. An entry with less than two words stands for a whole group, or for everything."""

    def is_right(key: Key) -> bool:
        return not any(key[: len(each)] == each for each in wrong)

    values = {
        group: {key: value for key, value in given.items() if is_right((group, key))} for group, given in source.values.items()
    }
    return Source(values, {key: place for key, place in source.places.items() if is_right(key)})


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
            keys = [key for key in all_keys() if ".".join(key) in sentence]
        return _place(sources, keys, sentence)
    key = (where[0], where[1])
    given = next((source.values[key[0]][key[1]] for source in reversed(sources) if key in source.places), None)
    if key[0] == "defaults" and given is not None:
        return _place(sources, [key], f"defaults.{fields.not_allowed(key[1], given)}")
    if "error" in context:
        return _place(sources, [key], f"{'.'.join(key)}: {context['error']}")
    found = "nothing" if given in (None, ()) else quoted(str(given))
    return _place(sources, [key], f"{'.'.join(key)} must be {allowed_values(key)}, not {found}")


def _place(sources: list[Source], keys: list[Key], sentence: str) -> Problem:
    """A problem with this sentence, at the place where the last source sets one of these keys."""
    places = (source.places[key] for source in reversed(sources) for key in keys if key in source.places)
    return Problem(*next(places), sentence)
