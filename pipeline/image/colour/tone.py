"""Converts pixels of a declared colour space to 8-bit RGB with a profile that says what they are.

A space with an ordinary curve keeps its numbers, and gets a profile of its own. Linear light would not survive 8 bits, so it is
coded with sRGB's curve, with the same primaries.

PQ and HLG hold more light than a picture on paper or an ordinary screen can show, so they are tone mapped:

1. to light in cd/m²: PQ by its EOTF; HLG by its inverse OETF and the OOTF of a screen of 1,000 cd/m², gamma 1.2 (BT.2100);
2. reference white is 203 cd/m² (BT.2408): it becomes the white of the result;
3. if the picture is brighter than that, its light is compressed by the curve of BT.2390 (section 5.4.1, EETF), applied to the
   largest of red, green and blue, so that hues stay. The brightest 0.1 % of the pixels do not count, and are clipped;
4. to Display P3, or to sRGB if the primaries are BT.709's. Colours outside are clipped.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.image.colour.cicp import (
    BT709,
    DISPLAY_P3,
    LINEAR,
    P3,
    SRGB,
    SRGB_CURVE,
    Curve,
    Floats,
    Space,
    hlg_scene_light,
    pq_coded,
    pq_light,
    to_xyz,
)

WHITE = 203.0
"""cd/m² of reference white (BT.2408)."""
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2
_STRIP = 1 << 18  # pixels that are converted at a time: their floats fit in a few megabytes
_BINS = 4096  # of PQ numbers, finer than 8 bits can show
_OUTLIERS = 0.001  # the fraction of the pixels that may be brighter than the peak


def converted(samples: NDArray[np.integer], bits: int, space: Space) -> tuple[NDArray[np.uint8], Space, str | None]:
    """Convert samples to 8 bits.

    Args:
        samples: (H, W, 3) of red, green, blue, or (H, W) of grey.
        bits: how many bits of each sample are used, 8 to 16.
        space: what they are.

    Returns:
        uint8 of the same shape, but (H, W, 3) if it was tone mapped; the space of the result; and a sentence about what was lost.
    """
    top = (1 << bits) - 1
    coded = np.arange(top + 1) / top
    if space.narrow:
        coded = np.clip((coded * 255.0 - 16.0) / 219.0, 0.0, 1.0)
    if isinstance(space.transfer, Curve):
        result = Space(space.primaries, SRGB_CURVE, f"{_primaries(space)} primaries, sRGB")
        if space.transfer == LINEAR:
            coded = SRGB_CURVE.coded(coded)
        else:
            result = Space(space.primaries, space.transfer, space.name)
        if result.primaries == BT709 and result.transfer == SRGB_CURVE:
            result = SRGB
        return np.rint(coded * 255.0).astype(np.uint8)[samples], result, None
    target = SRGB if space.primaries == BT709 else P3
    pixels = np.dstack([samples] * 3) if samples.ndim == 2 else samples
    light = pq_light(coded) if space.transfer == "PQ" else hlg_scene_light(coded)
    lines = to_xyz(space.primaries)
    matrix = np.linalg.solve(to_xyz(DISPLAY_P3 if target is P3 else BT709), lines)
    counts = np.zeros(_BINS + 1, np.int64)
    for _, strip in _strips(pixels, light, space, lines[1]):
        counts += np.bincount(np.rint(pq_coded(strip.max(axis=1)) * _BINS).astype(np.intp), minlength=_BINS + 1)
    brightest = np.flatnonzero(np.cumsum(counts) >= (1.0 - _OUTLIERS) * counts.sum())[0] / _BINS
    peak = float(pq_light(np.array(brightest)))
    out = np.empty(pixels.shape, np.uint8)
    flat = out.reshape(-1, 3)
    for part, strip in _strips(pixels, light, space, lines[1]):
        largest = strip.max(axis=1, keepdims=True)
        scale = compressed(largest, peak) / np.maximum(largest, 1e-9)
        shown = np.clip((strip * scale / WHITE) @ matrix.T, 0.0, 1.0)
        flat[part] = np.rint(SRGB_CURVE.coded(shown) * 255.0)
    how = f"highlights up to {peak:,.0f} cd/m² were compressed by BT.2390" if peak > WHITE else "it has no brighter highlights"
    return out, target, (
        f"The picture is HDR ({space.name}); layers are not, so it was tone mapped to {target.name}: white is {WHITE:.0f} cd/m², "
        f"and {how}."
    )  # fmt: skip


def compressed(light: Floats, peak: float) -> Floats:
    """The curve of BT.2390 from a picture that is as bright as `peak` to `WHITE`, both in cd/m²; unchanged if it is not brighter.

    Args:
        light: cd/m², any shape.
        peak: what becomes white.
    """
    if peak <= WHITE:
        return np.minimum(light, WHITE)
    whole = float(pq_coded(np.array(peak)))
    most = float(pq_coded(np.array(WHITE))) / whole
    knee = 1.5 * most - 0.5
    coded = np.minimum(pq_coded(light) / whole, 1.0)
    t = (coded - knee) / (1.0 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1.0 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_light(np.where(coded < knee, coded, spline) * whole)


def _primaries(space: Space) -> str:
    """The first part of a space's name."""
    return (space.name.rpartition(",")[0] or space.name).removesuffix(" primaries")


def _strips(
    pixels: NDArray[np.integer], light: Floats, space: Space, luminance: Floats
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Parts of the picture as light in cd/m², float64 (n, 3)."""
    flat = pixels.reshape(-1, 3)
    for start in range(0, len(flat), _STRIP):
        part = slice(start, start + _STRIP)
        strip = light[flat[part]]
        if space.transfer == "HLG":
            scene = (strip @ luminance)[:, None]
            strip = HLG_PEAK * np.power(scene, HLG_GAMMA - 1.0) * strip
        yield part, strip
