"""Renders stereo pairs with known disparity: textured things on sloping ground before a wall, exact to a fraction of a pixel."""

import cv2
import numpy as np


def texture(seed, shape):
    """float32 (h, w, 3), 0 to 255: structure of every size, as grass, bark and walls have."""
    dice = np.random.default_rng(seed)
    total = np.zeros((*shape, 3), np.float32)
    for size, weight in ((2, 0.5), (4, 0.6), (10, 0.6), (40, 0.5)):
        noise = dice.standard_normal((shape[0] // size + 2, shape[1] // size + 2, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(dice.uniform(70, 180, 3).astype(np.float32) + 32 * total, 0, 255)


def pair(height=300, width=420, *, seed=1, things=4, far=3.0, near=22.0, shift=0.0):
    """A pair and its truth.

    Args:
        height: of each view.
        width: of each view.
        seed: of everything that is random.
        things: discs and boxes in front of the ground.
        far: disparity of the wall in pixels.
        near: the largest disparity.
        shift: subtracted from all disparities, as a stereo camera that turns its lenses inwards does.

    Returns:
        left and right view, uint8 (h, w, 3); the left one's disparity, float32 (h, w); where the right view shows the same point,
        bool (h, w).
    """
    dice = np.random.default_rng(seed)
    margin = int(near) + 40
    y, x = np.mgrid[:height, : width + 2 * margin].astype(np.float32)
    x -= margin
    ground = far + np.maximum(0, y / height - 0.5) * 2 * (near - far) * 0.7
    surfaces = [(np.ones(x.shape, bool), ground, texture(seed, x.shape))]
    for number in range(things):
        depth = far + (near - far) * (0.25 + 0.75 * (number + 1) / things)
        cx, cy, r = dice.uniform(0.1, 0.9) * width, dice.uniform(0.35, 0.8) * height, dice.uniform(0.1, 0.22) * height
        inside = (x - cx) ** 2 + (y - cy) ** 2 <= r * r if number % 2 else (abs(x - cx) <= r * 0.8) & (abs(y - cy) <= r)
        surfaces.append((inside, np.full(x.shape, depth, np.float32), texture(seed * 100 + number, x.shape)))
    left, right = np.zeros((height, width, 3), np.float32), np.zeros((height, width, 3), np.float32)
    truth, front = np.zeros((height, width), np.float32), np.zeros((height, width), int)
    front_right = np.zeros((height, width), int)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for number, (inside, depth, paint) in enumerate(surfaces):
        here = inside[:, margin : margin + width]
        left[here], truth[here], front[here] = (
            plane[:, margin : margin + width][here] for plane in (paint, depth, depth * 0 + number)
        )
        # Every surface's disparity depends on its row alone, so the right view can be looked up exactly.
        at = columns + margin + (depth[:, :1] - shift)
        seen = cv2.remap(inside.astype(np.float32), at, rows, cv2.INTER_LINEAR) >= 0.5
        right[seen], front_right[seen] = cv2.remap(paint, at, rows, cv2.INTER_CUBIC)[seen], number
    truth -= shift
    partner = np.rint(columns - truth).astype(int)
    visible = (partner >= 0) & (partner < width)
    visible[visible] = front_right[np.nonzero(visible)[0], partner[visible]] == front[visible]
    noisy = [np.clip(np.rint(view + dice.normal(0, 2, view.shape)), 0, 255).astype(np.uint8) for view in (left, right)]
    return noisy[0], noisy[1], truth, visible


def misaligned(view, degrees=0.6, rise=3.0, zoom=1.01):
    """The view of a camera that is turned, lifted and zoomed a little."""
    height, width = view.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    turn[1, 2] += rise
    return cv2.warpAffine(view, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
