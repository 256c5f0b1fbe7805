"""Checks whether the end of a picture is missing, by its first and last bytes.

Some writers open the file again by name for each part. They must find it where they left it, so this is checked before the
picture is taken. Nothing is decoded. The answer is yes only if the file's own structure says that more must follow. All other
faults, and unknown kinds of files, are left to the worker.
"""

import re
import struct
from collections.abc import Sequence

#: How many bytes are read from each end of a file: enough for the metadata at the start of most pictures, and for the data that
#: programs append to them.
END_BYTES = 1 << 16
#: A file with fewer bytes cannot be recognised.
_SIGNATURE_BYTES = 12
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_TIFF = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_SIGNATURES = (b"\xff\xd8\xff", _PNG, b"RIFF", *_TIFF)
#: Markers that may occur in the picture data of a JPEG (ITU-T T.81, B.1.1.2): stuffed bytes, restarts, and headers between
#: scans.
_IN_SCANS = frozenset([b"\0", b"\xc4", b"\xda", b"\xdb", b"\xdc", b"\xdd", *(bytes([0xD0 + n]) for n in range(8))])
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
#: The tags that locate the pixels of a TIFF: offsets and byte counts of its strips and tiles (TIFF 6.0).
_OFFSETS, _COUNTS = (273, 324), (279, 325)
#: Size in bytes and struct code of the types that these tags may have: SHORT, LONG, LONG8.
_INTEGERS = {3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}
_MAX_TAGS = 4096


class _Ends:
    """The first and last bytes of a file, which can be read by their position in the file."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self.head, self.tail, self.size = head, tail, size
        self.tail_at = size - len(tail)

    def at(self, start: int, count: int) -> bytes | None:
        """`count` bytes of the file from `start`; None if they are not all in one of the two ends."""
        if start + count <= len(self.head):
            return self.head[start : start + count]
        if start >= self.tail_at and start + count <= self.size:
            return self.tail[start - self.tail_at : start - self.tail_at + count]
        return None


def end_is_missing(head: bytes, tail: bytes, size: int) -> bool:
    """Whether the end of a picture is missing, according to the picture's own structure.

    Args:
        head: its first bytes, `END_BYTES` or all there are.
        tail: its last bytes, `END_BYTES` or all there are.
        size: bytes of the file.
    """
    ends = _Ends(head, tail, size)
    if size < _SIGNATURE_BYTES:
        return size > 0 and _may_become_a_picture(head)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_ends_early(ends)
    if head.startswith(_PNG):
        return _PNG_END not in tail and _PNG_END not in head
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 > size
    if head[4:8] == b"ftyp":
        return _boxes_end_early(ends)
    if head[:4] in _TIFF:
        return _tiff_ends_early(ends, *_TIFF[head[:4]])
    return False


def _may_become_a_picture(head: bytes) -> bool:
    if any(signature.startswith(head) or head.startswith(signature) for signature in _SIGNATURES):
        return True
    return (head[:3] == b"\0\0\0"[: len(head)]) and b"ftyp".startswith(head[4:8])


def _jpeg_ends_early(ends: _Ends) -> bool:
    """Whether a JPEG has no end mark after its headers, which may themselves contain whole small pictures.

    Phones append films and other data, often larger than the part that is read. So if the headers reach beyond that part, the
    end only counts as missing if the tail looks like picture data.
    """
    at, in_scan = 2, False
    while not in_scan and at < len(ends.head):
        if at + 4 > ends.size:
            return True
        if at + 4 > len(ends.head):
            break
        if ends.head[at] != 0xFF or ends.head[at + 1] == 0xD9:
            return False
        if ends.head[at + 1] == 0xFF:  # fill bytes
            at += 1
            continue
        in_scan = ends.head[at + 1] == 0xDA
        at += 2 + int.from_bytes(ends.head[at + 2 : at + 4], "big")
    if at >= ends.size:
        return True
    seen = ends.tail[max(0, at - ends.tail_at) :]
    if b"\xff\xd9" in seen:
        return False
    return (in_scan and at >= ends.tail_at) or _is_scan(seen)


def _is_scan(data: bytes) -> bool:
    """Whether these bytes can be entropy-coded data: their only markers are those of scans, and they are not text or zeros."""
    is_text = len(data.decode("utf-8", "ignore").encode()) >= len(data) - 6  # either end may cut a character in two
    return not is_text and {match[1] for match in _MARKER.finditer(data)} <= _IN_SCANS


def _boxes_end_early(ends: _Ends) -> bool:
    """Follow the top-level boxes of a HEIC or AVIF file to its end (ISO 14496-12, 4.2).

    The pixels are in `mdat`, or in `idat` if they are few. If neither was found, the end is missing.
    """
    at, has_pixels = 0, b"idat" in ends.head
    while at < ends.size:
        header = ends.at(at, 8)
        if header is None:
            return at + 8 > ends.size
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # the true length follows
            long = ends.at(at + 8, 8)
            if long is None:
                return at + 16 > ends.size
            length = int.from_bytes(long, "big")
        if length < 8:  # 0 means that the box extends to the end of the file
            return False
        has_pixels = has_pixels or header[4:] == b"mdat"
        at += length
    return at > ends.size or not has_pixels


def _tiff_ends_early(ends: _Ends, order: str, is_big: bool) -> bool:
    """Whether the first directory of a TIFF, or its strips or tiles, extend beyond the file. Checks only what the ends show."""
    word, entry = ("Q", "HHQ8s") if is_big else ("I", "HHI4s")
    start, width = (8, 8) if is_big else (4, 4)
    first = ends.at(start, width)
    if first is None:
        return True
    (at,) = struct.unpack(order + word, first)
    if at == 0 or at >= ends.size:  # many writers fill in the offset last
        return True
    count_width = 8 if is_big else 2
    counted = ends.at(at, count_width)
    if counted is None:
        return bool(at + count_width > ends.size)
    count = int.from_bytes(counted, "little" if order == "<" else "big")
    length = count * struct.calcsize(order + entry)
    if count > _MAX_TAGS:
        return False
    table = ends.at(at + count_width, length)
    if table is None:
        return bool(at + count_width + length > ends.size)
    where: Sequence[int] = ()
    lengths: Sequence[int] = ()
    for tag, kind, number, value in struct.iter_unpack(order + entry, table):
        if tag not in _OFFSETS + _COUNTS or kind not in _INTEGERS:
            continue
        bytes_each, code = _INTEGERS[kind]
        total = bytes_each * number
        if total > width:
            (values_at,) = struct.unpack(order + word, value)
            if values_at + total > ends.size:
                return True
            value = ends.at(values_at, total)
            if value is None:
                continue
        numbers = struct.unpack(f"{order}{number}{code}", value[:total])
        where, lengths = (numbers, lengths) if tag in _OFFSETS else (where, numbers)
    if len(lengths) == len(where):
        return any(start + length > ends.size for start, length in zip(where, lengths, strict=True))
    return any(start >= ends.size for start in where)
