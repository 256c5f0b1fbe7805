"""The setting `deliver.layout`: where in the delivery folder the result of a job goes."""

import re
from collections.abc import Mapping

from daemon.contract.words.printable import replace_unprintable

#: What a layout may contain in braces.
PLACEHOLDERS = ("batch", "name", "id", "preset", "date")
#: Placeholders that tell one picture of a batch from another.
_TELLING = ("name", "id")
_BRACES = re.compile(r"\{([^{}]*)\}")
#: Invisible characters that belong to words in Persian and other languages, and to emoji.
_JOINERS = "\u200c\u200d"
#: The longest name, in bytes, that common file systems allow, less what ` 99` and the name of a temporary folder take.
_MAX_NAME = 200


def wrong_layout(layout: str) -> str | None:
    """A clause that says what is wrong with a layout; None if it is right."""
    found = _BRACES.findall(layout)
    if unknown := [name for name in found if name not in PLACEHOLDERS]:
        return f"{{{unknown[0]}}} is unknown; there are {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}"
    if "{" in (rest := _BRACES.sub("", layout)) or "}" in rest:
        return "a brace lacks its partner"
    if any(part in ("..", ".") for part in layout.split("/")) or layout.startswith(("/", "~")):
        return "it must be a path inside the delivery folder, without . and .."
    if not any(name in _TELLING for name in _BRACES.findall(layout.rstrip("/").rpartition("/")[2])):
        return "its last part must contain {name} or {id}"
    return None


def place_of(layout: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the folders that lead to a result, and last the name of its own folder.

    A part of the layout that has no value, such as the batch of a single drop, is left out.

    Args:
        layout: a layout in which `wrong_layout` found nothing.
        values: the value of each placeholder.
    """
    *above, last = (safe_name(_BRACES.sub(lambda found: values[found[1]], part)) for part in layout.rstrip("/").split("/"))
    return (*filter(None, above), last or values["id"])


def safe_name(part: str) -> str:
    """The text as one visible name of a folder, on macOS, Linux and Windows shares alike; empty if nothing of it is left."""
    shown = replace_unprintable(part, instead=lambda _: "-", keep=_JOINERS)
    name = "".join("-" if c in '/\\:*?"<>|' else c for c in shown).strip().rstrip(".").lstrip(".-")
    while len(name.encode(errors="surrogateescape")) > _MAX_NAME:
        name = name[:-1]
    return name.rstrip(" .")
