"""Has a model paint the deep part of a large hole, in place of copies of its surroundings.

`pipeline.painterly.hidden` loads the model, which is called the painter here. It starts from the completion, which gives tone and
structure. It works on fewer pixels than a large photo has, so what it paints is softer than the photo.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize, stacked
from pipeline.layers.bands import Tile
from pipeline.layers.plates.completion import Completion

LARGE = 0.01
"""A hidden part that covers at least this fraction of the picture is worth a model's minutes."""
HALF = 0.5
"""A cell counts as painted if the painting's share in it is larger than this."""

Painter = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]
"""Paints over a part of a picture, uint8 (H, W, 3), where bool (H, W) is set; returns uint8 (h, w, 3) of the same view."""


@dataclass(frozen=True)
class Painted:
    """A painting.

    Attributes:
        share: float32 (h, w), how far the painting replaces the ordinary fill, 0 to 1.
        picture: float32 (h', w', 4), the painting, opaque.
    """

    share: NDArray[np.float32]
    picture: NDArray[np.float32]

    def colours(self, _packed: NDArray[np.uint32], tile: Tile) -> NDArray[np.uint8]:
        """The painting's colours and an alpha of 255, uint8 (n, m, 4), in a tile of the photo."""
        return np.asarray(cv2.convertScaleAbs(tile.sample(self.picture)), np.uint8)


def is_large(share: NDArray[np.float32]) -> bool:
    """Whether a deep part, float32 (h, w) from 0 to 1, is large enough to be painted."""
    return bool(np.count_nonzero(share > HALF) >= LARGE * share.size)


def painted(painter: Painter, photo: NDArray[np.uint8], found: Completion, share: NDArray[np.float32]) -> Painted:
    """Have the deep part painted.

    Args:
        painter: the model.
        photo: uint8 (H, W, 4).
        found: the completion of the hole, on a coarse grid.
        share: float32 (h, w) on that grid, how strongly the painting shows.
    """
    full = photo.shape[:2]
    start = np.ascontiguousarray(photo[:, :, :3])
    completed = np.rint(np.clip(found.colour, 0.0, 255.0)).astype(np.uint8)
    hole = resize(found.hole.view(np.uint8), full, cv2.INTER_NEAREST_EXACT) > 0
    start[hole] = resize(completed, full, cv2.INTER_LINEAR)[hole]
    deep = resize((share > 0.0).view(np.uint8), full, cv2.INTER_NEAREST_EXACT) > 0
    picture = painter(start, deep).astype(np.float32)
    return Painted(share, stacked(picture, np.full(picture.shape[:2], 255, np.float32)))
