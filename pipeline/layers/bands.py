"""Tools for working along borders: a coarse grid for smooth values, lists of pixels for sharp ones.

The values that the steps need from a pixel's surroundings (mean colours, statistics, distances) are smooth. They are computed on
a grid with several hundred cells on the longer side. Single pixels are processed only in the band along a border, by their flat
index.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize
from pipeline.image.halving import Halved, Raster

Item = TypeVar("Item")
Result = TypeVar("Result")
First = TypeVar("First")
Second = TypeVar("Second")

BAND_PIXELS = 3.0
BAND_SHARE = 0.002
"""Half the width of the band along a border: `BAND_PIXELS` pixels plus the fraction `BAND_SHARE` of the longer side.

The band covers an antialiased edge, plus the usual error of a depth edge.
"""
GRID_SIDE = 768
"""Cells on the longer side. With a fixed number, a pixel's surroundings are a few cells wide in a photo of any size."""
CELLS_PER_BAND = 2.0
"""Cells in half the width of a band if only smooth values are needed. Photos above four megapixels have that many anyway."""
BLOCK = 1 << 16
"""How many pixels of a list are processed at a time: their dozen float columns fit in a core's cache."""
TILE = 256
"""Pixels on the side of a tile: its few planes fit in a core's cache."""
STRIP = 1 << 18
"""Pixels of a strip of rows: a few of its planes fit in a core's cache."""
NO_SECOND_MAP: Any = None
"""For OpenCV's remap where one map holds both coordinates; its types ask for an array, but an empty one is read as a map."""
ROW = 4096
"""Points per row of a remap table; OpenCV requires fewer than 32,768 columns and rows."""


def band_radius(shape: tuple[int, ...]) -> float:
    """Half the width of the band along a border, in pixels, for a picture of shape (H, W, …)."""
    return BAND_PIXELS + BAND_SHARE * max(shape[:2])


def around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The rows and columns of a mask that is not empty, plus `margin` on each side."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)


@dataclass(frozen=True)
class Grid:
    """A coarse grid of `shape` (h, w) over a picture of `full` (H, W). Cell and pixel centres are at half-integer coordinates."""

    full: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, full: tuple[int, ...], *, smooth: bool = False) -> "Grid":
        """The grid for a picture of shape (H, W, …).

        `smooth`: only smooth values are needed, so small pictures get a coarser grid.
        """
        height, width = full[:2]
        step = max(1, round(max(height, width) / GRID_SIDE), int(band_radius(full) / CELLS_PER_BAND) if smooth else 1)
        return cls((height, width), (max(1, -(-height // step)), max(1, -(-width // step))))

    @property
    def step(self) -> float:
        """Pixels per cell, along the longer side."""
        return max(self.full) / max(self.shape)

    def shrink(self, picture: Raster | Halved[Raster]) -> Raster:
        """Area means of a finer picture of the same view, (h, w) or (h, w, c); same dtype and channels."""
        return resize(picture, self.shape, cv2.INTER_AREA)

    def share(self, mask: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The fraction of each cell that is set in a mask of 0 and 255; float32 (h, w), 0 to 1."""
        return self.shrink(mask).astype(np.float32) / np.float32(255.0)

    def enlarge_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels whose cell is set; bool (H, W)."""
        return resize(mask.view(np.uint8), self.full, cv2.INTER_NEAREST_EXACT).view(np.bool_)


@dataclass(frozen=True)
class Pixels:
    """Some pixels of a full picture, with the coordinates for reading coarse pictures there.

    Attributes:
        index: intp (n,), flat indices.
        rows: float32 (n,).
        columns: float32 (n,).
        full: (H, W) of the picture.
    """

    index: NDArray[np.intp]
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    full: tuple[int, int]

    @classmethod
    def at(cls, index: NDArray[np.intp], full: tuple[int, int]) -> "Pixels":
        """The pixels with these flat indices in a picture of shape (H, W)."""
        small = index.astype(np.int32) if full[0] * full[1] < 1 << 31 else index
        rows = small // full[1]
        columns = small - rows * full[1]
        return cls(index, rows.astype(np.float32), columns.astype(np.float32), full)

    def some(self, places: NDArray[np.intp]) -> "Pixels":
        """The pixels at these positions in the list."""
        return Pixels(self.index[places], self.rows[places], self.columns[places], self.full)

    def sample(self, coarse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear values of a coarse picture (h, w[, c ≤ 4]) of the same view: float32 (n[, c])."""
        return self.sample_each(coarse)[0]

    def sample_each(self, *coarse: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """`sample` of several pictures of the same height and width (h, w)."""
        height, width = coarse[0].shape[:2]
        if (height, width) == self.full:
            return [picture.reshape(-1, *picture.shape[2:])[self.index] for picture in coarse]
        x = (self.columns + np.float32(0.5)) * np.float32(width / self.full[1]) - np.float32(0.5)
        y = (self.rows + np.float32(0.5)) * np.float32(height / self.full[0]) - np.float32(0.5)
        return remap_points(coarse, x, y)

    def planes(self, *coarse: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """`sample_each` with the channels first: float32 ([c, ]n) each."""
        return [got if got.ndim == 1 else np.asarray(cv2.transpose(got), np.float32) for got in self.sample_each(*coarse)]

    def colours(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The colours of a full picture (H, W, 3), channels first: float32 (3, n)."""
        got = rgb.reshape(-1, 3).take(self.index, axis=0)
        return np.stack([plane.reshape(-1) for plane in cv2.split(got[None])]).astype(np.float32)

    def cells(self, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Flat indices of the cells that contain these pixels, in a coarse picture of shape (h, w)."""
        rows = ((self.rows + np.float32(0.5)) * np.float32(shape[0] / self.full[0])).astype(np.int32)
        columns = ((self.columns + np.float32(0.5)) * np.float32(shape[1] / self.full[1])).astype(np.int32)
        return np.minimum(rows, shape[0] - 1) * np.int32(shape[1]) + np.minimum(columns, shape[1] - 1)


@dataclass(frozen=True)
class Tile:
    """Some rows and columns of a full picture, for reading coarse pictures where they cross.

    Attributes:
        rows: intp (n,), rising.
        columns: intp (m,), rising.
        full: (H, W) of the picture.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    full: tuple[int, int]

    @classmethod
    def over(cls, full: tuple[int, int]) -> list["Tile"]:
        """Tiles that cover a picture of shape (H, W)."""
        rows, columns = ([np.arange(start, min(start + TILE, side)) for start in range(0, side, TILE)] for side in full)
        return [cls(y, x, full) for y in rows for x in columns]

    @property
    def place(self) -> tuple[slice, slice]:
        """The slices that cut it out of the picture; its rows and columns must not have gaps."""
        return slice(int(self.rows[0]), int(self.rows[-1]) + 1), slice(int(self.columns[0]), int(self.columns[-1]) + 1)

    def within(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Its rows (n,) and columns (m,), both float32, in the cells of a coarse picture of shape (h, w, …)."""
        y, x = (
            (place.astype(np.float32) + np.float32(0.5)) * np.float32(cells / side) - np.float32(0.5)
            for place, cells, side in zip((self.rows, self.columns), shape[:2], self.full, strict=True)
        )
        return y, x

    def cells(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The slices that cut out of a coarse picture of shape (h, w, …) all cells that `sample` reads."""
        y, x = (slice(max(0, int(np.floor(place[0]))), int(np.ceil(place[-1])) + 1) for place in self.within(shape))
        return y, x

    def sample(self, coarse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear values of a coarse picture (h, w[, c ≤ 4]) of the same view: float32 (n, m[, c])."""
        y, x = self.within(coarse.shape)
        maps = np.empty((y.size, x.size, 2), np.float32)
        maps[..., 0], maps[..., 1] = x, y[:, None]
        return read_at(coarse, maps)


def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scalar products of n pairs of colours with the channels first: float32 (3, n), (3, n) → (n,)."""
    total: NDArray[np.float32] = a[0] * b[0]
    total += a[1] * b[1]
    total += a[2] * b[2]
    return total


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do independent tasks on as many threads as OpenCV uses; the results are in the order of the items."""
    threads = cv2.getNumThreads()
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def strips(height: int, width: int) -> list[slice]:
    """Slices that cut a picture into strips of rows."""
    rows = max(1, STRIP // max(1, width))
    return [slice(y, min(y + rows, height)) for y in range(0, height, rows)]


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Do two independent tasks, at the same time if OpenCV uses more than one thread."""
    if cv2.getNumThreads() <= 1:
        return first(), second()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        return first(), other.result()


def remap_points(
    pictures: Sequence[NDArray[np.float32]], x: NDArray[np.float32], y: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Bilinear values of pictures (h, w[, c]) at n points given in pixels; points outside get the border's value."""
    count = x.size
    out = [np.empty((count, *picture.shape[2:]), picture.dtype) for picture in pictures]
    block = ROW * ROW
    for start in range(0, count, block):
        stop = min(start + block, count)
        rows = -(-(stop - start) // ROW)
        padded = np.zeros((2, rows * ROW), np.float32)
        padded[0, : stop - start] = x[start:stop]
        padded[1, : stop - start] = y[start:stop]
        maps = padded.reshape(2, rows, ROW)
        for picture, values in zip(pictures, out, strict=True):
            got: Any = cv2.remap(picture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            values[start:stop] = got.reshape(rows * ROW, *picture.shape[2:])[: stop - start]
    return out


def read_at(picture: NDArray[np.float32], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear values of a picture (h, w[, c]) at a plane of points, float32 (n, m, 2), (x, y) in its pixels.

    Points outside get the border's value.
    """
    got: Any = cv2.remap(picture, maps, NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cast("NDArray[np.float32]", got.reshape(*maps.shape[:2], *picture.shape[2:]))
