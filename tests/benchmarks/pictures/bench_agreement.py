"""How much of the true depth's own partition the layers keep: python -m tests.benchmarks agreement.

Depth pictures that are exact are given with their photos, at their own size and enlarged to 12 megapixels, there with the depth
picture enlarged too and with it as it is. The truth is the given depth's own natural split into four; where the photo alone is
enlarged, it is that of the enlarged depth. "labels", to which the bars apply, is the layer each pixel was given to; "seen" the
frontmost layer that covers at least half of it when mattes have moved the borders onto the photo's.
"""

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.layers.layering import Layers, layer_picture
from pipeline.layers.split import find_thresholds, label

SAMPLES = Path(os.environ.get("SAMPLE_PICTURES", Path(__file__).resolve().parents[4] / "shared" / "samples")).resolve()
ROOMS = ("icl_livingroom_b1", "icl_livingroom_b3", "icl_livingroom_b5", "tum_desk")
LAYERS = 4
STEP = 0.03
"""A difference of disparity between neighbours that is an edge."""
NEAR = 8
"""Pixels from an edge that are near it."""
LARGE = (4000, 3000)
EVERYWHERE_BAR, EDGES_BAR = 0.97, 0.85


def room(name: str) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    """A photo uint8 (H, W, 3), its true disparity float32 (H, W), 0 to 1, and where it was read."""
    rgb = cv2.cvtColor(cv2.imread(str(SAMPLES / f"{name}_rgb.png")), cv2.COLOR_BGR2RGB)
    metres = cv2.imread(str(SAMPLES / f"{name}_depth.png"), cv2.IMREAD_UNCHANGED).astype(np.float32) / 5000
    valid = metres > 0
    inverse = 1 / np.where(valid, metres, 1.0)
    low, high = inverse[valid].min(), inverse[valid].max()
    return rgb, np.where(valid, (inverse - low) / (high - low), 0).astype(np.float32), valid


def agreement(labels: NDArray[np.uint8], values: NDArray[np.float32], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Shares of labels equal to those of the depth's own split: over all readings, and near a true edge."""
    same = labels == label(values, find_thresholds(values, valid, LAYERS, "natural"))
    known = np.where(valid, values, np.nan)
    edge = np.zeros(values.shape, np.uint8)
    edge[:-1] |= np.abs(np.diff(known, axis=0)) > STEP
    edge[:, :-1] |= np.abs(np.diff(known, axis=1)) > STEP
    near = valid & (cv2.dilate(edge, np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)) > 0)
    return float(same[valid].mean()), float(same[near].mean())


def frontmost(layers: Layers) -> NDArray[np.uint8]:
    """The frontmost layer that covers at least half of each pixel, uint8 (H, W)."""
    seen = np.zeros(layers.labels.shape, np.uint8)
    for number, layer in enumerate(layers.rgba):
        seen[layer[:, :, 3] >= 128] = number
    return seen


def main() -> None:
    """Print the table; fail below a bar."""
    if not SAMPLES.is_dir():
        raise SystemExit(f"agreement: the sample pictures are not at {SAMPLES}; set SAMPLE_PICTURES to their folder")
    print(f"{'picture':18s} {'size':22s} {'labels':>8s} {'edges':>8s} {'seen':>8s} {'edges':>8s}")
    missed = []
    for name in ROOMS:
        rgb, values, valid = room(name)
        large = cv2.resize(rgb, LARGE, interpolation=cv2.INTER_CUBIC)
        much = cv2.resize(values, LARGE, interpolation=cv2.INTER_NEAREST)
        read = cv2.resize(valid.view(np.uint8), LARGE, interpolation=cv2.INTER_NEAREST).view(np.bool_)
        for size, photo, given, truth in (
            ("its own", rgb, (values, valid), (values, valid)),
            ("12 MP, depth too", large, (much, read), (much, read)),
            ("12 MP, depth its own", large, (values, valid), (much, read)),
        ):
            layers = layer_picture(photo, None, *given, num_layers=LAYERS)
            shares = (*agreement(layers.labels, *truth), *agreement(frontmost(layers), *truth))
            print(f"{name:18s} {size:22s} " + " ".join(f"{share:8.2%}" for share in shares), flush=True)
            missed += [
                f"{name}, {size}: {share:.2%}, the bar is {bar:.0%}"
                for share, bar in zip(shares[:2], (EVERYWHERE_BAR, EDGES_BAR), strict=True)
                if share < bar
            ]
    if missed:
        raise SystemExit("agreement: " + "; ".join(missed))


if __name__ == "__main__":
    main()
