"""Painting by strokes at 12 megapixels, against what else paints without weights, in one run: python -m tests.benchmarks strokes.

The Kuwahara filter (Kuwahara et al., 1976), which also calls itself painterly, is written out plainly here; it knows no strokes.
OpenCV's own oil painting filter is measured where opencv-contrib is installed.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.painterly import strokes, styles
from tests.unit.pictures import SAMPLES

PIXELS = 12_000_000
THREADS = 2
RADIUS = 8
"""Of the Kuwahara window: as wide as the smallest oil brush at this size."""


def photo() -> NDArray[np.uint8]:
    """A photo of 12 megapixels: a sample enlarged, or, where there is none, smooth noise."""
    path = SAMPLES / "coffee.png"
    if path.exists():
        small = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    else:
        small = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    scale = (PIXELS / (small.shape[0] * small.shape[1])) ** 0.5
    return np.asarray(cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def kuwahara(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each pixel becomes the mean of that of its four quarter windows in which brightness varies least."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size, best, out = RADIUS + 1, np.full(grey.shape, np.inf, np.float32), np.empty_like(rgb)
    for x in (0, RADIUS):
        for y in (0, RADIUS):
            mean = cv2.blur(grey, (size, size), anchor=(x, y))
            variance = cv2.sqrBoxFilter(grey, -1, (size, size), anchor=(x, y)) - mean * mean
            colour = cv2.blur(rgb, (size, size), anchor=(x, y))
            calmer = variance < best
            best[calmer], out[calmer] = variance[calmer], colour[calmer]
    return out


def main() -> None:
    """Print seconds, and the ratio to the Kuwahara filter."""
    cv2.setNumThreads(THREADS)
    rgb = photo()
    shipped = {name: style for name, style in styles.styles().items() if isinstance(style, styles.StrokesStyle)}
    ways: dict[str, Callable[[], object]] = {"Kuwahara filter": lambda: kuwahara(rgb)}
    for name, style in shipped.items():
        ways[name] = lambda style=style: strokes.paint(rgb, style, strength=0.5, seed=42, threads=THREADS)
    if hasattr(cv2, "xphoto"):
        ways["cv2.xphoto.oilPainting"] = lambda: cv2.xphoto.oilPainting(rgb, RADIUS, 1)
    else:
        print("cv2.xphoto.oilPainting: skipped, opencv-contrib is not installed")
    print(f"{rgb.shape[1]} × {rgb.shape[0]}, {THREADS} threads   {'seconds':>10} {'processor':>10} {'× Kuwahara':>11}")
    floor = 0.0
    for name, way in ways.items():
        wall, processor = time.perf_counter(), time.process_time()
        way()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        floor = floor or processor
        print(f"  {name:28} {wall:10.2f} {processor:10.2f} {processor / floor:11.1f}", flush=True)


if __name__ == "__main__":
    main()
