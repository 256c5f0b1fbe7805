"""Halves pictures by averaging 2 × 2 pixels, as the first part of making them smaller.

OpenCV does this fifteen times as fast as any other reduction by area, and little work remains afterwards. Sides may be odd: then
the last pixel of a half stands for one pixel only, and the half's extent says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Raster = TypeVar("Raster", NDArray[np.uint8], NDArray[np.float32])

STRIP_BYTES = 1 << 19
"""Bytes of a strip of rows that is prepared and then halved: they fit in a core's cache."""


@dataclass(frozen=True)
class Halved(Generic[Raster]):
    """A picture, halved any number of times.

    Attributes:
        picture: (h, w[, c]).
        extent: how many of its rows and columns the original fills: at most (h, w), and less than one below.
    """

    picture: Raster
    extent: tuple[float, float]

    @classmethod
    def of(cls, picture: Raster) -> "Halved[Raster]":
        """A picture that is not halved yet."""
        return cls(picture, (float(picture.shape[0]), float(picture.shape[1])))

    def towards(self, shape: tuple[int, ...]) -> "Halved[Raster]":
        """Halve as often as both sides stay above `shape` (h, w, …)."""
        picture, extent = self.picture, self.extent
        for _ in range(_times(picture.shape, extent, shape)):
            picture, extent = _half(picture), (extent[0] / 2, extent[1] / 2)
        return Halved(picture, extent)

    def to(self, shape: tuple[int, ...], how: int) -> Raster:
        """Resample to `shape` (h, w, …); `how` is an INTER_ flag of OpenCV."""
        height, width = shape[:2]
        size = self.picture.shape[:2]
        if size == self.extent:
            if size == (height, width):
                return self.picture
            out: Any = cv2.resize(self.picture, (width, height), interpolation=how)
        else:
            # Given factors count from the corner, whatever is beyond the extent. OpenCV rounds the size of the result.
            across, down = width / self.extent[1], height / self.extent[0]
            out = cv2.resize(self.picture, None, fx=across, fy=down, interpolation=how)
            out = np.ascontiguousarray(out[:height, :width])
        return cast(Raster, out.reshape(height, width, *self.picture.shape[2:]))


def prepared(picture: Raster, shape: tuple[int, ...], prepare: Callable[[slice], Raster]) -> Halved[Raster]:
    """`Halved.towards` of a picture that is prepared strip by strip, so that the whole of it is never in memory.

    Args:
        picture: (H, W[, c]), whose size and channels the prepared picture has.
        shape: (h, w, …).
        prepare: returns the prepared picture in some rows.
    """
    whole = Halved.of(picture)
    times = _times(picture.shape, whole.extent, shape)
    if not times:
        return Halved.of(prepare(slice(None)))
    height, width = (-(-side >> times) for side in picture.shape[:2])
    out = np.empty((height, width, *picture.shape[2:]), picture.dtype)
    rows = max(1, STRIP_BYTES // (picture[:1].nbytes << times))
    for start in range(0, height, rows):
        piece = prepare(slice(start << times, (start + rows) << times))
        for _ in range(times):
            piece = _half(piece)
        out[start : start + rows] = piece
    return Halved(cast(Raster, out), (whole.extent[0] / (1 << times), whole.extent[1] / (1 << times)))


def _times(size: tuple[int, ...], extent: tuple[float, float], shape: tuple[int, ...]) -> int:
    """How often a picture of this size and extent can be halved so that both sides stay above `shape` (h, w, …)."""
    return min(_times_of_side(*side) for side in zip(size[:2], extent, shape[:2], strict=True))


def _times_of_side(size: int, extent: float, wanted: int) -> int:
    times = 0
    # A last pixel that counts for less than one can be halved with itself, but not with the one beside it.
    while extent / 2 > wanted and (size % 2 or size == extent):
        size, extent, times = -(-size // 2), extent / 2, times + 1
    return times


def _half(picture: Raster) -> Raster:
    """Means of 2 × 2 pixels. The last row and column of an odd side count as two equal ones."""
    height, width = (side // 2 for side in picture.shape[:2])
    out = np.empty((-(-picture.shape[0] // 2), -(-picture.shape[1] // 2), *picture.shape[2:]), picture.dtype)
    parts = [(np.s_[:height, :width], np.s_[: 2 * height, : 2 * width])]
    if picture.shape[1] % 2:
        parts.append((np.s_[:height, width:], np.s_[: 2 * height, 2 * width :]))
    if picture.shape[0] % 2:
        parts.append((np.s_[height:, :width], np.s_[2 * height :, : 2 * width]))
    if picture.shape[0] % 2 and picture.shape[1] % 2:
        parts.append((np.s_[height:, width:], np.s_[2 * height :, 2 * width :]))
    for to, from_ in parts:
        if out[to].size:
            cv2.resize(picture[from_], out[to].shape[1::-1], dst=out[to], interpolation=cv2.INTER_AREA)
    return cast(Raster, out)
