"""Makes text from outside (file names, YAML keys, sentences of other programs) safe to show to people, in any locale.

Where the locale has no UTF-8, what cannot be shown is spelled in ASCII, so that no command ends in the middle.
"""

import codecs
import io
import sys
import unicodedata
from collections.abc import Callable

#: What we print besides letters, and how it is spelled in ASCII.
_SPELLED = {
    "✓": "ok", "✗": "!!", "●": "*", "•": "*", "○": "o", "·": "-", "…": "...", "–": "-", "—": "-", "−": "-",
    "’": "'", "“": '"', "”": '"', "×": "x", "→": "->", "≤": "<=", "≥": ">=", "█": "#", "▏": "|",
}  # fmt: skip
_HANDLER = "multiplane.spelled"
MAX_SHOWN = 60
"""The most characters of a value that a sentence repeats."""


def counted(count: int, what: str) -> str:
    """A number of things: ``1 record``, ``1,200 records``. `what`: the word for one of them, which an s makes plural."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _dot(_character: str) -> str:
    return "·"


def replace_unprintable(text: str, *, instead: Callable[[str], str] = _dot, keep: str = "") -> str:
    """The text without unprintable characters: controls, line ends, marks that hide or reverse text, unpaired surrogates.

    Spaces of all kinds stay: the one between Japanese words, or the one that macOS writes before PM.

    Args:
        text: any text.
        instead: returns the text that replaces an unprintable character; the default is a middle dot.
        keep: unprintable characters that are not replaced.
    """
    return "".join(c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else instead(c) for c in text)


def in_one_line(text: str) -> str:
    """A sentence with names in it, or a name, as one line that is safe to show. Only its commands' marks are kept.

    Whatever is printed, logged or listed goes through this, through `daemon.cli.common.printable`, or through a type of
    `daemon.contract.bounds`.
    """
    return text if text.isprintable() else replace_unprintable(text, keep="\0")


def shown(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Text from a file, made safe to show: cut at `limit` characters, with unprintable characters (such as line ends) escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return replace_unprintable(cut, instead=lambda c: c.encode("unicode_escape", "surrogatepass").decode("ascii"))


def quoted(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Text as `shown` returns it, in quotation marks: a value that somebody wrote. Names of files stand in sentences without."""
    return f'"{shown(text, limit=limit)}"'


def _spelled(error: UnicodeError) -> tuple[bytes, int]:
    """An error handler for `codecs`: spells, or else escapes. A byte of a file name that is not text stays that byte."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(character: str) -> bytes:
    if "\udc80" <= character <= "\udcff":
        return character.encode("ascii", "surrogateescape")
    return _SPELLED.get(character, character).encode("ascii", "backslashreplace")


def spell_what_cannot_be_shown() -> None:
    """Make standard output and error spell the characters that their encoding lacks, instead of failing."""
    codecs.register_error(_HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not shows_all(stream):
            stream.reconfigure(errors=_HANDLER)


def shows_all(stream: object) -> bool:
    """Whether the stream's encoding has every character."""
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name.startswith("utf-")
