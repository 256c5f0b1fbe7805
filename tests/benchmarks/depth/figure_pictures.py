"""Pictures with a figure whose outline is known, and scenes without one: for `bench_figures` and the sheet of bare photos.

Photos: those of scikit-image and `grace_hopper.jpg` (public domain, United States Navy), outlined by hand in
`figure_outlines.json` (thousandths of width and height); the phone's pug where the samples are. Made pictures: those figures cut
out and put before other grounds, at other places and sizes. More photos come from the folder that FIGURE_PICTURES names:
`NAME.png` with `NAME.mask.png`, white where the figure is; without a mask, a scene without figure.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from daemon.contract.messages import Limits
from pipeline.image import decode

HERE = Path(__file__).parent
SAMPLES = Path(os.environ.get("SAMPLE_PICTURES", HERE.parents[3] / "shared" / "samples")).resolve()
SIDE = 1024
"""Pixels on the longer side of every picture: enough to judge outlines, small enough for thirty of them."""

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def reduced(rgb: Picture) -> Picture:
    """A picture at `SIDE` at most."""
    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def in_colour(picture: Picture) -> Picture:
    """Grey as three equal channels."""
    return picture if picture.ndim == 3 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)


def photo(name: str) -> Picture:
    """A photo by its name, uint8 (H, W, 3)."""
    if name == "hopper":
        return np.asarray(cv2.imread(str(HERE / "grace_hopper.jpg"))[:, :, ::-1], np.uint8).copy()
    if name == "motorcycle":
        return np.asarray(data.stereo_motorcycle()[0], np.uint8)
    if name == "pug":
        path = os.fsencode(SAMPLES / "iphone_pug_original.heic")
        return reduced(decode.read(path, limits=Limits(max_bytes=1 << 30, max_pixels=1 << 28)).rgb)
    if name.startswith(("icl", "tum")):
        return np.asarray(cv2.imread(str(SAMPLES / f"{name}_rgb.png"))[:, :, ::-1], np.uint8).copy()
    return reduced(in_colour(np.asarray(getattr(data, name)(), np.uint8)))


def outline(name: str, shape: tuple[int, ...]) -> Mask:
    """Where the figure of a photo is, bool (H, W)."""
    mask = np.zeros(shape[:2], np.uint8)
    for points in json.loads((HERE / "figure_outlines.json").read_text())[name]:
        cv2.fillPoly(mask, [np.round(np.array(points) / 1000 * [shape[1], shape[0]] - 0.5).astype(np.int32)], 1)
    return mask.view(np.bool_)


def photos() -> Iterator[tuple[str, Picture, Mask]]:
    """Name, photo and figure."""
    for name in ("astronaut", "camera", "chelsea", "coffee", "hopper", "motorcycle", "pug", "rocket"):
        if name != "pug" or (SAMPLES / "iphone_pug_original.heic").exists():
            rgb = photo(name)
            yield name, rgb, outline(name, rgb.shape)
    for path in sorted(_more().glob("*.mask.png")):
        rgb = np.asarray(cv2.imread(str(path).replace(".mask", ""))[:, :, ::-1], np.uint8).copy()
        yield path.name.removesuffix(".mask.png"), rgb, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0


def made() -> Iterator[tuple[str, Picture, Mask]]:
    """Name, picture and figure: a cut-out before another ground. Portraits stand on the lower edge, things on the ground."""
    plan = [
        ("astronaut", "brick", 0.5, 1.0, 0.75), ("astronaut", "meadow", 0.35, 1.0, 0.6), ("astronaut", "gravel", 0.6, 1.0, 0.85),
        ("hopper", "meadow", 0.5, 1.0, 0.8), ("hopper", "grass", 0.45, 1.0, 0.7), ("hopper", "night", 0.6, 1.0, 0.65),
        ("coffee", "meadow", 0.5, 0.9, 0.5), ("coffee", "gravel", 0.4, 0.85, 0.5), ("coffee", "brick", 0.6, 0.9, 0.6),
        ("motorcycle", "meadow", 0.5, 0.92, 0.5), ("motorcycle", "brick", 0.45, 0.9, 0.55),
        ("motorcycle", "night", 0.55, 0.9, 0.5), ("rocket", "meadow", 0.5, 0.9, 0.7), ("chelsea", "meadow", 0.5, 1.0, 0.75),
    ]  # fmt: skip
    for name, ground, x, foot, height in plan:
        source = photo(name)
        rgb, mask = _put(source, outline(name, source.shape), ground_picture(ground), x, foot, height)
        yield f"{name} on {ground}", rgb, mask


def ground_picture(name: str) -> Picture:
    """A ground of 640 × 480 pixels."""
    rng = np.random.default_rng(7)
    if name in ("brick", "grass", "gravel"):
        tint = {"brick": (1.0, 0.75, 0.65), "grass": (0.75, 1.0, 0.6), "gravel": (1.0, 0.95, 0.85)}[name]
        grey = cv2.resize(getattr(data, name)(), (640, 640), interpolation=cv2.INTER_AREA)[:480]
        return np.clip(grey[:, :, None] * np.float32(tint), 0, 255).astype(np.uint8)
    y = np.linspace(0, 1, 480, dtype=np.float32)[:, None, None]
    top, horizon, below = {
        "meadow": ((120, 160, 210), (220, 228, 235), (80, 120, 55)),
        "night": ((12, 18, 45), (50, 60, 95), (28, 26, 24)),
    }[name]
    sky = np.float32(top) * (1 - y / 0.55) + np.float32(horizon) * (y / 0.55)
    texture = cv2.resize(rng.normal(0, 1, (120, 160)).astype(np.float32), (640, 480)) + rng.normal(0, 0.6, (480, 640))
    land = np.float32(below) * (1 + 0.18 * texture[:, :, None])
    return np.clip(np.where(y < 0.55, sky + rng.normal(0, 2, (480, 640, 1)), land), 0, 255).astype(np.uint8)


def scenes() -> Iterator[tuple[str, Picture]]:
    """Name and picture, without a figure before a ground."""
    for name in ("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon"):
        yield name, photo(name)
    for name in ("meadow", "night"):
        yield name, ground_picture(name)
    for name in ("icl_livingroom_b1", "icl_livingroom_b3", "icl_livingroom_b5", "tum_desk"):
        if (SAMPLES / f"{name}_rgb.png").exists():
            yield name, photo(name)
    for path in sorted(_more().glob("*.png")):
        if not path.name.endswith(".mask.png") and not path.with_suffix(".mask.png").exists():
            yield path.stem, np.asarray(cv2.imread(str(path))[:, :, ::-1], np.uint8).copy()


def _more() -> Path:
    return Path(os.environ.get("FIGURE_PICTURES", os.devnull))


def _put(source: Picture, mask: Mask, ground: Picture, x: float, foot: float, height: float) -> tuple[Picture, Mask]:
    """A cut-out before a ground: centre, lower end and height as shares of the ground's; its edge is as soft as a lens's."""
    rows, columns = np.nonzero(mask)
    part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = height * ground.shape[0] / (rows.max() - rows.min() + 1)
    size = max(1, round((columns.max() - columns.min() + 1) * scale)), max(1, round(height * ground.shape[0]))
    colour = cv2.resize(source[part], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    alpha = np.zeros(ground.shape[:2], np.float32)
    canvas = ground.astype(np.float32)
    left, top = round(x * ground.shape[1] - size[0] / 2), round(foot * ground.shape[0]) - size[1]
    rim = (max(0, left), min(ground.shape[1], left + size[0]), max(0, top), min(ground.shape[0], top + size[1]))
    there, here = np.s_[rim[2] : rim[3], rim[0] : rim[1]], np.s_[rim[2] - top : rim[3] - top, rim[0] - left : rim[1] - left]
    alpha[there] = cv2.resize(mask[part].astype(np.float32), size, interpolation=cv2.INTER_AREA)[here]
    canvas[there] = colour[here]
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE)
    mixed = canvas * alpha[:, :, None] + ground * (1 - alpha[:, :, None])
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8), alpha > 0.5
