"""Fills the deep part of a large hole at full size with the photo's own pixels, copied from the sources of the completion.

The completion (`completion`) works on a coarse grid. Details finer than its cells are copied from the photo by the same moves.
Brightness and colour, blurred over a few cells, come from the completion, so that no seam shows between copies from two places.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import dilate_mask, stacked
from pipeline.layers.bands import Grid, Tile, read_at
from pipeline.layers.plates.completion import Completion

Cell = TypeVar("Cell", np.intp, np.complex64)

SIDE = 512
"""The most cells on the longer side."""
HOLE = 60_000
"""About how many cells can be filled in half a second. Larger holes get coarser cells."""
BLENDED = (0.6, 1.0)
"""The completion takes over from the smooth fill between these fractions of the preview's reach.

Nearer to the hole's edge, the smooth fill is closer to the truth by every measure. Between these distances, both fills are equal
in structure (SSIM, GMS), and the smooth fill has lost half of the texture. A change farther in would leave a blurred outline.
"""
SPECK = 3.0
"""A speck keeps its own pixels. Around it, the completion takes over within this many cells: little more than its soft border."""
MOSTLY = 0.5
"""When distances are measured, a cell counts as known if at least this fraction of it is known."""
SEAM = 0.17
"""Half the width, in cells, over which two copies are blended: a blend has less contrast than either copy."""
BLUR = 2.0
"""Standard deviation, in cells, of the blur. Only the blurred tone comes from the completion; detail comes from the copy."""


@dataclass(frozen=True)
class Plate:
    """How the deep part is copied from the photo.

    Attributes:
        share: float32 (h, w), how far the copy replaces the ordinary fill, 0 to 1.
        tone: float32 (h, w, 4), the completion, blurred; the fourth channel is 0.
        ahead: intp (h, w), the distance from each cell's pixels to their sources, in pixels of the photo row after row.
        steps: float32 (h, w, 2), the same distance as (dx, dy) in cells.
    """

    share: NDArray[np.float32]
    tone: NDArray[np.float32]
    ahead: NDArray[np.intp]
    steps: NDArray[np.float32]

    def colours(self, packed: NDArray[np.uint32], tile: Tile) -> NDArray[np.uint8]:
        """The copy's colours and an alpha of 255, uint8 (n, m, 4), in a tile of the photo, given as packed RGBA (H · W,)."""
        y, _ = tile.within(self.share.shape)
        row, next_row, vertical = _cells(y)
        out = self._lines(packed, tile, row)
        # The nearest cell above or below, as far as its copy shows here.
        some = np.flatnonzero(vertical)
        if some.size:
            beyond = self._lines(packed, Tile(tile.rows[some], tile.columns, tile.full), next_row[some])
            beyond -= out[some]
            beyond *= vertical[some, None, None]
            out[some] += beyond
        return np.asarray(cv2.add(out, tile.sample(self.tone), dtype=cv2.CV_8U), np.uint8)

    def _lines(self, packed: NDArray[np.uint32], tile: Tile, row: NDArray[np.intp]) -> NDArray[np.float32]:
        """What the cells in some rows, one for each of the tile's, bring to its pixels: colours minus the source's tone."""
        _, x = tile.within(self.share.shape)
        column, next_column, level = _cells(x)
        out = self._copied(packed, tile, row, column)
        # The nearest cell to the left or right, as far as its copy shows here.
        some = np.flatnonzero(level)
        if some.size:
            beyond = self._copied(packed, Tile(tile.rows, tile.columns[some], tile.full), row, next_column[some])
            there = out.take(some, axis=1)
            beyond -= there
            beyond *= level[some, None]
            beyond += there
            out[:, some] = beyond
        return out

    def _copied(
        self, packed: NDArray[np.uint32], tile: Tile, row: NDArray[np.intp], column: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """What the cells in these rows and columns, one for each of the tile's, bring to its pixels."""
        # A cell's source and the eight cells around it are within the photo, and a pixel is at most a cell away from its cell.
        index = _at(self.ahead, row, column)
        index += (tile.rows * tile.full[1])[:, None] + tile.columns
        colour = packed.take(index, mode="clip").view(np.uint8).reshape(*index.shape, 4)
        places = _at(self.steps.view(np.complex64)[..., 0], row, column).view(np.float32).reshape(*index.shape, 2)
        y, x = tile.within(self.share.shape)
        places[..., 0] += x
        places[..., 1] += y[:, None]
        return np.asarray(cv2.subtract(colour, read_at(self.tone, places), dtype=cv2.CV_32F), np.float32)


def grid_of(shape: tuple[int, ...], filled: float) -> Grid:
    """The grid on which a picture of shape (H, W, …) is completed. `filled`: the fraction of the picture to fill."""
    height, width = shape[:2]
    step = max(-(-max(height, width) // SIDE), round((height * width * filled / HOLE) ** 0.5))
    return Grid((height, width), (-(-height // step), -(-width // step)))


def without_specks(weight: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """The known fractions of cells, float32 (h, w), without isolated pieces smaller than a square of `reach` × `reach` cells.

    A speck of ground between the parts of a thing says little about what is behind the thing, and often has the thing's colour.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((weight >= MOSTLY).view(np.uint8), connectivity=8)
    large = np.zeros(count, np.bool_)
    large[1:] = stats[1:, cv2.CC_STAT_AREA] > reach * reach
    return np.where(dilate_mask(large[labels], 3), weight, np.float32(0))


def deep(weight: NDArray[np.float32], large: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """How far the completion replaces the fill at each cell, by its distance from what is known: float32 (h, w), 0 to 1.

    Args:
        weight: float32 (h, w), the fraction of each cell that is known.
        large: the same without specks.
        reach: how far the preview can uncover what is unknown, in cells.
    """
    if not (large >= MOSTLY).any():
        return np.zeros(weight.shape, np.float32)
    begin, end = (share * reach for share in BLENDED)
    return np.minimum(_ramp(large, begin, end), _ramp(weight, 0.0, SPECK))


def _ramp(weight: NDArray[np.float32], begin: float, end: float) -> NDArray[np.float32]:
    """0 up to the distance `begin` from what is known, 1 at `end` and farther, linear in between; distances in cells."""
    distance = cv2.distanceTransform((weight < MOSTLY).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(np.clip((distance - begin) / (end - begin), 0.0, 1.0), np.float32)


def plate_of(found: Completion, share: NDArray[np.float32], grid: Grid) -> Plate:
    """Turn a completion into a copy at full size.

    Args:
        found: the completion on the cells of `grid`.
        share: float32 (h, w), how far the copy replaces the ordinary fill, 0 to 1.
        grid: from `grid_of`.
    """
    height, width = grid.shape
    down, across = np.divmod(found.source, np.int32(width))
    y, x = np.mgrid[:height, :width].astype(np.int32)
    fine_y, fine_x = grid.full[0] / height, grid.full[1] / width
    dy, dx = (
        np.where(found.hole, np.rint(cells * fine), 0.0).astype(np.intp)
        for cells, fine in ((down - y, fine_y), (across - x, fine_x))
    )
    steps = np.dstack([dx / fine_x, dy / fine_y]).astype(np.float32)
    tone = np.asarray(cv2.GaussianBlur(found.colour, (0, 0), BLUR), np.float32)
    return Plate(share, stacked(tone, np.zeros(grid.shape, np.float32)), dy * grid.full[1] + dx, steps)


def _cells(place: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Along one side, for places in cells (n,): the cell, the nearest other one, and how much of the other's copy shows."""
    own = np.rint(place).astype(np.intp)
    aside = place - own
    other = own + np.sign(aside).astype(np.intp)
    # Half shows at the edge between two cells, nothing in the middle of one.
    near = np.clip((np.abs(aside) - np.float32(0.5 - SEAM)) / np.float32(2 * SEAM), 0, 1)
    shown = np.asarray(near * near * (3 - 2 * near), np.float32)
    return own, other, shown


def _at(cells: NDArray[Cell], row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[Cell]:
    """Values of a coarse picture (h, w) in the cells of some rows (n,) and columns (m,); the edge's beyond it: (n, m)."""
    return cells.take(row, axis=0, mode="clip").take(column, axis=1, mode="clip")
