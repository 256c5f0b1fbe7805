"""Cuts a small picture into a few hundred patches of one colour each, and finds which of them are neighbours."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

COUNT = 250
"""Patches in a picture: enough that each is smaller than any part of a figure that matters, few enough to compare all pairs."""
COMPACT = 12.0
"""The weight of position against colour, in Lab units per patch width. Achanta's own value for photos is 10."""
ROUNDS = 6
"""Rounds of k-means; patches hardly move after the fifth."""


@dataclass(frozen=True, eq=False)
class Superpixels:
    """The patches of a picture of shape (h, w).

    Attributes:
        labels: int64 (h, w), which patch a pixel belongs to, 0 to n − 1.
        colours: float64 (n, 3), mean CIE Lab colour.
        places: float64 (n, 2), mean row and column, as fractions of the longer side.
        neighbours: int64 (m, 2), pairs of patches that touch, the lower number first.
    """

    labels: NDArray[np.int64]
    colours: NDArray[np.float64]
    places: NDArray[np.float64]
    neighbours: NDArray[np.int64]

    def rim(self, *, bottom: bool) -> NDArray[np.bool_]:
        """Which patches touch the edge of the picture, bool (n,). The lower edge counts only if `bottom` is True."""
        touching = np.zeros(len(self.colours), np.bool_)
        for line in (self.labels[0], self.labels[:, 0], self.labels[:, -1], *([self.labels[-1]] if bottom else [])):
            touching[line] = True
        return touching

    def sizes(self) -> NDArray[np.int64]:
        """Pixels in each patch, int64 (n,)."""
        return np.bincount(self.labels.ravel(), minlength=len(self.colours)).astype(np.int64)

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean of a map float32 (h, w) over each patch, float64 (n,)."""
        return _means(values[:, :, None], self.labels, len(self.colours))[:, 0]


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE Lab of an sRGB picture: uint8 (h, w, 3) → float32 (h, w, 3), L 0 to 100."""
    scaled = rgb.astype(np.float32) / np.float32(255.0)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.float32).reshape(rgb.shape)


def patches(rgb: NDArray[np.uint8]) -> Superpixels:
    """Cut a picture into about `COUNT` patches.

    The method is SLIC (R. Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", 2012). Each pixel
    chooses among nine patches: the one that it started in and those around it. Patches need not be connected.

    Args:
        rgb: uint8 (h, w, 3), some hundred pixels on the longer side.
    """
    colour = lab(np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.8), np.uint8).reshape(rgb.shape))
    height, width = rgb.shape[:2]
    size = max(1.0, float(np.sqrt(height * width / COUNT)))
    down, across = max(1, round(height / size)), max(1, round(width / size))
    y, x = np.mgrid[:height, :width]
    row, column = np.minimum(y * down // height, down - 1), np.minimum(x * across // width, across - 1)
    feature = np.dstack([colour, y * (COMPACT / size), x * (COMPACT / size)]).astype(np.float32)
    planes = [np.ascontiguousarray(feature[:, :, k]).ravel() for k in range(feature.shape[2])]
    labels: NDArray[np.int64] = (row * across + column).astype(np.int64)
    # Patches lie on a grid with a rim of patches that no pixel chooses, so that every pixel has nine to choose among.
    wide = across + 2
    home = ((row + 1) * wide + column + 1).ravel()
    inner = ((np.arange(down)[:, None] + 1) * wide + np.arange(across) + 1).ravel()
    for _ in range(ROUNDS):
        centres = np.full((len(planes), (down + 2) * wide), np.inf, np.float32)
        centres[:, inner] = _means(feature, labels, down * across).T
        nearest, chosen = np.full(home.size, np.inf, np.float32), home.copy()
        for shift in (i * wide + j for i in (-1, 0, 1) for j in (-1, 0, 1)):
            patch = home + shift
            distance = np.zeros(home.size, np.float32)
            for plane, centre in zip(planes, centres, strict=True):
                gap = plane - centre.take(patch)
                gap *= gap
                distance += gap
            closer = distance < nearest
            np.copyto(nearest, distance, where=closer)
            np.copyto(chosen, patch, where=closer)
        labels = ((chosen // wide - 1) * across + chosen % wide - 1).reshape(height, width)
    labels = np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int64)
    count = int(labels.max()) + 1
    places = _means(np.dstack([y, x]).astype(np.float32), labels, count) / max(height, width)
    return Superpixels(labels, _means(colour, labels, count), places, _touching(labels))


def _means(picture: NDArray[np.float32], labels: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Mean of each channel over each patch: (h, w, c) → float64 (count, c); 0 where a patch is empty."""
    flat = labels.ravel()
    sums = [np.bincount(flat, picture[:, :, k].ravel(), count) for k in range(picture.shape[2])]
    return np.stack(sums, axis=1) / np.maximum(np.bincount(flat, minlength=count), 1)[:, None]


def _touching(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    beside = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1)
    below = np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1)
    pairs = np.concatenate([beside, below])
    return np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
