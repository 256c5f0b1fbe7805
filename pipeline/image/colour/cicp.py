"""Knows the colour spaces that files declare by numbers instead of a profile: ITU-T H.273 (CICP), and PNG's gAMA and cHRM.

A space is its primaries, its white, and its transfer function: how a coded number from 0 to 1 becomes light.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float]
Primaries = tuple[Point, Point, Point, Point]
"""CIE 1931 x, y of red, green, blue and white."""

D65: Point = (0.3127, 0.3290)
BT709: Primaries = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
BT2020: Primaries = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
DISPLAY_P3: Primaries = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
ADOBE_RGB: Primaries = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), D65)
_ILLUMINANT_C: Point = (0.310, 0.316)
#: H.273, table 2.
_PRIMARIES: dict[int, tuple[str, Primaries]] = {
    1: ("BT.709", BT709),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _ILLUMINANT_C)),
    5: ("BT.470 B/G", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65)),
    6: ("BT.601", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65)),
    7: ("SMPTE 240M", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65)),
    8: ("film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _ILLUMINANT_C)),
    9: ("BT.2020", BT2020),
    11: ("DCI-P3", (*DISPLAY_P3[:3], (0.314, 0.351))),
    12: ("Display P3", DISPLAY_P3),
    22: ("EBU 3213", ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65)),
}
UNSPECIFIED, PQ_NUMBER, HLG_NUMBER = 2, 16, 18

#: PQ (SMPTE ST 2084, BT.2100 table 4).
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_PEAK = 10_000.0  # cd/m²
#: HLG (BT.2100 table 5).
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


@dataclass(frozen=True)
class Curve:
    """A transfer function as ICC writes it (ICC.1, 10.18, function types 0 and 3): v ≥ cut: (a·v + b)^gamma, below: slope·v."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    slope: float = 0.0
    cut: float = 0.0

    def light(self, coded: Floats) -> Floats:
        """Light, 0 to 1, of coded numbers, 0 to 1."""
        above = np.power(np.maximum(self.a * coded + self.b, 0.0), self.gamma)
        return np.where(coded >= self.cut, above, self.slope * coded)

    def coded(self, light: Floats) -> Floats:
        """The inverse of `light`."""
        above = (np.power(np.maximum(light, 0.0), 1.0 / self.gamma) - self.b) / self.a
        if self.slope == 0.0:
            return above
        return np.where(light >= self.slope * self.cut, above, light / self.slope)


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = Curve(1 / 0.45, 1 / 1.099296826809442, 0.099296826809442 / 1.099296826809442, 1 / 4.5, 0.081242858298635)
_SMPTE240_CURVE = Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0913)
LINEAR = Curve(1.0)
Transfer = Curve | Literal["PQ", "HLG"]
#: H.273, table 3.
_TRANSFERS: dict[int, tuple[str, Transfer]] = {
    **dict.fromkeys((1, 6, 14, 15), ("BT.709", _BT709_CURVE)),
    4: ("gamma 2.2", Curve(2.2)),
    5: ("gamma 2.8", Curve(2.8)),
    7: ("SMPTE 240M", _SMPTE240_CURVE),
    8: ("linear", LINEAR),
    11: ("BT.709", _BT709_CURVE),
    13: ("sRGB", SRGB_CURVE),
    PQ_NUMBER: ("PQ", "PQ"),
    HLG_NUMBER: ("HLG", "HLG"),
}


@dataclass(frozen=True)
class Space:
    """A declared colour space.

    Attributes:
        primaries: where the primaries and white are.
        transfer: how numbers become light.
        name: for people.
        narrow: numbers of RGB run from 16 to 235 (of 255) instead of using the whole range.
    """

    primaries: Primaries
    transfer: Transfer
    name: str
    narrow: bool = False

    @property
    def is_srgb(self) -> bool:
        """Whether this is sRGB, whatever says so."""
        return self.primaries == BT709 and self.transfer == SRGB_CURVE and not self.narrow


SRGB = Space(BT709, SRGB_CURVE, "sRGB")
P3 = Space(DISPLAY_P3, SRGB_CURVE, "Display P3")


def space_of(primaries: int, transfer: int, *, narrow: bool = False) -> tuple[Space, str | None]:
    """The space that these numbers of H.273 mean. Unspecified ones mean sRGB's.

    Returns:
        The space, and, if a number is not known, what is wrong: then sRGB's primaries or curve stand in its place.
    """
    unknown = []
    name, points = _PRIMARIES.get(primaries, ("BT.709", BT709))
    if primaries not in _PRIMARIES and primaries != UNSPECIFIED:
        unknown.append(f"primaries {primaries}")
    word, curve = _TRANSFERS.get(transfer, ("sRGB", SRGB_CURVE))
    if transfer not in _TRANSFERS and transfer != UNSPECIFIED:
        unknown.append(f"transfer function {transfer}")
    found = Space(points, curve, f"{name}, {word}", narrow)
    if found.is_srgb:
        found = SRGB
    elif points == DISPLAY_P3 and curve == SRGB_CURVE and not narrow:
        found = P3
    return found, " and ".join(unknown) or None


def png_space(gamma: float | None, chromaticities: tuple[float, ...] | None) -> Space | None:
    """The space of a PNG's gAMA and cHRM chunks (PNG 3rd edition, 11.3.2); None if there is neither, or they mean sRGB.

    Args:
        gamma: of the image, for instance 0.45455; None if it is missing.
        chromaticities: x and y of white, red, green and blue, as in the chunk.
    """
    points = BT709
    if chromaticities is not None:
        pairs = list(zip(chromaticities[::2], chromaticities[1::2], strict=True))
        given: Primaries = (pairs[1], pairs[2], pairs[3], pairs[0])
        # Writers round to five digits, or give D65 more exactly than BT.709 does.
        near = all(abs(x - y) < 0.002 for one, other in zip(given, BT709, strict=True) for x, y in zip(one, other, strict=True))
        if not near:
            if not _usable(given):
                return None
            points = given
    # With sRGB's primaries, 0.45455 stands for sRGB's curve (11.3.2.5).
    stands_for_srgb = gamma is None or (points == BT709 and abs(gamma - 0.45455) < 0.0005)
    curve = SRGB_CURVE if gamma is None or stands_for_srgb else Curve(1.0 / gamma)
    if points == BT709 and curve == SRGB_CURVE:
        return None
    shown = "sRGB" if curve == SRGB_CURVE else f"gamma {curve.gamma:.4g}"
    return Space(points, curve, f"{'sRGB' if points == BT709 else 'own'} primaries, {shown}")


def to_xyz(primaries: Primaries) -> Floats:
    """The matrix (3, 3) from linear RGB to CIE XYZ in which white has Y = 1 (SMPTE RP 177)."""
    corners = np.array([[x / y, 1.0, (1.0 - x - y) / y] for x, y in primaries[:3]]).T
    x, y = primaries[3]
    return corners * np.linalg.solve(corners, np.array([x / y, 1.0, (1.0 - x - y) / y]))


def pq_light(coded: Floats) -> Floats:
    """Light in cd/m² of PQ numbers, 0 to 1."""
    root = np.power(np.clip(coded, 0.0, 1.0), 1.0 / _M2)
    return PQ_PEAK * np.power(np.maximum(root - _C1, 0.0) / (_C2 - _C3 * root), 1.0 / _M1)


def pq_coded(light: Floats) -> Floats:
    """The inverse of `pq_light`."""
    power = np.power(np.clip(light / PQ_PEAK, 0.0, 1.0), _M1)
    return np.power((_C1 + _C2 * power) / (1.0 + _C3 * power), _M2)


def hlg_scene_light(coded: Floats) -> Floats:
    """Scene light, 0 to 1, of HLG numbers, 0 to 1."""
    return np.where(coded <= 0.5, np.square(coded) / 3.0, (np.exp((coded - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)


def _usable(primaries: Primaries) -> bool:
    """Whether hostile numbers make a space: every y is positive, and the primaries span a triangle around white."""
    if any(not (0.0 <= x <= 1.0 and 0.01 <= y <= 1.0) for x, y in primaries):
        return False
    corners = np.array([[x, y, 1.0 - x - y] for x, y in primaries[:3]]).T
    if abs(np.linalg.det(corners)) < 1e-3:
        return False
    return bool((np.linalg.solve(corners, np.array([*primaries[3], 1.0 - sum(primaries[3])])) > 0.0).all())
