"""Reads the structure of JPEG files: header segments, XMP, the index of a multi-picture file, and where a picture ends.

Nothing here decodes. Sources: ITU-T T.81 (markers), XMP specification part 3 (XMP in JPEG), CIPA DC-007 (multi-picture format).
"""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.image import xmp

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
START_OF_SCAN, _EOI, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_METADATA = frozenset([_APP1, _APP2])
_FRAMES = frozenset([*range(0xC0, 0xD0), 0xF7]) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, and JPEG-LS
_ORDINARY = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a length
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEAD = 32 + 4 + 4  # the GUID, the length of the whole, the position of this part
_XMP_NOTE = ("http://ns.adobe.com/xmp/note/",)
_MPF = b"MPF\0"
_DISPARITY = 0x020002  # type of the views of a stereo picture (CIPA DC-007, 5.2.3.3.1)
_APP3, _JPS = 0xE3, b"_JPSJPS_"
_IMAGE_COUNT, _ENTRIES, _ENTRY_BYTES = 0xB001, 0xB002, 16  # CIPA DC-007, 5.2.3
#: A phone writes fewer than ten pictures into one file.
MAX_PICTURES = 64
#: Segments of one picture. Extended XMP with 64 MB of depth needs 1,000.
MAX_SEGMENTS = 2048
MAX_EXTENDED = 1 << 26
#: Fill bytes before the markers of one picture. Usually there are none.
_MAX_FILL = 4096
#: Any marker in the picture data: not a stuffed byte, a restart or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Segment:
    """One header segment.

    Attributes:
        marker: its second byte.
        at: where its data begins in the file.
        data: without the marker and the length.
    """

    marker: int
    at: int
    data: bytes


def header_segments(file: BinaryIO, at: int = 0, wanted: frozenset[int] = _METADATA) -> list[Segment]:
    """The segments with these markers before the first scan of the picture that begins at `at`.

    Reading stops without an error where the structure is damaged: the decoder decides whether the picture can be used.
    """
    file.seek(at)
    found: list[Segment] = []
    if file.read(2) != SOI:
        return found
    filled = 0
    for _ in range(MAX_SEGMENTS):
        head = file.read(2)
        while head == b"\xff\xff" and filled < _MAX_FILL:
            head, filled = b"\xff" + file.read(1), filled + 1
        if len(head) < 2 or head[0] != 0xFF or head[1] in (START_OF_SCAN, _EOI, 0xFF):
            break
        if head[1] in _ALONE:
            continue
        size = int.from_bytes(file.read(2), "big") - 2
        if size < 0:
            break
        if head[1] in wanted:
            found.append(Segment(head[1], file.tell(), file.read(size)))
        else:
            file.seek(size, os.SEEK_CUR)
    return found


def frame(file: BinaryIO) -> tuple[int, int] | None:
    """The marker of the frame header (SOF) and the bits per channel; None if the file is no JPEG or has no such header.

    The file's position changes.
    """
    found = next((each for each in header_segments(file, wanted=_FRAMES) if each.data), None)
    return None if found is None else (found.marker, found.data[0])


def shape(file: BinaryIO, at: int) -> tuple[int, int, int, bool] | None:
    """Width, height and number of channels of the JPEG that begins at `at`, and whether it is of an ordinary kind with 8 bits.

    None if there is no JPEG there.
    """
    found = next((each for each in header_segments(file, at, _FRAMES) if len(each.data) >= 6), None)
    if found is None:
        return None
    bits, height, width, channels = struct.unpack_from(">BHHB", found.data)
    return width, height, channels, found.marker in _ORDINARY and bits == 8


def exif_at(file: BinaryIO) -> int | None:
    """Where the TIFF structure of a JPEG's EXIF data begins; None if there is no EXIF data. The file's position changes."""
    found = (each for each in header_segments(file) if each.marker == _APP1 and each.data.startswith(_EXIF))
    return next((each.at + len(_EXIF) for each in found), None)


def xmp_groups(segments: list[Segment]) -> list[xmp.Group]:
    """The properties in a picture's XMP, the standard packet's before those of its extension.

    A packet that is damaged, incomplete or too large counts as missing. Editors often drop the extension and leave its
    announcement.
    """
    packets = [each.data[len(_XMP) :] for each in segments if each.marker == _APP1 and each.data.startswith(_XMP)]
    groups: list[xmp.Group] = []
    try:
        groups += xmp.parse(packets[0]) if packets else []
        guid = next((each["HasExtendedXMP"] for each in xmp.having(groups, _XMP_NOTE) if "HasExtendedXMP" in each), None)
        if guid is not None:
            groups += xmp.parse(_extension(segments, guid.encode("utf-8", "replace")))
    except ValueError:
        pass
    return groups


def _extension(segments: list[Segment], guid: bytes) -> bytes:
    """The extended packet with this GUID, put together (XMP part 3, 1.1.3.1)."""
    parts: dict[int, bytes] = {}
    whole = 0
    for each in segments:
        head = each.data[len(_EXTENDED_XMP) : len(_EXTENDED_XMP) + _EXTENDED_HEAD]
        if each.marker != _APP1 or not each.data.startswith(_EXTENDED_XMP) or len(head) < _EXTENDED_HEAD or head[:32] != guid:
            continue
        whole, start = struct.unpack(">II", head[32:])
        parts[start] = each.data[len(_EXTENDED_XMP) + _EXTENDED_HEAD :]
    packet = b"".join(part for _, part in sorted(parts.items()))
    at = 0
    for start, part in sorted(parts.items()):
        if start != at:
            raise ValueError("a part of the extended XMP is missing")
        at += len(part)
    if not parts or at != whole or whole > MAX_EXTENDED:
        raise ValueError("the extended XMP is incomplete or too large")
    return packet


def other_pictures(segments: list[Segment]) -> list[tuple[int, int]]:
    """Position and size of the further pictures that the index of a multi-picture file lists; empty if there is no index."""
    return [(at, size) for _, at, size in _entries(segments)[1:]]


def second_view(segments: list[Segment]) -> tuple[int, int] | None:
    """Position and size of the view beside the first one in a stereo picture, whose views follow each other from left to right.

    None if the index does not say that the file's pictures are such views.
    """
    entries = _entries(segments)
    if len(entries) < 2 or {kind for kind, _, _ in entries[:2]} != {_DISPARITY}:
        return None
    return entries[1][1:]


def side_by_side(file: BinaryIO) -> str | None:
    """What a JPEG's stereo descriptor (JPS, J. Siragusa and D. C. Swift, 1997) says about the arrangement of its views.

    Returns:
        "left first" or "right first" for two views side by side, "other" for another arrangement; None if there is no descriptor
        or the picture is not stereo.
    """
    for each in header_segments(file, wanted=frozenset([_APP3])):
        if each.data.startswith(_JPS) and len(each.data) >= 14:
            _, flags, layout, kind = each.data[10:14]
            if kind != 1:
                return None
            if layout != 2 or flags & 3:  # views squeezed to half their height or width
                return "other"
            return "left first" if flags & 4 else "right first"
    return None


def _entries(segments: list[Segment]) -> list[tuple[int, int, int]]:
    """Type, position and size of all pictures in the index of a multi-picture file; empty if there is none."""
    for each in segments:
        if each.marker == _APP2 and each.data.startswith(_MPF):
            try:
                return _index(each.data[len(_MPF) :], each.at + len(_MPF))
            except struct.error:
                return []
    return []


def _index(data: bytes, base: int) -> list[tuple[int, int, int]]:
    """The entries of the index; their offsets count from `base`, where the TIFF header is."""
    order = "<" if data[:4] == b"II*\0" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, tuple[int, int]] = {}
    for number in range(min(count, MAX_PICTURES)):
        tag, _, length, value = struct.unpack_from(order + "HHII", data, directory + 2 + 12 * number)
        tags[tag] = length, value
    _, pictures = tags.get(_IMAGE_COUNT, (0, 0))
    length, entries = tags.get(_ENTRIES, (0, 0))
    found = []
    for number in range(min(pictures, length // _ENTRY_BYTES, MAX_PICTURES)):
        attributes, size, offset = struct.unpack_from(order + "III", data, entries + _ENTRY_BYTES * number)
        found.append((attributes & 0xFFFFFF, base + offset, size))
    return found


def scans_complete(data: bytes) -> bool:
    """Whether the scans of a JPEG, up to the last one that begins, hold every bit of every coefficient (T.81, G.1.1.1).

    A progressive JPEG begins with coarse scans of the whole picture. If its last scans are missing, all its rows are there, but
    not as sharp as they were.
    """
    needed = set[tuple[int, int]]()
    for segment, end in all_segments(data):
        body = segment.data
        if segment.marker in _FRAMES and len(body) > 5:
            needed = {(number, place) for number in body[6 : 6 + 3 * body[5] : 3] for place in range(64)}
        elif segment.marker == START_OF_SCAN and body:
            numbers, spectrum = body[1 : 1 + 2 * body[0] : 2], body[1 + 2 * body[0] :]
            if len(spectrum) < 3:
                return False
            if spectrum[2] & 15 == 0:  # down to the last bit
                needed -= {(number, place) for number in numbers for place in range(spectrum[0], min(spectrum[1], 63) + 1)}
            if end == len(data):
                return not needed
    return False


def end_of_picture(data: bytes) -> int | None:
    """Where the first picture of the file ends, just behind its end marker; None if it has none, or is damaged.

    Thumbnails and other pictures in header segments are skipped. Picture data is searched for its next marker.
    """
    return next((end for segment, end in all_segments(data) if segment.marker == _EOI), None)


def all_segments(data: bytes) -> Iterator[tuple[Segment, int]]:
    """Yield the segments of the first picture, with where each ends; that of a scan ends behind its picture data.

    The last one is the end marker, unless the picture has none or is damaged. A scan with no marker behind it ends with the data.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if len(data) < at + 2 or data[at] != 0xFF:
            return
        marker = data[at + 1]
        at += 2
        if marker in _ALONE:
            continue
        if marker == _EOI:
            yield Segment(marker, at, b""), at
            return
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2:
            return
        found, at = Segment(marker, at + 2, data[at + 2 : at + size]), at + size
        if marker == START_OF_SCAN:
            following = _MARKER.search(data, at)
            at = len(data) if following is None else following.start()
        yield found, at
