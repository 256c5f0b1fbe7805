"""Writes ZIP files whose entries are not compressed and whose bytes depend on their contents alone (APPNOTE.TXT 6.3.3)."""

import struct
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP file can hold
_HEADER = 30  # bytes of an entry's header before its name
_PADDING = 0x1986  # the number of an extra field that means nothing, as USD's own writer uses it


def write(out: BinaryIO, entries: Iterable[tuple[str, bytes]], *, align: int = 1) -> None:
    """Write an archive.

    Args:
        out: a file open for writing, empty, at position 0, and seekable.
        entries: names, in ASCII, and contents, in the order in which they are to lie in the file. Each is used before the next
            is asked for.
        align: each content begins at a multiple of this many bytes.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
            if missing := -(out.tell() + _HEADER + len(name)) % align:
                size = missing if missing >= 4 else missing + align  # an extra field has four bytes of its own
                entry.extra = struct.pack("<HH", _PADDING, size - 4) + bytes(size - 4)
            archive.writestr(entry, data)
