"""Layering and estimating strips: time per pixel against a square of as many pixels, python -m tests.benchmarks aspects.

The bar: a strip takes at most twice a square's time per pixel.
"""

import time

import numpy as np

from pipeline.depth import cues
from pipeline.layers.layering import layer_picture

PIXELS = 6_000_000
SHORT_SIDES = (2449, 1000, 400, 200, 92)
BAR = 2.0


def seconds(height: int, width: int) -> tuple[float, float]:
    """Seconds for estimating the depth of a noisy picture, and for layering it with depth in steps.

    A tall picture has the steps of the wide one, turned: the time grows with the length of the borders between layers, and nine
    steps across a tall strip would have four times the wide one's.
    """
    rgb = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    along, across = (x * 9 // width, y * 3 // height) if width >= height else (y * 9 // height, x * 3 // width)
    depth = ((along % 3 + across % 2) / 3).astype(np.float32)
    start = time.perf_counter()
    cues.read(rgb, fetch="none")
    estimated = time.perf_counter()
    layer_picture(rgb, None, depth, None, num_layers=4)
    return estimated - start, time.perf_counter() - estimated


def main() -> None:
    """Print one row per aspect, both ways."""
    seconds(500, 500)
    square = 0.0
    for short in SHORT_SIDES:
        long = PIXELS // short
        for height, width in {(short, long): 0, (long, short): 0}:
            estimate, layers = seconds(height, width)
            total = (estimate + layers) / (height * width) * 1e6
            square = square or total
            verdict = "" if total <= BAR * square else f"  ABOVE {BAR:.0f} TIMES"
            print(
                f"{width:6d} × {height:<6d} estimate {estimate:6.2f} s, layers {layers:6.2f} s, {total:5.2f} µs/pixel, "
                f"{total / square:4.2f} times the square{verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
