"""Text that somebody else wrote (names, keys, sentences of other programs), fit to be shown to people."""

from collections.abc import Callable


def _dot(_character: str) -> str:
    return "·"


def legible(text: str, *, instead: Callable[[str], str] = _dot, keep: str = "") -> str:
    """The text without what does not print: controls, line ends, marks that hide or turn text around, halves of characters.

    Args:
        text: as it came.
        instead: what stands for a character that does not print.
        keep: characters that stay although they do not.
    """
    return "".join(c if c.isprintable() or c in keep else instead(c) for c in text)
