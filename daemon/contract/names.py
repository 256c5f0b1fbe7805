r"""Converts file names to text, and back. A name on disk is bytes, but JSON and pydantic allow only valid Unicode.

A name in valid UTF-8 without a backslash stays as it is. A byte that is not valid UTF-8 becomes ``\xNN``, and a backslash is
doubled. So every name has exactly one text, and converting back gives the same bytes.
"""

import re
import unicodedata

_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def to_text(name: bytes) -> str:
    r"""The text of a file name; ``b'a\\xff'`` (with an invalid byte) becomes ``'a\\xff'``."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def to_bytes(text: str) -> bytes:
    """The file name that `to_text` turned into this text."""

    def unescape(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 16)]) if match[1] else b"\\"

    return _ESCAPE.sub(unescape, text.encode("utf-8"))


def composed(name: str) -> str:
    """The form in which names are compared (NFC): file systems and keyboards write the same letter in different ways."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
