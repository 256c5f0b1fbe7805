"""Puts mistakes in a file into words: where each is, what is allowed, and what the person probably meant."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from daemon.contract.words.printable import MAX_SHOWN, shown
from daemon.errors import SpecInvalid

MAX_TOLD = 5
"""The most problems in one message. A person makes fewer mistakes in a file of a dozen lines; the detail has the others."""
MAX_LISTED = 20
"""The most problems that are put into words. Nobody corrects more at a time, and a hostile file could cause thousands."""


@dataclass(frozen=True)
class Problem:
    """One mistake: the name of the file, its 1-based line (None if unknown), and the text that follows ``NAME, line N: ``."""

    name: str
    line: int | None
    sentence: str

    def __str__(self) -> str:
        place = shown(self.name, limit=255)
        return f"{place}, {self.in_its_file}" if self.line else f"{place}: {self.sentence}"

    @property
    def in_its_file(self) -> str:
        """The problem without the name of the file; `line` must be known."""
        return f"line {self.line}: {self.sentence}"


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Refuse a spec because of these problems. The message tells them; if there are several, the detail lists them, one a line.

    Raises:
        SpecInvalid: always.
    """
    if len(problems) == 1:
        raise SpecInvalid(str(problems[0]))
    told = problems[:MAX_TOLD]
    message = "; ".join(
        each.in_its_file if before and each.line and before.name == each.name else str(each)
        for before, each in zip((None, *told), told, strict=False)
    )
    if len(problems) > MAX_TOLD:
        message += f" (and {_more(len(problems) - MAX_TOLD)})"
    listed = [str(problem) for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        listed.append(f"… and {_more(len(problems) - MAX_LISTED)}")
    raise SpecInvalid(message, detail="\n".join(listed))


def _more(mistakes: int) -> str:
    return f"{mistakes} more {'mistake' if mistakes == 1 else 'mistakes'}"


def did_you_mean(text: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of a sentence about an unknown name: ``; did you mean "num_layers"?``. Empty if no known name is similar.

    `prefix` is put before the suggestion; neither `text` nor the known names contain it.
    """
    if len(text) > MAX_SHOWN:  # no known name is that long, so there is nothing to suggest
        return ""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(text.casefold().replace("-", "_").strip(), by_folded, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(text.casefold().strip(), by_folded, n=1, cutoff=0.6)
    return f'; did you mean "{prefix}{by_folded[close[0]]}"?' if close else ""


def choice(names: Sequence[str]) -> str:
    """The names in one phrase: ``natural, equal or quantile``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
