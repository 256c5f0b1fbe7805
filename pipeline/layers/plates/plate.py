"""Fills the deep part of a large hole at full size with the photo's own pixels, copied from the sources of the completion.

The completion (`completion`) works on a coarse grid. Details finer than its cells are copied from the photo by the same moves.
Brightness and colour, blurred over a few cells, come from the completion, so that no seam shows between copies from two places.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import dilate_mask
from pipeline.layers.bands import Grid, Pixels
from pipeline.layers.plates.completion import Completion

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
        tone: float32 (h, w, 3), the completion, blurred.
        moves: int16 (h, w, 2), (dy, dx) in pixels from each cell to its source.
    """

    share: NDArray[np.float32]
    tone: NDArray[np.float32]
    moves: NDArray[np.int16]

    def colours(self, packed: NDArray[np.uint32], pixels: Pixels) -> NDArray[np.float32]:
        """The copy's colours, float32 (n, 3), at some pixels of the photo, given as packed RGBA (H · W,)."""
        height, width = self.share.shape
        y = (pixels.rows + np.float32(0.5)) * np.float32(height / pixels.full[0]) - np.float32(0.5)
        x = (pixels.columns + np.float32(0.5)) * np.float32(width / pixels.full[1]) - np.float32(0.5)
        row, column = (np.rint(place).astype(np.int32) for place in (y, x))
        own = row * np.int32(width) + column
        out = self._copied(packed, pixels, own)
        # The nearest cell above or below, and the nearest to the left or right, as far as their copies show here.
        down, across = y - row, x - column
        vertical, level = _seen_through(down), _seen_through(across)
        next_row = np.clip(row + np.sign(down).astype(np.int32), 0, height - 1) * np.int32(width)
        next_column = np.clip(column + np.sign(across).astype(np.int32), 0, width - 1)
        moves = self.moves.view(np.int32).reshape(-1)
        change = np.zeros_like(out)
        for cell, weight in (
            (next_row + column, vertical * (1 - level)),
            (row * np.int32(width) + next_column, (1 - vertical) * level),
            (next_row + next_column, vertical * level),
        ):
            some = np.flatnonzero((weight > 0) & (moves[cell] != moves[own]))
            change[some] += (self._copied(packed, pixels.some(some), cell[some]) - out[some]) * weight[some, None]
        out += change
        out += pixels.sample(self.tone)
        return out

    def _copied(self, packed: NDArray[np.uint32], pixels: Pixels, cells: NDArray[np.int32]) -> NDArray[np.float32]:
        """The colours that the moves of these cells bring to these pixels, minus the source's tone."""
        height, width = pixels.full
        moves = self.moves.reshape(-1, 2)[cells]
        rows = np.clip(pixels.rows + moves[:, 0], 0, height - 1)
        columns = np.clip(pixels.columns + moves[:, 1], 0, width - 1)
        index = rows.astype(np.intp) * width + columns.astype(np.intp)
        colour = packed[index].view(np.uint8).reshape(-1, 4)[:, :3].astype(np.float32)
        colour -= Pixels(index, rows, columns, pixels.full).sample(self.tone)
        return np.asarray(colour, np.float32)


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
    moves = np.dstack([(down - y) * (grid.full[0] / height), (across - x) * (grid.full[1] / width)])
    moves = np.where(found.hole[..., None], np.rint(moves), 0).astype(np.int16)
    tone = np.asarray(cv2.GaussianBlur(found.colour, (0, 0), BLUR), np.float32)
    return Plate(share, tone, np.ascontiguousarray(moves))


def _seen_through(place: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the next cell's copy shows at a place in a cell, −0.5 to 0.5: half at the edge, none in the middle."""
    near = np.clip((np.abs(place) - np.float32(0.5 - SEAM)) / np.float32(2 * SEAM), 0, 1)
    return np.asarray(near * near * (3 - 2 * near), np.float32)
