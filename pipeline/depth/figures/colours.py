"""Describes the colours of an area as a mixture of Gaussians for GrabCut, without chance.

OpenCV finds such mixtures by k-means from random starts, so noise that nobody sees can lead to another mixture, and then to
another figure. Here an area's colours are split along their main axis, again and again (M. Orchard and C. Bouman, "Color
quantization of images", 1991). A small change of the picture changes the mixture little.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

PARTS = 5
"""Gaussians in a mixture; OpenCV's GrabCut has exactly this many."""
NOISE = 10.0
"""Added to the variances, in levels squared: about the noise of a JPEG or of a sensor."""
EVEN = 8.0
"""A picture has no colours if the mean difference between its channels is below this, in levels; sepia has more than 15."""
WIDE, NEAR = 4.0, 3.0
"""Sigmas of the surroundings, in pixels, for brightness and for its spread."""

Picture = NDArray[np.uint8]


def mixture(colours: Picture) -> NDArray[np.float64]:
    """The mixture of some pixels' colours: uint8 (n, 3), n at least 1 → float64 (1, 65), as `cv2.grabCut` takes it."""
    parts = [_Part(colours.astype(np.float64))]
    while len(parts) < PARTS:
        widest = max(range(len(parts)), key=lambda number: parts[number].spread)
        halves = parts[widest].halves()
        if halves is None:
            break
        parts[widest : widest + 1] = halves
    model = np.zeros((1, 13 * PARTS))
    weights, means, variances = np.split(model[0], [PARTS, 4 * PARTS])
    variances.reshape(PARTS, 3, 3)[:] = NOISE * np.eye(3)
    for number, part in enumerate(parts):
        weights[number] = len(part.colours) / len(colours)
        means.reshape(PARTS, 3)[number] = part.mean
        variances.reshape(PARTS, 3, 3)[number] += part.variance
    return model


class _Part:
    def __init__(self, colours: NDArray[np.float64]) -> None:
        self.colours = colours
        self.mean = colours.mean(axis=0)
        self._gaps = colours - self.mean
        self.variance = self._gaps.T @ self._gaps / len(colours)
        values, axes = np.linalg.eigh(self.variance)
        self.spread = float(values[-1]) * len(colours)
        self._axis = axes[:, -1]

    def halves(self) -> "list[_Part] | None":
        """The part split at its mean along its main axis; None if all of it has one colour."""
        beyond = self._gaps @ self._axis > 0.0
        if self.spread <= 0.0 or beyond.all() or not beyond.any():
            return None
        return [_Part(self.colours[~beyond]), _Part(self.colours[beyond])]


def distinct(rgb: Picture) -> Picture:
    """What tells areas of a picture apart, for `mixture`: uint8 (h, w, 3).

    That is its colours. If it has none, it is the brightness of each pixel, that around it, and how much that varies.
    """
    channels = rgb.astype(np.int16)
    if float((channels.max(axis=2) - channels.min(axis=2)).mean()) >= EVEN:
        return rgb
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32).reshape(rgb.shape[:2])
    near = cv2.GaussianBlur(grey, (0, 0), NEAR)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(grey * grey, (0, 0), NEAR) - near * near, 0.0))
    return np.dstack([grey, cv2.GaussianBlur(grey, (0, 0), WIDE), np.clip(2.0 * spread, 0.0, 255.0)]).astype(np.uint8)
