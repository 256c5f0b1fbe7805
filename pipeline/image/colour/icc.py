"""Writes the ICC profile of a declared colour space, and reads the CICP numbers that a profile may contain (ICC.1:2022)."""

import struct

import numpy as np
from numpy.typing import NDArray

from pipeline.image.colour.cicp import Curve, Space, to_xyz

_D50 = np.array([0.9642, 1.0, 0.8249])
#: Bradford's cone responses (ICC.1, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_MAX_TAGS = 200


def profile_of(space: Space) -> bytes:
    """A version 4 profile with three primaries and one curve. The same space gives the same bytes.

    Raises:
        ValueError: the space's transfer function is not a curve of ICC (PQ and HLG).
    """
    if not isinstance(space.transfer, Curve):
        raise ValueError(f"{space.transfer} is not a curve")  # noqa: TRY004  the value is wrong, not its type
    to_white = to_xyz(space.primaries)
    adaptation = _adaptation(to_white.sum(axis=1))
    columns = (adaptation @ to_white).T
    curve = _curve(space.transfer)
    tags = {
        b"desc": _text(space.name),
        b"cprt": _text("Public domain"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32" + bytes(4) + b"".join(_fixed(value) for value in adaptation.ravel()),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, data in tags.items():
        if data not in places:
            places[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    header = struct.pack(
        ">I4sI4s4s4s6H4s4sIIIQI3I", at + len(body), bytes(4), 0x04400000, b"mntr", b"RGB ", b"XYZ ",
        2026, 1, 1, 0, 0, 0, b"acsp", bytes(4), 0, 0, 0, 0, 1, 0x0000F6D6, 0x00010000, 0x0000D32D,
    )  # fmt: skip
    return header.ljust(128, b"\0") + table + body


def cicp_of(icc: bytes) -> tuple[int, int] | None:
    """The numbers of primaries and transfer function in a profile's cicp tag (ICC.1:2022, 10.3); None if it has none."""
    if len(icc) < 132:
        return None
    for number in range(min(struct.unpack_from(">I", icc, 128)[0], _MAX_TAGS)):
        entry = icc[132 + 12 * number : 144 + 12 * number]
        if len(entry) == 12 and entry[:4] == b"cicp":
            (at,) = struct.unpack_from(">I", entry, 4)
            data = icc[at : at + 12]
            return (data[8], data[9]) if len(data) == 12 and data[:4] == b"cicp" else None
    return None


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """From this white to D50, which ICC profiles are relative to."""
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.solve(_BRADFORD, scale[:, None] * _BRADFORD), np.float64)


def _curve(curve: Curve) -> bytes:
    if curve.slope == 0.0:
        return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(curve.gamma)
    numbers = (curve.gamma, curve.a, curve.b, curve.slope, curve.cut)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, numbers))


def _fixed(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">i", round(value * 65536))


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
