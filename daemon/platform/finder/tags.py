"""Finder tags in the colour of a job's state: the contents of two extended attributes of a folder.

Finder keeps the tags of a file in `com.apple.metadata:_kMDItemUserTags`: a binary property list of strings, each with a name, a
line feed and the number of a colour. The colour of the last tag is stored a second time, in the label bits of
`com.apple.FinderInfo` (Finder Interface Reference, `FolderInfo.finderFlags` and `kColor`; the Finder of Mac OS 9 knew only this
attribute). When a person tags a folder, Finder writes both attributes, and it may show either. So after a change of the first
alone, Finder may still show the old colour.

A person's own tags stay, and so does everything else in FinderInfo: the position of the window, a custom icon.
"""

import plistlib
from collections.abc import Callable
from xml.parsers.expat import ExpatError

from daemon.contract.status import State

TAGS = "com.apple.metadata:_kMDItemUserTags"
FINDER_INFO = "com.apple.FinderInfo"

GREY, GREEN, PURPLE, BLUE, YELLOW, RED, ORANGE = range(1, 8)
#: The tag's name and colour for each state. The names are our own, so that they are not mixed with a person's "Green".
STATE_TAGS: dict[State, tuple[str, int]] = {
    "pending": ("Pending", YELLOW),
    "processing": ("Processing", BLUE),
    "completed": ("Completed", GREEN),
    "failed": ("Failed", RED),
    "cancelled": ("Cancelled", GREY),
}
_OURS = frozenset(name for name, _ in STATE_TAGS.values())

#: FolderInfo: a rectangle of 8 bytes, then the flags, big-endian; bits 1 to 3 of the flags are the colour.
_INFO_BYTES, _LOW_FLAGS = 32, 9
_COLOUR_SHIFT, _COLOUR_MASK = 1, 0x0E

#: Functions that read an attribute (None if it does not exist) and set it.
Get = Callable[[bytes, str], bytes | None]
Set = Callable[[bytes, str, bytes], None]


def with_state(tags: bytes | None, state: State) -> bytes:
    """The new list of tags: first the tag of the state, then all tags that are not ours, in their order.

    Args:
        tags: the current attribute; None or an invalid list counts as no tags.
        state: the job's state.

    Returns:
        A binary property list; the same tags always give the same bytes.
    """
    name, colour = STATE_TAGS[state]
    others = [tag for tag in _read(tags) if tag.partition("\n")[0] not in _OURS]
    return plistlib.dumps([f"{name}\n{colour}", *others], fmt=plistlib.FMT_BINARY)


def with_colour(info: bytes | None, state: State) -> bytes:
    """The 32 bytes of FinderInfo with the colour of the state. All other bits are as in `info`, or 0 where it is missing."""
    wanted = bytearray((info or b"").ljust(_INFO_BYTES, b"\0")[:_INFO_BYTES])
    wanted[_LOW_FLAGS] = wanted[_LOW_FLAGS] & ~_COLOUR_MASK | STATE_TAGS[state][1] << _COLOUR_SHIFT
    return bytes(wanted)


def show_state(path: bytes, state: State, get: Get, set_: Set) -> bool:
    """Tag a folder with the state of its job. Returns whether that changed anything.

    Raises:
        OSError: the folder does not exist, or its disk holds no such attributes.
    """
    before = {name: get(path, name) for name in (TAGS, FINDER_INFO)}
    wanted = {TAGS: with_state(before[TAGS], state), FINDER_INFO: with_colour(before[FINDER_INFO], state)}
    if _read(before[TAGS]) == _read(wanted[TAGS]):
        # Finder writes the same list in other bytes; writing it again would only wake Spotlight.
        del wanted[TAGS]
    changed = [name for name, value in wanted.items() if value != before[name]]
    for name in changed:
        set_(path, name, wanted[name])
    return bool(changed)


def _read(tags: bytes | None) -> list[str]:
    """The strings in a list of tags; empty if the bytes are not a list of tags."""
    try:
        listed = plistlib.loads(tags) if tags else []
    except (plistlib.InvalidFileException, ExpatError, ValueError, OverflowError, RecursionError):
        return []
    return [tag for tag in listed if isinstance(tag, str)] if isinstance(listed, list) else []
