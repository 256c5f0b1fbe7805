"""Checks the restart marks of a JPEG (ITU-T T.81, B.2.1, E.1.4): decoders pass over damage between them without a word."""

import re
import struct

from pipeline.image import jpeg

DRI, _SOS, _EOI, _ALONE = 0xDD, 0xDA, 0xD9, frozenset([0x01, *range(0xD0, 0xD8)])
_FRAMES = frozenset([0xC0, 0xC1, 0xC2])
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def are_whole(data: bytes) -> bool:
    """Whether each scan of a JPEG's first picture has all its restart marks, in their order.

    True as well where nothing can be said: the picture has no restart marks, or its headers are damaged.
    """
    at, interval, frame = 2, 0, b""
    for _ in range(jpeg.MAX_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        marker = data[at + 1] if data[at : at + 1] == b"\xff" and len(data) > at + 1 else _EOI
        at += 2
        if marker == _EOI:
            return True
        if marker in _ALONE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + size]
        at += max(size, 2)
        if marker in _FRAMES:
            frame = body
        elif marker == DRI and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _SOS:
            following = _MARKER.search(data, at)
            end = len(data) if following is None else following.start()
            units = _units(frame, body) if interval else 0
            if units:
                found = b"".join(_RESTART.findall(data, at, end))
                wanted = -(-units // interval) - 1
                if found != (bytes(range(0xD0, 0xD8)) * (wanted // 8 + 1))[:wanted]:
                    return False
            at = end
    return True


def _units(frame: bytes, scan: bytes) -> int:
    """How many minimum coded units a scan has (A.2.2 and A.2.3); 0 if the headers do not say."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or not scan:
        return 0
    height, width = (int(side) for side in struct.unpack_from(">HH", frame, 1))
    factors = {frame[at]: (frame[at + 1] >> 4, frame[at + 1] & 15) for at in range(6, 6 + 3 * frame[5], 3)}
    across, down = (max(each[place] for each in factors.values()) for place in (0, 1)) if factors else (0, 0)
    numbers = scan[1 : 1 + 2 * scan[0] : 2]
    if not across or not down or any(number not in factors for number in numbers):
        return 0
    if len(numbers) == 1:  # a scan of one channel counts its blocks
        wide, high = factors[numbers[0]]
        width, height = -(-width * wide // across), -(-height * high // down)
        return -(-width // 8) * -(-height // 8)
    return -(-width // (8 * across)) * -(-height // (8 * down))
