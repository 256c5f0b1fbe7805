"""Says what to write instead of what people type: dashes and bullets for hyphens, curly quotation marks, commas for points.

Editors and keyboards for prose put these into a file, and the eye takes them for what YAML needs. Only what is refused anyway
comes here, so that a right file is never read another way.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable

from daemon.contract.commands import as_code
from daemon.contract.words.printable import MAX_SHOWN, shown

#: Signs that stand for the hyphen before an entry of a list: dashes, minus, bullets, and what Markdown uses.
_BULLETS = "–—−‐‑―•·‣◦▪●○∙*+"
_ENTRY = re.compile(rf"[ \t\xa0]*(?P<sign>-|[{_BULLETS}])(?P<gap>[ \t\xa0]*)(?P<rest>[^\s{_BULLETS}-].*)")
_NAME = r"[ \t]*(?P<name>[A-Za-z_]\w*)"
_WIDE_COLON = re.compile(rf"{_NAME}[ \t\u3000\xa0]*[：﹕︓]\s*(?P<rest>.*)")
_NO_SPACE = re.compile(rf"{_NAME}:(?P<rest>[^\s:/].*)")
_EQUALS = re.compile(rf"{_NAME}[ \t]*:?=[ \t]*(?P<rest>.*)")
_BETWEEN = re.compile(r"[\s,;，；、|/+&]+|\band\b|\bund\b", re.IGNORECASE)
_AROUND = "-\"'“”„«»‘’‟‹›()[]{}（）［］." + _BULLETS
_NONE = ("none", "nothing", "no", "false")
_NUMBER = re.compile(r"([-+]?[0-9]+(?:[.,][0-9]+)?|[-+]?[.,][0-9]+)\s*(?:layers?|fps|px|pixels?|s|sec|seconds?)?[.;,]?")


def slip_in(text: str, from_line: int) -> tuple[str, int] | None:
    """The first slip in the lines of a file that is no YAML, with its 1-based line; None if none is known.

    Args:
        text: the whole file.
        from_line: the 1-based line in which the reader noticed it. A slip may be some lines before.
    """
    lines = text.split("\n")[:from_line]
    for number, line in enumerate(lines, start=1):
        if not line.lstrip().startswith("#") and (reason := _slip(line.rstrip("\r"))) is not None:
            return reason, number
    return None


def _slip(line: str) -> str | None:
    entry = _ENTRY.fullmatch(line)
    if entry is not None and not (entry["sign"] in "*-+" and re.match(r"[0-9.&]", entry["rest"])):
        return _entry_slip(entry, line)
    for pattern, what in (
        (_WIDE_COLON, "a full-width colon"),
        (_NO_SPACE, "no space after the colon"),
        (_EQUALS, "an equals sign instead of a colon"),
    ):
        if (found := pattern.fullmatch(line)) is not None:
            return f"{what}; write {_as_typed(found['name'] + ': ' + _plain(found['rest']))}"
    return None


def _entry_slip(entry: re.Match[str], line: str) -> str | None:
    instead = f"write {_as_typed('- ' + _plain(entry['rest']))}"
    if entry["sign"] != "-":
        return f'a "{entry["sign"]}" before an entry of a list, where YAML needs a hyphen and a space; {instead}'
    if not entry["gap"]:
        return f"no space after the hyphen; {instead}"
    if "\xa0" in entry["gap"]:
        return f"a non-breaking space after the hyphen; {instead}"
    return f"a tab, where YAML needs spaces; {instead}" if "\t" in line[: entry.start("rest")] else None


def _plain(text: str) -> str:
    """A value as it is typed in YAML: wide signs as their plain ones, curly quotation marks as straight ones."""
    straight = re.sub(r"[“”„‟«»]", '"', re.sub(r"[‘’‚‛‹›]", "'", text.strip()))
    return unicodedata.normalize("NFKC", straight)


def _as_typed(text: str) -> str:
    return as_code(shown(text))


def list_meant(name: str, given: Iterable[str], choices: Collection[str]) -> str:
    """The end of a sentence about a list that was written another way: ``; write `formats: [psd, glb]```.

    Empty if not each of the words that were given is one of the choices.
    """
    words = [word for text in given for part in _BETWEEN.split(_plain(text)) if (word := part.strip(_AROUND).casefold())]
    meant = [choice for word in words for choice in choices if choice.casefold() == word]
    if words and all(word in _NONE for word in words):
        return f"; write {as_code(f'{name}: []')}"
    if not words or len(meant) != len(words):
        return ""
    return f"; write {as_code(f'{name}: [' + ', '.join(dict.fromkeys(meant)) + ']')}"


def number_meant(name: str, text: str) -> str:
    """The end of a sentence about a number that was written another way (`–3`, `0,5`, `4 layers`); empty if it is no number."""
    if len(text) > MAX_SHOWN:
        return ""
    plain = re.sub(rf"^[{re.escape('–—−‐‑―')}]\s*", "-", unicodedata.normalize("NFKC", text).strip())
    plain = re.sub(r"(?<=[0-9])[\s'’_](?=[0-9]{3})", "", plain)
    found = _NUMBER.fullmatch(plain)
    meant = found[1].replace(",", ".") if found else text
    return f"; write {as_code(f'{name}: {meant}')}" if meant != text else ""
