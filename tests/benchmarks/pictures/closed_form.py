"""Closed-form matting in a band, as a rival for the benchmarks.

A. Levin, D. Lischinski, Y. Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008, solved exactly for the pixels of
the band alone. The colours come from T. Germer et al., "Fast Multi-Level Foreground Estimation", 2020. These are the methods,
with the settings, of the library PyMatting, which is not needed for them.
"""

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

Floats = NDArray[np.float32]
EPSILON = 1e-7
SWEEPS = ((32, 10), (1 << 30, 2))
"""Up to this size of a level, so many sweeps."""
SMOOTHNESS, SLOPE = 1e-5, 1.0
_WINDOW = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def alpha_in_band(rgb: NDArray[np.uint8], inside: NDArray[np.bool_], band: NDArray[np.bool_]) -> Floats:
    """Alpha float32 (H, W): `inside` outside the band (H, W), solved for in the band."""
    alpha = inside.astype(np.float32)
    unknown = np.flatnonzero(band)
    if not unknown.size:
        return alpha
    laplacian = _laplacian(rgb.astype(np.float64) / 255, band)
    rows = laplacian[unknown]
    known = alpha.ravel().astype(np.float64)
    known[unknown] = 0.0
    own = rows[:, unknown].tocsc() + scipy.sparse.identity(unknown.size) * 1e-9
    solved = scipy.sparse.linalg.spsolve(own, -(rows @ known))
    alpha.ravel()[unknown] = np.clip(solved, 0, 1)
    return alpha


def _laplacian(picture: NDArray[np.float64], band: NDArray[np.bool_]) -> scipy.sparse.csr_matrix:
    """The matting Laplacian of all 3 × 3 windows that touch the band."""
    height, width = band.shape
    touched = cv2.dilate(band.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    touched[[0, -1]] = touched[:, [0, -1]] = False
    y, x = np.nonzero(touched)
    places = np.stack([(y + dy) * width + x + dx for dy, dx in _WINDOW], axis=1)
    colours = picture.reshape(-1, 3)[places]
    centred = colours - colours.mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", centred, centred) / 9 + EPSILON / 9 * np.eye(3)
    affinity = (1 + np.einsum("nki,nij,nlj->nkl", centred, np.linalg.inv(covariance), centred)) / 9
    values = np.eye(9) - affinity
    rows, columns = np.repeat(places, 9, axis=1).ravel(), np.tile(places, (1, 9)).ravel()
    return scipy.sparse.csr_matrix((values.ravel(), (rows, columns)), shape=(height * width, height * width))


def foreground(rgb: NDArray[np.uint8], alpha: Floats) -> Floats:
    """The estimated colour of what covers each pixel, float32 (H, W, 3), 0 to 255."""
    picture = rgb.astype(np.float32) / 255
    height, width = alpha.shape
    levels = int(np.ceil(np.log2(max(height, width))))
    front = back = np.zeros((1, 1, 3), np.float32)
    for level in range(levels + 1):
        size = max(1, round(width ** (level / levels))), max(1, round(height ** (level / levels)))
        colour = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
        share = cv2.resize(alpha, size, interpolation=cv2.INTER_NEAREST)
        front, back = (cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in (front, back))
        front, back = (each.reshape(size[1], size[0], 3) for each in (front, back))
        sweeps = next(count for most, count in SWEEPS if max(size) <= most)
        for _ in range(sweeps):
            front, back = _sweep(colour.reshape(front.shape), share, front, back)
    return front * np.float32(255)


def _sweep(colour: Floats, alpha: Floats, front: Floats, back: Floats) -> tuple[Floats, Floats]:
    sums = [np.zeros_like(front), np.zeros_like(back)]
    total = np.zeros_like(alpha)
    padded = [np.pad(each, ((1, 1), (1, 1)) + ((0, 0),) * (each.ndim - 2), mode="edge") for each in (front, back, alpha)]
    height, width = alpha.shape
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        there = [each[dy : dy + height, dx : dx + width] for each in padded]
        weight = SMOOTHNESS + SLOPE * np.abs(alpha - there[2])
        total += weight
        for side in (0, 1):
            sums[side] += weight[..., None] * there[side]
    a, b = alpha[..., None], (1 - alpha)[..., None]
    f, g = (each / total[..., None] for each in sums)
    w = total[..., None]
    # The 2 × 2 system of each pixel: fidelity to the picture, smoothness towards the neighbours' mean.
    rest = (colour - a * f - b * g) / (a * a + b * b + w)
    return np.clip(f + a * rest, 0, 1), np.clip(g + b * rest, 0, 1)
