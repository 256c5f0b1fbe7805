r"""File names as text, and back. A name on disk is bytes; JSON and pydantic hold only valid Unicode.

A valid UTF-8 name without a backslash is its own text. A byte that is not valid UTF-8 becomes ``\xNN``, and a backslash is
doubled. So every name has exactly one text, and converting back gives the same bytes.
"""

import re

_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def to_text(name: bytes) -> str:
    r"""The text of a file name; ``b'a\\xff'`` (with an invalid byte) becomes ``'a\\xff'``."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def to_bytes(text: str) -> bytes:
    """The file name for a text from `to_text`."""

    def unescape(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 16)]) if match[1] else b"\\"

    return _ESCAPE.sub(unescape, text.encode("utf-8"))
