"""Tells an incomplete picture from a damaged one, by its own structure. Nothing here decodes."""

import os
import struct
from typing import BinaryIO

from daemon.catalogues.file_kinds import HEAD_BYTES, JPEG_XL, sniff


def is_cut_off(file: BinaryIO) -> bool:
    """Whether the file ends earlier than its own structure says.

    Use it for a file that could not be decoded, to tell an unfinished copy from damage.

    Args:
        file: seekable and open for reading; its position changes.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = sniff(head)
    if kind in ("JPEG", "PNG"):
        file.seek(max(0, size - 64))  # some programs add a few bytes after the end mark
        return (b"\xff\xd9" if kind == "JPEG" else b"IEND") not in file.read()
    if kind == "GIF":
        file.seek(max(0, size - 64))
        return b";" not in file.read()
    if kind == "BMP":  # programs write 0, or the size of a part; only a size beyond the end means anything
        return int.from_bytes(head[2:6], "little") > size
    if kind == "WebP":
        return int.from_bytes(head[4:8], "little") + 8 > size
    if kind in ("HEIC", "AVIF") or (kind == JPEG_XL and head.startswith(b"\0")):
        return _boxes_run_past(file, size)
    if kind == "TIFF" and len(head) >= 8:
        return _directory_runs_past(head, size)
    return size == 0


def _boxes_run_past(file: BinaryIO, size: int) -> bool:
    """Whether a top-level box of an ISO base media file extends past the end of the file (ISO 14496-12, 4.2)."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return True
        length = int.from_bytes(header[:4], "big")
        if length == 0:  # "to the end of the file"
            return False
        if length == 1:
            if len(header) < 16:
                return True
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return False
        at += length
    return at > size


def _directory_runs_past(head: bytes, size: int) -> bool:
    """Whether a TIFF's first directory is past the end of the file (TIFF 6.0, section 2; BigTIFF has a 64-bit offset at 8)."""
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"+\0", b"\0+"):
        return len(head) < 16 or bool(struct.unpack(f"{order}Q", head[8:16])[0] + 8 > size)
    return bool(struct.unpack(f"{order}I", head[4:8])[0] + 2 > size)
