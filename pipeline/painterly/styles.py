"""Finds the style that a job asks for, in the program's list and the user's own."""

import functools

from daemon.catalogues import styles as catalogue
from daemon.catalogues.reading import SHIPPED
from daemon.catalogues.styles import DiffusionStyle, StrokesStyle
from daemon.contract.commands import RETRY
from daemon.contract.words.printable import quoted
from daemon.errors import Internal, Refusal, SpecInvalid


@functools.lru_cache(maxsize=4)
def styles(*paths: str) -> dict[str, StrokesStyle | DiffusionStyle]:
    """Read the lists of styles. Each list adds to the one before it. Without paths, the program's own list is read.

    Raises:
        Internal: a file is missing or not valid; the message names file and line.
    """
    try:
        return catalogue.styles(paths or (SHIPPED["styles"],))
    except Refusal as refusal:
        raise Internal(refusal.message, hint=f"{refusal.hint} Then: {RETRY}.") from refusal


def named(name: str | None, *paths: str) -> tuple[str, StrokesStyle | DiffusionStyle]:
    """A style and its name.

    Args:
        name: from the spec; None means the first style of the list.
        paths: the lists, as for `styles`.

    Raises:
        SpecInvalid: there is no such style.
        Internal: as for `styles`.
    """
    found = styles(*paths)
    if name is None:
        return next(iter(found.items()))
    if name not in found:
        raise SpecInvalid(f"There is no style {quoted(name)}; there are {', '.join(found)}.")
    return name, found[name]
