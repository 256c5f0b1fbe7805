"""Makes text that somebody else wrote (names, keys, sentences of other programs) safe to show to people."""

from collections.abc import Callable


def _dot(_character: str) -> str:
    return "·"


def replace_unprintable(text: str, *, instead: Callable[[str], str] = _dot, keep: str = "") -> str:
    """The text without unprintable characters: controls, line ends, marks that hide or reverse text, unpaired surrogates.

    Args:
        text: as it was received.
        instead: replaces each unprintable character.
        keep: unprintable characters that stay.
    """
    return "".join(c if c.isprintable() or c in keep else instead(c) for c in text)
