"""Encodes many rows at once in PackBits, the run-length coding of TIFF and Photoshop.

A row is a chain of packets: either a header n ≤ 127 and n + 1 literal bytes, or a header n ≥ 129 and one byte that is repeated
257 − n times (TIFF 6.0, section 9). Rows are independent. The code works on whole strips at once: comparing each byte with its
neighbour shows where packets begin. A strip with few runs is stored without looking for packets.
"""

import numpy as np
import numpy.typing as npt

_PACKET = 128  # the most bytes that one packet can represent
# Inside a packet of literal bytes, coding a run of three saves nothing. Leaving such runs uncoded costs 3 % of size, where a
# smooth picture has several of them in a row, and saves a third of the time.
_MIN_RUN = 4
# Below this fraction of bytes in runs, a strip gets literal packets alone, which take a tenth of the time. A photo's few short
# runs would save at most this much; where runs matter, in flat or empty parts, nearly all bytes are in runs.
_WORTHWHILE = 0.2


def encode_rows(rows: npt.NDArray[np.uint8]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Compress each row of a uint8 (H, W) array.

    Args:
        rows: contiguous, at least one pixel.

    Returns:
        The packets of all rows, one row after the other, and the length of each row in bytes, int64 (H,).
    """
    height, width = rows.shape
    flat = rows.reshape(-1)
    run_begins, same = _runs(flat, width)
    # A run of n equal bytes begins n − 3 times, and saves about as many bytes.
    if np.count_nonzero(run_begins) < _WORTHWHILE * flat.size:
        return _literals(rows)
    in_run, starts = _segments(run_begins, same, width)
    starts = _cut(starts, flat.size)
    runs = in_run[starts]
    lengths = np.diff(starts, append=flat.size)
    offsets = np.zeros(starts.size + 1, np.int64)
    np.cumsum(np.where(runs, 2, lengths + 1), out=offsets[1:])

    # A run of one, left over from the cut, needs no special case: 257 − 1 wraps to 0, the header of one literal byte.
    headers = np.where(runs, 257 - lengths, lengths - 1).astype(np.uint8)
    body = np.ones(int(offsets[-1]), bool)
    body[offsets[:-1]] = False
    kept = ~in_run
    kept[starts] = True
    packed = np.empty(body.size, np.uint8)
    packed[offsets[:-1]] = headers
    packed[body] = flat[kept]

    first_packets = np.searchsorted(starts, np.arange(height + 1) * width)
    return packed.tobytes(), np.diff(offsets[first_packets])


def _literals(rows: npt.NDArray[np.uint8]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Code each row in literal packets only."""
    height, width = rows.shape
    full = width // _PACKET
    cut, size = full * _PACKET, width + -(-width // _PACKET)
    packed = np.empty((height, size), np.uint8)
    packets = packed[:, : full * (_PACKET + 1)].reshape(height, full, _PACKET + 1)
    packets[:, :, 0] = _PACKET - 1
    packets[:, :, 1:] = rows[:, :cut].reshape(height, full, _PACKET)
    if cut < width:
        packed[:, cut + full] = width - cut - 1
        packed[:, cut + full + 1 :] = rows[:, cut:]
    return packed.tobytes(), np.full(height, size, np.int64)


def _runs(flat: npt.NDArray[np.uint8], width: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where at least `_MIN_RUN` equal bytes begin, and which bytes are equal to the one before them in their row.

    The second is longer by `_MIN_RUN` − 1: the end equals nothing.
    """
    same = np.zeros(flat.size + _MIN_RUN - 1, bool)
    np.equal(flat[1:], flat[:-1], out=same[1 : flat.size])
    same[: flat.size : width] = False
    begins: npt.NDArray[np.bool_] = same[1 : flat.size + 1] & same[2 : flat.size + 2]
    begins &= same[3 : flat.size + 3]
    return begins, same


def _segments(
    run_begins: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_], width: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which bytes are in runs that are worth coding, and the positions at which runs and the stretches between runs begin."""
    in_run = run_begins.copy()
    in_run[1:] |= run_begins[:-1]
    in_run[2:] |= run_begins[:-2]
    in_run[3:] |= run_begins[:-3]
    begins = in_run & ~same[: in_run.size]
    begins[1:] |= in_run[1:] != in_run[:-1]
    begins[::width] = True
    return in_run, np.flatnonzero(begins)


def _cut(starts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Cut whatever is longer than one packet into packets."""
    packets = (np.diff(starts, append=size) + _PACKET - 1) // _PACKET
    if packets.size == packets.sum():
        return starts
    before = np.cumsum(packets) - packets
    within = np.arange(int(packets.sum())) - np.repeat(before, packets)
    cut: npt.NDArray[np.int64] = np.repeat(starts, packets) + _PACKET * within
    return cut
