"""Painting by strokes at 12 megapixels, against what else paints without weights, in one run: python -m tests.benchmarks strokes.

The Kuwahara filter (Kuwahara et al., 1976), which also calls itself painterly, is written out plainly here; it knows no
strokes. OpenCV's own oil painting filter is in opencv-contrib, which cannot be installed beside the OpenCV that Multiplane
uses: it is put into a folder of its own outside the project, once, and runs in a process of its own.
`BENCH_QUICK=1` takes 2 megapixels.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline.painterly import strokes, styles
from tests.unit.pictures import SAMPLES

PIXELS = 2_000_000 if "BENCH_QUICK" in os.environ else 12_000_000
THREADS = 2
RADIUS = 8
"""Of the Kuwahara window and of the oil painting filter: as wide as the smallest oil brush at this size."""
BAR = 10.0
"""Seconds on two cores."""
CONTRIB = Path.home() / ".cache" / "multiplane-bench" / "opencv-contrib"


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


def timed(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - wall, time.process_time() - processor


def contrib() -> str | None:
    """Install opencv-contrib into its own folder, if it is not there; a reason why it cannot be, or None."""
    if not (CONTRIB / "cv2").is_dir():
        print(f"installing opencv-contrib-python-headless into {CONTRIB} (80 MB, once)", flush=True)
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(CONTRIB)]
        done = subprocess.run([*command, "opencv-contrib-python-headless"], capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return None


def oil_painting() -> tuple[float, float] | None:
    """`cv2.xphoto.oilPainting` of the same photo in a process of its own; seconds as from `timed`."""
    if reason := contrib():
        print(f"  {'cv2.xphoto.oilPainting':28} not installed: {reason}")
        return None
    program = [sys.executable, "-m", "tests.benchmarks.pictures.bench_strokes", "oilPainting"]
    environment = os.environ | {"PYTHONPATH": str(CONTRIB)}
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, cwd=root)
    wall, processor = json.loads(done.stdout)
    return wall, processor


def main() -> None:
    """Print seconds, and the ratios to the two filters."""
    cv2.setNumThreads(THREADS)
    rgb = photo()
    floor = timed(lambda: kuwahara(rgb))
    print(f"{rgb.shape[1]} × {rgb.shape[0]}, {THREADS} threads")
    print(f"  {'':28} {'seconds':>8} {'processor':>10} {'× Kuwahara':>11} {'× oilPainting':>14}")
    oil = oil_painting()
    rows = {"Kuwahara filter": floor} | ({"cv2.xphoto.oilPainting": oil} if oil else {})
    shipped = {name: style for name, style in styles.styles().items() if isinstance(style, styles.StrokesStyle)}
    for name, style in shipped.items():
        rows[name] = timed(
            lambda style=style: strokes.paint(rgb, style, strength=0.5, seed=42, threads=THREADS)  # type: ignore[misc]
        )
    for name, (wall, processor) in rows.items():
        against = f"{processor / oil[1]:14.2f}" if oil else f"{'–':>14}"
        verdict = ""
        if name in shipped:
            verdict = f"   bar {BAR:.0f} s: {'met' if wall <= BAR else 'missed'}"
        print(f"  {name:28} {wall:8.2f} {processor:10.2f} {processor / floor[1]:11.1f} {against}{verdict}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["oilPainting"]:
        cv2.setNumThreads(THREADS)
        picture = cv2.cvtColor(photo(), cv2.COLOR_RGB2BGR)
        print(json.dumps(timed(lambda: cv2.xphoto.oilPainting(picture, RADIUS, 1))))
    else:
        main()
