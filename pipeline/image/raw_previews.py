"""Finds the JPEG previews in camera raw files, and how large the raw picture is. Nothing here decodes.

Known structures:

- TIFF and its relatives (DNG, NEF, CR2, ARW, PEF, ORF, RW2 and others): JPEGs named by the tags JPEGInterchangeFormat, by a
  single strip in JPEG compression, or by Panasonic's JpgFromRaw; in all directories and sub-directories.
- Fujifilm's RAF: the header says where the JPEG is.
- Canon's CR3, an ISO base media file: the first sample of each track.

Everything is read within bounds. What is damaged is missing.
"""

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.image import boxes, jpeg

MAX_DIRECTORIES, MAX_TAGS = 64, 1000
_MAX_VALUES = 64
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I"}
_WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _STRIP_BYTES, _ORIENTATION = 256, 257, 259, 273, 279, 274
_JPEG_AT, _JPEG_SIZE, _SUB_DIRECTORIES, _EXIF = 513, 514, 330, 34665
_COLOUR_SPACE, _PREVIEW_COLOURS, _PANASONIC_JPEG, _PANASONIC_HEIGHT, _PANASONIC_WIDTH = 40961, 50970, 0x2E, 2, 3
_ADOBE_BY_EXIF, _ADOBE_BY_DNG = 2, 3
_JPEG_COMPRESSIONS = (6, 7)
_SAMPLE_TABLE = frozenset([b"mdia", b"minf", b"stbl"])
_RAF, _RAF_JPEG, _RAF_SIZE = b"FUJIFILMCCD-RAW", 84, 0x100


@dataclass(frozen=True)
class Preview:
    """A JPEG in the file: where it is, its bytes, and its pixels as they are stored."""

    at: int
    size: int
    width: int
    height: int


@dataclass
class Found:
    """What a raw file contains.

    Attributes:
        previews: the JPEGs that can be decoded.
        width: of the raw picture in pixels, as it is stored; 0 if it is not known.
        height: the same.
        orientation: the EXIF orientation of the raw picture, 1 to 8.
        is_adobe_rgb: whether the file says that its previews are in Adobe RGB.
    """

    previews: list[Preview] = field(default_factory=list)
    width: int = 0
    height: int = 0
    orientation: int = 1
    is_adobe_rgb: bool = False

    @property
    def largest(self) -> Preview | None:
        """The preview with the most pixels; None if there is none."""
        return max(self.previews, key=lambda each: each.width * each.height, default=None)

    def add(self, file: BinaryIO, at: int, size: int) -> None:
        """Add the JPEG at this place, if there is one. A lossless one is raw data, with neighbouring pixels as its channels."""
        shape = jpeg.shape(file, at) if at > 0 and size > 0 else None
        if shape is None:
            return
        width, height, channels, is_ordinary = shape
        if is_ordinary and width * height:
            self.previews.append(Preview(at, size, width, height))
        else:
            self.at_least(width * channels, height)

    def at_least(self, width: int, height: int) -> None:
        """The raw picture has at least this size."""
        if width * height > self.width * self.height:
            self.width, self.height = width, height


def find(file: BinaryIO) -> Found:
    """Look through a raw file; its position changes."""
    found = Found()
    file.seek(0)
    head = file.read(16)
    try:
        if head.startswith(_RAF):
            _in_raf(file, found)
        elif head[4:8] == b"ftyp":
            _in_cr3(file, found)
        else:
            _in_tiff(file, 0, found)
    except (struct.error, OverflowError, OSError):
        pass
    return found


def said_by_exif(file: BinaryIO, base: int) -> tuple[int | None, int | None]:
    """The orientation, 1 to 8, and the colour space (1 sRGB, 2 Adobe RGB) in EXIF data; None for each that it does not name.

    The file's position changes.

    Args:
        file: the file.
        base: where the data's TIFF structure begins.
    """
    try:
        order, first = _head(file, base)
        if not order:
            return None, None
        tags = _directory(file, base, first, order)[0]
        turn = tags.get(_ORIENTATION, [0])[0]
        inner = _directory(file, base, tags[_EXIF][0], order)[0] if _EXIF in tags else {}
    except (struct.error, OverflowError, OSError):
        return None, None
    return turn if turn in range(1, 9) else None, inner.get(_COLOUR_SPACE, [None])[0]


def _in_tiff(file: BinaryIO, base: int, found: Found) -> None:
    order, first = _head(file, base)
    if not order:
        return
    waiting, seen = [(first, True)], set[int]()
    while waiting and len(seen) < MAX_DIRECTORIES:
        at, is_main = waiting.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        tags, following = _directory(file, base, at, order)
        if is_main and len(seen) == 1 and tags.get(_ORIENTATION, [1])[0] in range(1, 9):
            found.orientation = tags.get(_ORIENTATION, [1])[0]
        found.is_adobe_rgb |= (
            tags.get(_COLOUR_SPACE, [0])[0] == _ADOBE_BY_EXIF or tags.get(_PREVIEW_COLOURS, [0])[0] == _ADOBE_BY_DNG
        )
        _previews(file, base, tags, found)
        waiting += [(each, False) for tag in (_SUB_DIRECTORIES, _EXIF) for each in tags.get(tag, [])]
        waiting.append((following, is_main))


def _head(file: BinaryIO, base: int) -> tuple[str, int]:
    """The byte order of a TIFF for `struct`, empty if it is none; and where its first directory is."""
    file.seek(base)
    head = file.read(8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    return (order, int(struct.unpack(order + "I", head[4:])[0])) if order and len(head) == 8 else ("", 0)


def _previews(file: BinaryIO, base: int, tags: dict[int, list[int]], found: Found) -> None:
    """The previews that one directory names, and the size of its picture."""
    found.at_least(tags.get(_WIDTH, [0])[0], tags.get(_HEIGHT, [0])[0])
    if _PANASONIC_JPEG in tags:
        found.at_least(tags.get(_PANASONIC_WIDTH, [0])[0], tags.get(_PANASONIC_HEIGHT, [0])[0])
        found.add(file, base + tags[_PANASONIC_JPEG][0], tags[_PANASONIC_JPEG][1])
    if _JPEG_AT in tags and _JPEG_SIZE in tags:
        found.add(file, base + tags[_JPEG_AT][0], tags[_JPEG_SIZE][0])
    strips, sizes = tags.get(_STRIPS, []), tags.get(_STRIP_BYTES, [])
    if tags.get(_COMPRESSION, [1])[0] in _JPEG_COMPRESSIONS and len(strips) == len(sizes) == 1:
        found.add(file, base + strips[0], sizes[0])


def _directory(file: BinaryIO, base: int, at: int, order: str) -> tuple[dict[int, list[int]], int]:
    """The tags of a directory whose values are whole numbers, and where the next directory is (TIFF 6.0, section 2)."""
    file.seek(base + at)
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = file.read(12 * min(count, MAX_TAGS))
    following = file.read(4) if count <= MAX_TAGS else b""
    tags: dict[int, list[int]] = {}
    for place in range(0, len(entries) - 11, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", entries, place)
        size = _SIZES.get(kind, 1) * length
        inside = struct.unpack_from(order + "I", entries, place + 8)[0]
        if tag == _PANASONIC_JPEG:
            tags[tag] = [inside, length]
        elif kind in _CODES and 0 < length <= _MAX_VALUES:
            file.seek(base + inside)
            data = entries[place + 8 : place + 8 + size] if size <= 4 else file.read(size)
            tags[tag] = list(struct.unpack(f"{order}{length}{_CODES[kind]}", data))
    return tags, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0


def _in_raf(file: BinaryIO, found: Found) -> None:
    """Fujifilm: position and size of the JPEG and of a list of properties, of which one is the sensor's size."""
    file.seek(_RAF_JPEG)
    at, size, listed, length = struct.unpack(">IIII", file.read(16))
    found.add(file, at, size)
    file.seek(listed)
    data = file.read(min(length, 1 << 16))
    (count,) = struct.unpack_from(">I", data, 0)
    place = 4
    for _ in range(min(count, MAX_TAGS)):
        tag, bytes_of_tag = struct.unpack_from(">HH", data, place)
        if tag == _RAF_SIZE and bytes_of_tag >= 4:
            height, width = struct.unpack_from(">HH", data, place + 4)
            found.at_least(width, height)
        place += 4 + bytes_of_tag


def _in_cr3(file: BinaryIO, found: Found) -> None:
    """Canon: each track holds one picture as its first sample; a box has the EXIF data as a TIFF."""
    content, start = boxes.top_level(file, b"moov")
    exif = (
        at
        for kind, begin, end in boxes.places(content)
        if kind == b"uuid"
        for inner, at, _ in boxes.places(content[:end], begin + 16)
        if inner == b"CMT1"
    )
    if (first := next(exif, None)) is not None:
        found.orientation = said_by_exif(file, start + first)[0] or 1
    for kind, track in boxes.inside(content):
        if kind != b"trak":
            continue
        table = dict(boxes.leaves(track, _SAMPLE_TABLE))
        width, height = struct.unpack_from(">HH", table.get(b"stsd", b""), 8 + 32) if b"stsd" in table else (0, 0)
        found.at_least(width, height)
        sizes, places = table.get(b"stsz", b""), table.get(b"co64", b"")
        if len(sizes) >= 12 and len(places) >= 16:
            (same,) = struct.unpack_from(">I", sizes, 4)
            size = same or (struct.unpack_from(">I", sizes, 12)[0] if len(sizes) >= 16 else 0)
            found.add(file, struct.unpack_from(">Q", places, 8)[0], size)
