"""Makes text from outside (file names, YAML keys, sentences of other programs) safe to show to people."""

from collections.abc import Callable


def _dot(_character: str) -> str:
    return "·"


def replace_unprintable(text: str, *, instead: Callable[[str], str] = _dot, keep: str = "") -> str:
    """The text without unprintable characters: controls, line ends, marks that hide or reverse text, unpaired surrogates.

    Args:
        text: any text.
        instead: returns the text that replaces an unprintable character; the default is a middle dot.
        keep: unprintable characters that are not replaced.
    """
    return "".join(c if c.isprintable() or c in keep else instead(c) for c in text)
