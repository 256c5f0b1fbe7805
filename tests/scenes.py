"""Rendered scenes whose layers, depth and hidden background are known, for tests and benchmarks of the layering."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SUPERSAMPLING = 4


@dataclass(frozen=True)
class Scene:
    """One object in front of one background.

    Attributes:
        name: what it shows.
        rgb: uint8 (H, W, 3), the picture.
        matte: float32 (H, W), the object's true share of every pixel.
        object_colour: float32 (H, W, 3), the object's true colour wherever `matte` is above 0.
        background: float32 (H, W, 3), what is truly behind it.
        disparity: float32 (H, W), 0.15 to 0.25 behind, 0.75 to 0.85 where the object covers more than half.
    """

    name: str
    rgb: NDArray[np.uint8]
    matte: NDArray[np.float32]
    object_colour: NDArray[np.float32]
    background: NDArray[np.float32]
    disparity: NDArray[np.float32]


def noise(shape: tuple[int, int], cell: float, seed: int) -> NDArray[np.float32]:
    """Smooth noise of five octaves, 0 to 1; `cell` is the size of its largest blobs in pixels."""
    rng = np.random.default_rng(seed)
    total = np.zeros(shape, np.float32)
    for octave in range(5):
        size = max(2, round(shape[1] / cell * 2**octave)), max(2, round(shape[0] / cell * 2**octave))
        grains = rng.random(size[::-1], dtype=np.float32)
        total += cv2.resize(grains, shape[::-1], interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def meadow(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Soft bright ground: two colours mixed by noise."""
    mix = noise(shape, shape[1] / 4, seed)[..., None]
    grain = noise(shape, 12, seed + 1)[..., None]
    return (np.float32([120, 150, 70]) * mix + np.float32([190, 200, 150]) * (1 - mix)) * (0.8 + 0.3 * grain)


def wall(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Bricks: regular texture with sharp lines."""
    unit = max(6, shape[1] // 24)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    row = np.floor(y / unit)
    across = x + (row % 2) * unit
    mortar = ((y % unit < unit * 0.15) | (across % (2 * unit) < unit * 0.15)).astype(np.float32)[..., None]
    tone = 0.8 + 0.4 * noise(shape, unit * 2, seed)[..., None]
    return np.clip((np.float32([165, 88, 70]) * (1 - mortar) + np.float32([190, 185, 175]) * mortar) * tone, 0, 255)


def sky(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """A smooth gradient with clouds."""
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    cloud = np.clip(noise(shape, shape[1] / 2, seed)[..., None] * 2 - 0.9, 0, 1)
    base = np.float32([90, 140, 215]) * (1 - down) + np.float32([195, 215, 235]) * down
    return base * (1 - 0.6 * cloud) + 250 * 0.6 * cloud


def _canvas(shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.zeros((shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING), np.uint8)


def _matte(canvas: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.float32]:
    small = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.clip(cv2.GaussianBlur(small, (0, 0), 0.5), 0, 1)


def ball(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """A disc and a box: smooth borders."""
    canvas, (h, w) = _canvas(shape), (shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING)
    cv2.circle(canvas, (w * 3 // 8, h // 2), h // 4, 255, -1)
    cv2.rectangle(canvas, (w * 5 // 8, h * 3 // 8), (w * 7 // 8, h * 3 // 4), 255, -1)
    return _matte(canvas, shape)


def hair(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """A head with loose strands, down to a third of a pixel."""
    canvas, (h, w) = _canvas(shape), (shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING)
    rng = np.random.default_rng(seed)
    cv2.ellipse(canvas, (w // 2, h * 5 // 8), (h // 5, h * 2 // 7), 0, 0, 360, 255, -1)
    for _ in range(160):
        angle = rng.uniform(-np.pi, 0.2)
        start = np.array([w / 2 + h / 5 * np.cos(angle), h * 5 / 8 + h * 2 / 7 * np.sin(angle)])
        bend, length = angle + rng.normal(0, 0.5), h * rng.uniform(0.02, 0.09)
        steps = np.linspace(0, 1, 12)[:, None]
        way = np.array([np.cos(angle), np.sin(angle)]) * (1 - steps) + np.array([np.cos(bend), np.sin(bend)]) * steps
        points = start + way * steps * length
        thick = int(rng.integers(1, SUPERSAMPLING + 2))
        cv2.polylines(canvas, [np.int32(points)], False, 255, thick, cv2.LINE_8)
    return _matte(canvas, shape)


def leaves(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Twigs with many small leaves and gaps between them."""
    canvas, (h, w) = _canvas(shape), (shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING)
    rng = np.random.default_rng(seed)
    for _ in range(9):
        a, b = rng.uniform(0.1, 0.9, 2) * (w, h), rng.uniform(0.1, 0.9, 2) * (w, h)
        cv2.line(canvas, np.int32(a).tolist(), np.int32(b).tolist(), 255, h // 130)
        for t in np.linspace(0, 1, 12):
            place = np.int32(a + (b - a) * t + rng.normal(0, h / 90, 2)).tolist()
            cv2.ellipse(canvas, place, (h // 28, h // 70), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return _matte(canvas, shape)


def poles(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Thin poles and wires: nowhere wider than a few pixels."""
    canvas, (h, w) = _canvas(shape), (shape[0] * SUPERSAMPLING, shape[1] * SUPERSAMPLING)
    for k in range(1, 8):
        x = w * k // 8
        cv2.line(canvas, (x, h // 8), (x + (k - 4) * h // 30, h), 255, k * SUPERSAMPLING)
    cv2.line(canvas, (0, h // 5), (w, h // 4), 255, 2 * SUPERSAMPLING)
    return _matte(canvas, shape)


_SHAPES: dict[str, tuple[Callable[..., NDArray[np.float32]], Callable[..., NDArray[np.float32]], tuple[int, int, int]]] = {
    "ball": (ball, wall, (70, 110, 190)),
    "hair": (hair, meadow, (60, 40, 30)),
    "leaves": (leaves, sky, (45, 85, 30)),
    "poles": (poles, wall, (40, 45, 60)),
}
NAMES = tuple(_SHAPES)


def scene(name: str, height: int = 300, width: int = 400, seed: int = 7, grain: float = 1.5) -> Scene:
    """Render one scene; `grain` is the standard deviation of the camera's noise in levels."""
    shape = (height, width)
    draw, ground, tint = _SHAPES[name]
    matte = draw(shape, seed)
    background = ground(shape, seed + 10).astype(np.float32)
    shade = 0.7 + 0.6 * noise(shape, width / 12, seed + 20)[..., None]
    colour = np.clip(np.float32(tint) * shade, 0, 255).astype(np.float32)
    picture = matte[..., None] * colour + (1 - matte[..., None]) * background
    picture += np.random.default_rng(seed).normal(0, grain, picture.shape)
    tilt = np.linspace(0, 0.1, height, dtype=np.float32)[:, None]
    disparity = np.where(matte > 0.5, 0.75 + tilt, 0.15 + tilt).astype(np.float32)
    return Scene(name, np.clip(np.rint(picture), 0, 255).astype(np.uint8), matte, colour, background, disparity)


def camera_depth(truth: Scene, factor: int = 6) -> NDArray[np.float32]:
    """The scene's disparity as a depth model would give it: small, and with soft edges."""
    size = (max(1, truth.disparity.shape[1] // factor), max(1, truth.disparity.shape[0] // factor))
    return cv2.GaussianBlur(cv2.resize(truth.disparity, size, interpolation=cv2.INTER_AREA), (0, 0), 0.8)
