"""A baseline to compare with: the same steps in whole-canvas NumPy and Pillow, as one would write them in an afternoon.

Vectorised throughout, PNG at Pillow's fastest level; the layers recompose exactly here too, by the same equation.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

BAND = 11
"""Half the width of the soft border at 12 megapixels."""
Floats = NDArray[np.float32]


def layers_of(photo: Path, depth: Path, folder: Path, count: int = 4) -> None:
    """Decode a photo and its depth picture (disparity), and write layers, depth map and composite as PNG."""
    rgb = np.asarray(Image.open(photo).convert("RGB"))
    small = np.asarray(Image.open(depth), np.float32)
    small = (small - small.min()) / np.ptp(small)
    disparity = refine(rgb, small)
    labels = np.digitize(disparity, natural_breaks(disparity, count)).astype(np.uint8)
    mattes = [np.ones(labels.shape, np.float32), *(soft(labels >= k) for k in range(1, count))]
    mattes.append(np.zeros(labels.shape, np.float32))
    picture = rgb.astype(np.float32)
    ground = np.zeros_like(picture)
    for k in range(count):
        own = (labels == k) & (mattes[k] > 0.99) & (mattes[k + 1] < 0.01)
        colour = push_pull(picture, own.astype(np.float32))
        alpha = np.ones(labels.shape, np.float32) if k == 0 else mattes[k]
        layer, ground = solve(picture, ground, colour, alpha, last=mattes[k + 1] == 0)
        Image.fromarray(layer).save(folder / f"Layer_{k + 1}.png", compress_level=1)
    Image.fromarray(np.rint(disparity * 65535).astype(np.uint16)).save(folder / "depth_map.png", compress_level=1)
    Image.fromarray(np.rint(ground).astype(np.uint8)).save(folder / "composite.png", compress_level=1)


def resized(plane: Floats, shape: tuple[int, ...], how: Image.Resampling) -> Floats:
    return np.asarray(Image.fromarray(plane).resize((shape[1], shape[0]), how))


def means(plane: Floats, radius: int) -> Floats:
    """Means over square windows, by sums along both axes."""
    for axis in (0, 1):
        padded = np.pad(plane, [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        total = np.cumsum(padded, axis=axis, dtype=np.float64)
        size = plane.shape[axis]
        upper, lower = (np.take(total, np.arange(size) + at, axis=axis) for at in (2 * radius + 1, 0))
        plane = ((upper - lower) / (2 * radius + 1)).astype(np.float32)
    return plane


def refine(rgb: NDArray[np.uint8], small: Floats, radius: int = 12, epsilon: float = 1e-3) -> Floats:
    """A guided filter (He et al. 2010) of the enlarged disparity, by the photo's brightness."""
    guide = np.asarray(Image.fromarray(rgb).convert("L"), np.float32) / 255
    disparity = resized(small, guide.shape, Image.Resampling.BILINEAR)
    mean, target = means(guide, radius), means(disparity, radius)
    slope = (means(guide * disparity, radius) - mean * target) / (means(guide * guide, radius) - mean * mean + epsilon)
    offset = target - slope * mean
    return np.clip(means(slope, radius) * guide + means(offset, radius), 0, 1)


def natural_breaks(disparity: Floats, count: int, bins: int = 256) -> list[float]:
    """Fisher's classes over a histogram."""
    share = np.histogram(disparity, bins, (0, 1))[0] / disparity.size
    place = (np.arange(bins) + 0.5) / bins
    mass, first, second = (np.concatenate([[0], np.cumsum(share * place**p)]) for p in range(3))
    weight, moment = mass[None] - mass[:, None], first[None] - first[:, None]
    cost = second[None] - second[:, None] - moment**2 / np.maximum(weight, 1e-12)
    cost[np.tril_indices(bins + 1)] = np.inf
    best, back = cost[0], []
    for _ in range(count - 1):
        total = best[:, None] + cost
        back.append(total.argmin(axis=0))
        best = total.min(axis=0)
    cut, cuts = bins, []
    for step in reversed(back):
        cut = int(step[cut])
        cuts.append(cut / bins)
    return cuts[::-1]


def soft(mask: NDArray[np.bool_]) -> Floats:
    """A mask with a smooth border."""
    blurred = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(BAND / 3))
    return np.asarray(blurred, np.float32) / 255


def push_pull(picture: Floats, weight: Floats) -> Floats:
    """Fill what has no weight from coarser and coarser means."""
    if min(weight.shape) < 4:
        return picture
    height, width = (side + side % 2 for side in weight.shape)
    edges = (0, height - weight.shape[0]), (0, width - weight.shape[1])
    even = np.pad(weight, edges)
    product = np.pad(picture * weight[..., None], (*edges, (0, 0)))
    mass = even.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3))
    colour = product.reshape(height // 2, 2, width // 2, 2, 3).sum(axis=(1, 3)) / np.maximum(mass, 1e-6)[..., None]
    coarse = push_pull(colour, np.minimum(mass, 1))
    fine = np.dstack([resized(coarse[..., c], weight.shape, Image.Resampling.BILINEAR) for c in range(3)])
    return weight[..., None] * picture + (1 - weight[..., None]) * fine


def solve(
    picture: Floats, ground: Floats, colour: Floats, alpha: Floats, last: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], Floats]:
    """The layer in 8 bits, exact where it is the last to touch a pixel, and the composite so far."""
    level = np.rint(alpha * 255)
    difference = 255 * (picture - ground)
    room = np.where(difference > 0, 255 - ground, ground)
    least = np.ceil(np.abs(difference) / np.maximum(room, 1e-6)).max(axis=2)
    level = np.where(last & (level > 0), np.maximum(level, np.minimum(least, 255)), level)
    exact = np.rint(ground + difference / np.maximum(level, 1)[..., None])
    colour = np.where(last[..., None], exact, np.rint(colour))
    colour = np.where((level > 0)[..., None], np.clip(colour, 0, 255), 0)
    composite = np.rint((level[..., None] * colour + (255 - level[..., None]) * ground) / 255)
    return np.dstack([colour, level]).astype(np.uint8), composite.astype(np.float32)
