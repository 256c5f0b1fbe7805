"""Checks the restart marks of a JPEG (ITU-T T.81, B.2.1, E.1.4): decoders pass over damage between them without a word."""

import re
import struct

from pipeline.image import jpeg

DRI = 0xDD
_FRAMES = frozenset([0xC0, 0xC1, 0xC2])
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")


def are_whole(data: bytes) -> bool:
    """Whether each scan of a JPEG's first picture has all its restart marks, in their order.

    True as well where nothing can be said: the picture has no restart marks, or its headers are damaged.
    """
    interval, frame = 0, b""
    for segment, end in jpeg.all_segments(data):
        body = segment.data
        if segment.marker in _FRAMES:
            frame = body
        elif segment.marker == DRI and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif segment.marker == jpeg.START_OF_SCAN and interval and (units := _units(frame, body)):
            found = b"".join(_RESTART.findall(data, segment.at + len(body), end))
            wanted = -(-units // interval) - 1
            if found != (bytes(range(0xD0, 0xD8)) * (wanted // 8 + 1))[:wanted]:
                return False
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
