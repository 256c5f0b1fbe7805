"""Makes the first guess of what a hole contains: fills it inwards, patch by patch, along strong lines first.

After A. Criminisi, P. Pérez and K. Toyama, "Region Filling and Object Removal by Exemplar-Based Image Inpainting" (2004). The
method is meant for pictures of about a hundred cells per side. There it takes a tenth of a second, and continues the large lines.
The finer scales only follow these lines.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, dilate_mask, erode, power
from pipeline.layers.plates.patches import RADIUS, SIDE

MAX_SOURCES = 4000
"""How many evenly picked patches are compared at each step. This many fit in a core's cache."""
FLAT = 8.0
"""Levels added to the strength of the lines. Where there are no lines, growth starts from what is most certain."""
HEIGHT_WEIGHT = 0.3
"""Penalty for a source that is a 255th of the height away, in squared levels per pixel: ground is copied from ground."""
TONE_WEIGHT = 1.0
"""Weight of the squared difference from the smooth fill's colour, so that a thing at the rim does not spread."""


@dataclass
class _Growth:
    """The growing picture, with a rim of RADIUS cells that repeats its edge.

    Attributes:
        colour: float32 (h', w', 3).
        known: float32 (h', w'), 1 or 0; the rim is never known.
        belief: float32 (h', w'), how certain a cell is: 1 where the picture is known, lower the farther away from there.
    """

    colour: NDArray[np.float32]
    known: NDArray[np.float32]
    belief: NDArray[np.float32]

    def next(self, open_: NDArray[np.bool_]) -> tuple[int, int]:
        """Row and column of the next cell of the front: the largest product of belief and the strength of lines that meet it."""
        front = np.flatnonzero(open_ & dilate_mask(self.known > 0, 3))
        grey = box(self.colour.sum(axis=2) / np.float32(3), 3)
        seen = erode(self.known, 5)
        dx, dy = (np.asarray(cv2.Sobel(grey, cv2.CV_32F, *order), np.float32) * seen for order in ((1, 0), (0, 1)))
        share = box(self.known, 5)
        nx, ny = (np.asarray(cv2.Sobel(share, cv2.CV_32F, *order)).reshape(-1)[front] for order in ((1, 0), (0, 1)))
        length = np.maximum(np.hypot(nx, ny), np.float32(1e-6))
        nx, ny = nx / length, ny / length
        products: tuple[NDArray[np.float32], ...] = (dx * dx, dx * dy, dy * dy, seen)
        xx, xy, yy, mass = (box(plane, SIDE).reshape(-1)[front] for plane in products)
        # How fast colours change along the front; this is large where a line runs into the hole.
        along = np.maximum(yy * nx * nx - 2 * xy * nx * ny + xx * ny * ny, 0.0) / np.maximum(mass, np.float32(1e-3))
        priority = box(self.belief, SIDE).reshape(-1)[front] * (np.sqrt(along) + np.float32(FLAT))
        row, column = divmod(int(front[int(np.argmax(priority))]), self.known.shape[1])
        return row, column


def grow(
    colour: NDArray[np.float32], hole: NDArray[np.bool_], sources: NDArray[np.bool_], tone: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Fill a hole patch by patch.

    Args:
        colour: float32 (h, w, 3), anything in the hole.
        hole: bool (h, w); not everything.
        sources: bool (h, w), cells whose whole patch is known; at least one.
        tone: float32 (h, w, 3), a smooth fill of the same hole.

    Returns:
        The filled picture, and the flat index of the cell that each was copied from, int32 (h, w); known cells have their own.
    """
    height, width = hole.shape
    picks = np.flatnonzero(sources)
    picks = picks[:: -(-picks.size // MAX_SOURCES)]
    rows, columns = np.divmod(picks.astype(np.int32), np.int32(width))
    rim = ((RADIUS, RADIUS), (RADIUS, RADIUS))
    known = np.pad((~hole).astype(np.float32), rim)
    state = _Growth(np.pad(colour, (*rim, (0, 0)), mode="edge"), known, known.copy())
    windows = np.lib.stride_tricks.sliding_window_view(state.colour, (SIDE, SIDE), axis=(0, 1))
    patches = np.ascontiguousarray(windows[rows, columns].transpose(0, 2, 3, 1)).reshape(picks.size, -1)
    squares = power(patches.reshape(picks.size, -1, 3))
    means = patches.reshape(picks.size, -1, 3).mean(axis=1)
    heights = rows.astype(np.float32) * np.float32(255 / height)
    copied = np.arange(hole.size, dtype=np.int32).reshape(hole.shape)
    open_ = np.pad(hole, rim)
    while open_.any():
        row, column = state.next(open_)
        # In the padded picture, the patch around (row, column) starts at the unpadded picture's (row, column).
        there = np.s_[row - RADIUS : row + RADIUS + 1, column - RADIUS : column + RADIUS + 1]
        mask = state.known[there].ravel()
        target = state.colour[there].reshape(-1, 3)
        cost = squares @ mask - 2 * (patches @ (target * mask[:, None]).ravel())
        cost /= max(float(mask.sum()), 1.0)
        cost += np.float32(TONE_WEIGHT) / 3 * power(means - tone[row - RADIUS, column - RADIUS])
        cost += np.float32(HEIGHT_WEIGHT) * np.square(heights - np.float32((row - RADIUS) * 255 / height))
        best = int(np.argmin(cost))
        fill = open_[there]
        down, across = np.nonzero(fill)
        belief = float(state.belief[there].mean())
        state.colour[there][fill] = patches[best].reshape(SIDE, SIDE, 3)[fill]
        state.belief[there][fill] = belief
        state.known[there][fill] = 1.0
        from_ = (rows[best] - RADIUS + down) * width + columns[best] - RADIUS + across
        copied[row - 2 * RADIUS + down, column - 2 * RADIUS + across] = from_
        fill[:] = False
    return np.ascontiguousarray(state.colour[RADIUS:-RADIUS, RADIUS:-RADIUS]), copied
