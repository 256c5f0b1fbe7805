"""Working where the borders are: a coarse grid for what is smooth, lists of pixels for what is sharp.

What the steps need of the surroundings (mean colours, statistics, distances) is smooth and is computed on a grid of several
hundred cells on the longer side; what belongs to single pixels is done only for the pixels of a band, by their flat index.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.filters import Raster, resize

GRID_SIDE = 768
"""Cells on the longer side: surroundings are then windows of few cells for any size of photo."""
BLOCK = 1 << 16
"""Pixels of a list that are worked on at a time: their dozen float columns stay in a core's cache."""
ROW = 4096
"""Points per row of a remap table; OpenCV wants fewer than 32,768 columns and rows."""


@dataclass(frozen=True)
class Grid:
    """A coarse grid over a picture of `full` = (H, W); cell and pixel centres are aligned by halves."""

    full: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, full: tuple[int, ...]) -> "Grid":
        """The grid for a picture of shape (H, W, …)."""
        height, width = full[:2]
        step = max(1, round(max(height, width) / GRID_SIDE))
        return cls((height, width), (max(1, -(-height // step)), max(1, -(-width // step))))

    @property
    def step(self) -> float:
        """Pixels per cell, along the longer side."""
        return max(self.full) / max(self.shape)

    def shrink(self, picture: Raster) -> Raster:
        """Area means of a finer picture of the same view, (…, …) or (…, …, c); same dtype and channels."""
        return resize(picture, self.shape, cv2.INTER_AREA)

    def share(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Which share of each cell is set; float32 (h, w), 0 to 1."""
        return self.shrink(mask.view(np.uint8) * np.uint8(255)).astype(np.float32) / np.float32(255.0)

    def enlarge_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels whose cell is set; bool (H, W)."""
        return resize(mask.view(np.uint8), self.full, cv2.INTER_NEAREST_EXACT).view(np.bool_)


def sample(coarse: NDArray[np.float32], index: NDArray[np.intp], grid: Grid) -> NDArray[np.float32]:
    """Read a coarse picture at pixels of the full one, bilinearly.

    Args:
        coarse: float32 (h, w) or (h, w, c ≤ 4) on the grid.
        index: n flat indices into (H, W).
        grid: the grid between the two.

    Returns:
        float32 (n,) or (n, c).
    """
    channels = coarse.shape[2:]
    if grid.shape == grid.full:
        return coarse.reshape(-1, *channels)[index]
    rows, columns = np.divmod(index, grid.full[1])
    x = (columns.astype(np.float32) + 0.5) * np.float32(grid.shape[1] / grid.full[1]) - 0.5
    y = (rows.astype(np.float32) + 0.5) * np.float32(grid.shape[0] / grid.full[0]) - 0.5
    return remap_points(coarse, x, y)


def remap_points(picture: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear values of a picture (h, w[, c]) at n points given in pixels; beyond the border the border's value."""
    count = x.size
    out = np.empty((count, *picture.shape[2:]), picture.dtype)
    block = ROW * ROW
    for start in range(0, count, block):
        stop = min(start + block, count)
        rows = -(-(stop - start) // ROW)
        padded = np.zeros((2, rows * ROW), np.float32)
        padded[0, : stop - start] = x[start:stop]
        padded[1, : stop - start] = y[start:stop]
        maps = padded.reshape(2, rows, ROW)
        got: Any = cv2.remap(picture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[start:stop] = got.reshape(rows * ROW, *picture.shape[2:])[: stop - start]
    return out
