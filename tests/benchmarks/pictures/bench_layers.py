"""Quality and speed of the layering, as tables: python tests/benchmarks/pictures/bench_layers.py [quality|speed].

Quality is measured on rendered scenes (tests/scenes.py) where matte, colours and hidden background are known; each row also
has the plain ways: cutting at the depth edge, and OpenCV's Telea inpainting. Speed is one run per size, step by step.
"""

import itertools
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline.layers.layering import Layers, layer_picture
from pipeline.layers.plates.fill import MAX_PARALLAX
from tests.scenes import NAMES, Scene, camera_depth, scene

SIZES = ((300, 400), (480, 640), (600, 800))
SEEN = 0.1
"""A difference in dB between fills that counts."""
BAND = 4
"""Pixels to both sides of the true border that count as the band."""


def band_of(truth: Scene) -> NDArray[np.bool_]:
    """Where the true matte is soft, widened to both sides."""
    kernel = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    return cv2.dilate(truth.matte, kernel) - cv2.erode(truth.matte, kernel) > 0.02


def exposed_by_parallax(truth: Scene) -> NDArray[np.bool_]:
    """Background that the object's largest move can uncover: covered now, and not farther in than that."""
    covered = (truth.matte > 0.02).astype(np.uint8)
    inward = cv2.distanceTransform(covered, cv2.DIST_L2, 5)
    return (covered > 0) & (inward <= MAX_PARALLAX * max(covered.shape) + 1)


def psnr(got: NDArray[np.generic], wanted: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio in dB over some pixels."""
    error = np.square(got[where].astype(np.float64) - wanted[where]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def fringe(got: NDArray[np.generic], alpha: NDArray[np.float32], truth: Scene) -> float:
    """Mean distance of the object's colour from the true one, weighted by its alpha, over the band, levels."""
    where = band_of(truth) & (truth.matte > 0.02) & (alpha > 0.02)
    distance = np.linalg.norm(got[where].astype(np.float64) - truth.object_colour[where], axis=1)
    return float((distance * alpha[where]).sum() / max(alpha[where].sum(), 1e-9))


def quality_row(truth: Scene, values: NDArray[np.float32]) -> dict[str, float]:
    """All measures of one scene: ours, plain cutting at the same depth edge, and Telea's fill of the same hole."""
    layers = layer_picture(truth.rgb, None, values, None, num_layers=2)
    front, back = layers.rgba[1], layers.rgba[0]
    alpha = front[:, :, 3].astype(np.float32) / 255
    cut = (layers.labels == 1).astype(np.float32)
    band, exposed = band_of(truth), exposed_by_parallax(truth)
    telea = cv2.inpaint(truth.rgb, cv2.dilate(cut.astype(np.uint8), np.ones((3, 3))), 3, cv2.INPAINT_TELEA)
    return {
        "matte": float(np.abs(alpha - truth.matte)[band].mean()),
        "matte cut": float(np.abs(cut - truth.matte)[band].mean()),
        "fringe": fringe(front[:, :, :3], alpha, truth),
        "fringe cut": fringe(truth.rgb, cut, truth),
        "fill": psnr(back[:, :, :3], truth.background, exposed),
        "fill Telea": psnr(telea, truth.background, exposed),
        "fill cut": psnr(np.where(cut[..., None] > 0, 0, truth.rgb), truth.background, exposed),
        "error": float(layers.max_error),
        "raised": float(layers.raised_alpha),
        "colour": layers.mean_colour_distance,
    }


def quality() -> list[str]:
    """Print one row per size, scene and depth; say where a plain way does better."""
    heading = True
    beaten = []
    for (height, width), name in itertools.product(SIZES, NAMES):
        truth = scene(name, height, width)
        for kind, values in (("true", truth.disparity), ("soft", camera_depth(truth))):
            row = quality_row(truth, values)
            if heading:
                print(f"{'scene':22s}" + "".join(f"{key:>12s}" for key in row))
                heading = False
            what = f"{name} {kind} {width}×{height}"
            print(f"{what:22s}" + "".join(f"{value:12.3f}" for value in row.values()), flush=True)
            beaten += [f"{what}: {measure}" for measure in ("matte", "fringe") if row[measure] >= row[measure + " cut"]]
            beaten += [f"{what}: fill" for plain in ("fill Telea", "fill cut") if row["fill"] + SEEN <= row[plain]]
    return beaten


def speed_row(height: int, width: int, num_layers: int) -> tuple[float, dict[str, float], Layers]:
    """Seconds in all and per stage."""
    truth = scene("leaves", height, width)
    values = camera_depth(truth, max(1, width // 518))
    seen: list[tuple[str, float]] = []
    start = time.perf_counter()
    layers = layer_picture(
        truth.rgb, None, values, None, num_layers=num_layers, progress=lambda stage, _: seen.append((stage, time.perf_counter()))
    )
    stages = {stage: after - begun for (stage, begun), (_, after) in itertools.pairwise(seen)}
    return time.perf_counter() - start, stages, layers


def speed() -> None:
    """Print seconds per stage and the peak of memory, small to large."""
    speed_row(300, 400, 4)
    base = 0.0
    for height, width in ((300, 400), (3000, 4000), (6000, 8000)):
        total, stages, _ = speed_row(height, width, 4)
        base = total if width == 4000 else base
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
        steps = " ".join(f"{stage} {seconds:.2f}" for stage, seconds in stages.items())
        ratio = f", {total / base:.2f} times 12 megapixels" if base and width > 4000 else ""
        print(f"{width}×{height}: {total:.2f} s ({steps}), peak {peak:.2f} GB{ratio}")


def main() -> None:
    """Print both tables; fail where a plain way does better."""
    beaten = quality()
    speed()
    if beaten:
        raise SystemExit("layers: a plain way does better at " + "; ".join(beaten))
