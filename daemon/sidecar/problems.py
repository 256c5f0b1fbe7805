"""Puts into words what is wrong with a file: where it is, what is allowed, and what was probably meant."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from daemon.contract.printable import replace_unprintable
from daemon.errors import SpecInvalid

MAX_SHOWN = 60
"""The most characters of a value that a sentence repeats."""
MAX_LISTED = 20
"""The most problems that are put into words. Nobody corrects more at a time, and a hostile file could cause thousands."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file's name, the 1-based line if known, and the text that follows ``NAME, line N: ``."""

    name: str
    line: int | None
    sentence: str

    def __str__(self) -> str:
        place = shown(self.name, limit=255)
        return f"{place}, line {self.line}: {self.sentence}" if self.line else f"{place}: {self.sentence}"


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Refuse a spec because of these problems. The first becomes the message, and all of them the detail.

    Raises:
        SpecInvalid: always.
    """
    message = str(problems[0])
    if len(problems) == 1:
        raise SpecInvalid(message)
    listed = [str(problem) for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        listed.append(f"… and {len(problems) - MAX_LISTED} more")
    raise SpecInvalid(f"{message} (and {len(problems) - 1} more)", detail="\n".join(listed))


def shown(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Text from a file, safe to show in a sentence: cut, and with unprintable characters (line ends, direction marks) escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return replace_unprintable(cut, instead=lambda c: c.encode("unicode_escape", "surrogatepass").decode("ascii"))


def quoted(text: str) -> str:
    """Text as `shown` returns it, in quotation marks."""
    return f'"{shown(text)}"'


def meant(text: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of a sentence about an unknown name: ``; did you mean "num_layers"?``, or nothing.

    `prefix` is what all known names begin with in addition to the given text.
    """
    if len(text) > MAX_SHOWN:  # no known name is that long, so there is nothing to suggest
        return ""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(text.casefold().replace("-", "_").strip(), by_folded, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(text.casefold().strip(), by_folded, n=1, cutoff=0.6)
    return f'; did you mean "{prefix}{by_folded[close[0]]}"?' if close else ""


def choice(names: Sequence[str]) -> str:
    """The names as a choice: ``natural, equal or quantile``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
