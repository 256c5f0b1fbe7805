"""Reads the structure of HEIC and AVIF files (ISO/IEC 14496-12, 23008-12): properties of pictures, and stereo pairs.

Nothing here decodes. Everything is read within bounds; what is damaged is missing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_BOXES = 5000
_DEEPEST = 8  # no file nests boxes so deep
_MAX_META = 1 << 24  # bytes of a meta box; real ones have some kilobytes
_PITM_HEAD = 4  # version and flags
_HAS_X = 1  # flag of a `cmex` box: the position along x is given

Property = tuple[bytes, bytes]
"""Type and content."""


@dataclass(frozen=True)
class StereoPair:
    """Two pictures that show one scene to the left and the right eye (entity group `ster`, ISO/IEC 23008-12, 6.8.5).

    Attributes:
        left: number of the left picture's item.
        right: of the right picture's item.
        primary: of the main picture, one of these two.
        pitm: where the number of the main picture is written in the file: position and size.
    """

    left: int
    right: int
    primary: int
    pitm: tuple[int, int]


def main_properties(file: BinaryIO) -> list[Property]:
    """The properties of the main picture, in their order; empty if damaged. The file's position changes."""
    return [(kind, data) for kind, data, _ in placed_properties(file)]


def placed_properties(file: BinaryIO) -> list[tuple[bytes, bytes, int]]:
    """The properties of the main picture, and where the content of each begins in the file; empty if damaged."""
    try:
        meta, start = top_level(file, b"meta")
        primary, _ = _primary(meta)
        if primary is None:
            return []
        found = _properties(_by_kind(meta), primary)
        listed = start + meta.index(b"ipco") + 4  # the first one: the box, if the file is sound
        return [(kind, data, listed + at) for kind, data, at in found]
    except (struct.error, IndexError, ValueError):
        return []


def properties(file: BinaryIO, item: int) -> list[Property]:
    """The properties of the picture with this number, in their order; empty if damaged. The file's position changes."""
    try:
        return [(kind, data) for kind, data, _ in _properties(_by_kind(top_level(file, b"meta")[0]), item)]
    except (struct.error, IndexError):
        return []


def beside_main(file: BinaryIO) -> list[tuple[int, bytes, bytes]]:
    """The pictures that are auxiliary to the main one (`auxl`), in the order of their numbers; none that are damaged.

    Returns:
        Number, type, and what its `auxC` property says behind the type. The file's position changes.
    """
    try:
        meta, _ = top_level(file, b"meta")
        by_kind, (primary, _) = _by_kind(meta), _primary(meta)
        references, found = by_kind.get(b"iref", b""), []
        code = ">I" if references[:1] == b"\1" else ">H"
        size = struct.calcsize(code)
        for kind, data in inside(references[4:]):
            if kind != b"auxl" or len(data) < size + 2:
                continue
            (item,), (count,) = struct.unpack_from(code, data), struct.unpack_from(">H", data, size)
            if primary in struct.unpack_from(f">{count}{code[1]}", data, size + 2):
                about = next((data for kind, data, _ in _properties(by_kind, item) if kind == b"auxC"), b"")
                kind_of_it, _, subtypes = about[4:].partition(b"\0")
                found.append((item, kind_of_it, subtypes))
        return sorted(found)
    except (struct.error, IndexError):
        return []


def stereo_pair(file: BinaryIO) -> StereoPair | None:
    """The stereo pair that the main picture belongs to; None if there is none. The file's position changes."""
    try:
        meta, start = top_level(file, b"meta")
        primary, place = _primary(meta)
        for kind, data in inside(_by_kind(meta).get(b"grpl", b"")):
            if kind != b"ster" or len(data) < 20:
                continue
            count, left, right = struct.unpack_from(">III", data, 8)  # behind version, flags and the group's own number
            if count == 2 and left != right and primary is not None and primary in (left, right):
                return StereoPair(left, right, primary, (start + place[0], place[1]))
    except (struct.error, IndexError):
        pass
    return None


def baseline(file: BinaryIO, pair: StereoPair) -> float | None:
    """The distance between the cameras of a pair in metres, from their positions (`cmex`); None if they are not given."""
    places = []
    for item in (pair.left, pair.right):
        data = next((data for kind, data in properties(file, item) if kind == b"cmex"), b"")
        if len(data) < 8:
            return None
        # Positions that are left out are 0. They are in micrometres.
        places.append(struct.unpack_from(">i", data, 4)[0] / 1e6 if data[3] & _HAS_X else 0.0)
    return abs(places[1] - places[0]) or None


def orientation(found: list[Property]) -> int:
    """The EXIF orientation that a picture's rotations and mirrorings (`irot`, `imir`) add up to, 1 to 8."""
    # Where the corners (top left, top right, bottom right, bottom left) of the stored picture are shown, clockwise.
    corners = (0, 1, 2, 3)
    for kind, data in found:
        if kind == b"irot" and data:
            for _ in range(data[0] & 3):  # quarter turns anticlockwise
                a, b, c, d = corners
                corners = (b, c, d, a)
        elif kind == b"imir" and data:  # 1: left and right change places; 0: top and bottom
            a, b, c, d = corners
            corners = (b, a, d, c) if data[0] & 1 else (d, c, b, a)
    return _ORIENTATIONS[corners]


_ORIENTATIONS = {
    (0, 1, 2, 3): 1, (1, 0, 3, 2): 2, (2, 3, 0, 1): 3, (3, 2, 1, 0): 4, (0, 3, 2, 1): 5, (3, 0, 1, 2): 6, (2, 1, 0, 3): 7,
    (1, 2, 3, 0): 8,
}  # fmt: skip


def clean_aperture(data: bytes, width: int, height: int) -> tuple[slice, slice] | None:
    """The rows and columns that a clean aperture leaves (`clap`, ISO/IEC 14496-12, 12.1.4); None for the whole picture.

    Args:
        data: the property's content.
        width: of the picture before it is turned.
        height: the same.
    """
    if len(data) < 32:
        return None
    wide, wide_by, high, high_by, right, right_by, down, down_by = struct.unpack(">IIIIiIiI", data[:32])
    if 0 in (wide_by, high_by, right_by, down_by):
        return None
    columns, rows = round(wide / wide_by), round(high / high_by)
    left, top = round((width - columns) / 2 + right / right_by), round((height - rows) / 2 + down / down_by)
    if not (0 <= left < left + columns <= width and 0 <= top < top + rows <= height):
        return None
    return slice(top, top + rows), slice(left, left + columns)


def top_level(file: BinaryIO, wanted: bytes) -> tuple[bytes, int]:
    """The content of the file's first box of this type, and where it begins; empty if there is none."""
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        size, skip = int.from_bytes(head[:4], "big"), 8
        if size == 1 and len(head) == 16:
            size, skip = int.from_bytes(head[8:], "big"), 16
        if head[4:8] == wanted:
            file.seek(at + skip)
            return file.read(min(max(size - skip, 0), _MAX_META)), at + skip
        if size < 8:
            break
        at += size
    return b"", 0


def inside(data: bytes) -> Iterator[Property]:
    """Type and content of each box."""
    for kind, start, stop in places(data):
        yield kind, data[start:stop]


def leaves(data: bytes, outer: frozenset[bytes], depth: int = 0) -> Iterator[Property]:
    """Type and content of every box that is not one of `outer`, also of those inside of these."""
    for kind, content in inside(data):
        if kind in outer and depth < _DEEPEST:
            yield from leaves(content, outer, depth + 1)
        else:
            yield kind, content


def places(data: bytes, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Type of each box, and where its content begins and ends."""
    for _ in range(_MAX_BOXES):
        if len(data) < at + 8:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, at + 8, at + size
        at += size


def _by_kind(meta: bytes) -> dict[bytes, bytes]:
    return dict(inside(meta[4:]))


def _primary(meta: bytes) -> tuple[int | None, tuple[int, int]]:
    """The number of the main picture, None if there is none; and where it is written in the meta box: position and size."""
    for kind, start, stop in places(meta, 4):
        if kind == b"pitm":
            size = 2 if meta[start] == 0 else 4
            at = start + _PITM_HEAD
            return int.from_bytes(meta[at : min(at + size, stop)], "big"), (at, size)
    return None, (0, 0)


def _properties(by_kind: dict[bytes, bytes], wanted: int) -> list[tuple[bytes, bytes, int]]:
    """The properties of an item (ISO/IEC 23008-12, 9.3), and where each begins within the list of all properties."""
    iprp = dict(inside(by_kind.get(b"iprp", b"")))
    if b"ipco" not in iprp or b"ipma" not in iprp:
        return []
    listed = [(kind, iprp[b"ipco"][start:stop], start) for kind, start, stop in places(iprp[b"ipco"])]
    table = iprp[b"ipma"]
    item_form, wide = (">H" if table[0] == 0 else ">I"), bool(table[3] & 1)
    at = 8
    for _ in range(min(struct.unpack_from(">I", table, 4)[0], _MAX_BOXES)):
        (item,) = struct.unpack_from(item_form, table, at)
        at += struct.calcsize(item_form)
        count = table[at]
        at += 1
        if item == wanted:
            numbers = struct.unpack_from(f">{count}{'H' if wide else 'B'}", table, at)
            chosen = [(number & (0x7FFF if wide else 0x7F)) - 1 for number in numbers]
            return [listed[place] for place in chosen if 0 <= place < len(listed)]
        at += count * (2 if wide else 1)
    return []
