"""Learned depth at full size: time and memory of one pass and of several at 12 megapixels; and how good the estimate is.

Run: python -m tests.benchmarks.depth.bench_depth
The estimate without a model is scored on the sample pictures with true depth: the share of point pairs in the right order, ties
counting half, for the ground plane alone and for what the product does. Nothing is tuned to single pictures.
The network is Depth Anything V2 Small, built from its configuration with random weights: as large and as slow as the real one.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from daemon.contract.messages import Limits
from pipeline.depth import cues, photo
from pipeline.image import decode
from tests.benchmarks.pictures.bench_pictures import SAMPLE

SAMPLES = SAMPLE.parent
NAME = "small"


def build(folder: Path) -> None:
    """Write the network as a fetch leaves it (config.json of depth-anything/Depth-Anything-V2-Small-hf)."""
    import torch
    import transformers as tf

    from pipeline import weights

    torch.manual_seed(0)
    backbone = tf.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, out_indices=[3, 6, 9, 12],
        apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = tf.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384], fusion_hidden_size=64
    )
    network = tf.DepthAnythingForDepthEstimation(config)
    network.head.conv3.bias.data.fill_(100.0)  # keeps the last ReLU of random weights from cutting everything off
    network.save_pretrained(folder / NAME)
    said = {
        "size": {"height": 518, "width": 518}, "ensure_multiple_of": 14, "keep_aspect_ratio": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / NAME / "preprocessor_config.json").write_text(json.dumps(said))
    weights.record(NAME, str(folder / NAME), catalogue().models[NAME], "random")
    print(f"depth: {sum(each.numel() for each in network.parameters()) / 1e6:.1f} million parameters")


def catalogue():
    """A list with the one model."""
    from pipeline import weights

    entry = {
        "use": "depth", "repo": "random/small", "revision": "main", "licence": "Apache-2.0", "commercial": True, "bytes": 1,
        "files": ["config.json", "preprocessor_config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
    }  # fmt: skip
    return weights.Catalogue.model_validate({"default_depth": NAME, "models": {NAME: entry}})


def look(folder: str, quality: str) -> None:
    """Estimate once, in this process; print what it took."""
    import torch

    from pipeline import weights
    from pipeline.depth import model
    from pipeline.worker import preload

    torch.set_num_threads(2)
    preload.load("depth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small = np.random.default_rng(0).integers(0, 256, (38, 50, 3), np.uint8)
    picture = cv2.resize(small, (4032, 3024), interpolation=cv2.INTER_CUBIC)
    found = weights.locate(NAME, folder, catalogue())
    begun = time.perf_counter()
    reading = model.read(picture, found, device="cpu", quality="best" if quality == "best" else "fast")
    took = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e9
    height, width = reading.values.shape
    print(f"depth: {quality:5s} {took:6.1f} s, {more:.2f} GB above the imports, {width} × {height} values")


def true_depths() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Picture and true disparity (any unit, NaN where unknown) of every sample that has one."""
    found = {}
    for name in ("icl_livingroom_b1", "icl_livingroom_b3", "icl_livingroom_b5", "tum_desk"):
        if (SAMPLES / f"{name}_depth.png").exists():
            metres = cv2.imread(str(SAMPLES / f"{name}_depth.png"), cv2.IMREAD_UNCHANGED) / 5000
            rgb = cv2.cvtColor(cv2.imread(str(SAMPLES / f"{name}_rgb.png")), cv2.COLOR_BGR2RGB)
            found[name] = rgb, 1.0 / np.where(metres > 0, metres, np.nan)
    left, _, disparity = data.stereo_motorcycle()
    found["motorcycle"] = left, np.where(np.isfinite(disparity) & (disparity > 0), disparity, np.nan)
    if (SAMPLES / "iphone_pug_original.heic").exists():
        path, limits = bytes(SAMPLES / "iphone_pug_original.heic"), Limits(max_bytes=1 << 30, max_pixels=1 << 28)
        picture = decode.read(path, limits=limits)
        stored = photo.read(path, photo=picture, limits=limits)
        values = stored.depth_map().values
        found["pug"] = cv2.resize(picture.rgb, values.shape[::-1], interpolation=cv2.INTER_AREA), values
    return found


def in_order(estimate: np.ndarray, truth: np.ndarray, pairs: int = 40_000) -> float:
    """Share of random pairs of pixels, more than 5 % of the whole range apart, that the estimate has in the right order."""
    known = np.flatnonzero(np.isfinite(truth))
    first, second = np.random.default_rng(0).choice(known, (2, pairs))
    wanted = truth.ravel()[first] - truth.ravel()[second]
    got = cv2.resize(estimate, truth.shape[::-1], interpolation=cv2.INTER_LINEAR).ravel()
    far, near = np.nanquantile(truth, (0.02, 0.98))
    right = np.sign(got[first] - got[second]) * np.sign(wanted)
    return float(((right + 1) / 2)[np.abs(wanted) > 0.05 * (near - far)].mean())


def score_the_estimate() -> None:
    """Print the score of the ground plane alone and of the product's estimate, picture by picture."""
    rows = []
    for name, (rgb, truth) in true_depths().items():
        rows.append((in_order(cues.ramp(*rgb.shape[:2]), truth), in_order(cues.read(rgb, fetch="").values, truth)))
        print(f"depth: {name:18s} ground plane alone {rows[-1][0]:.3f}, the estimate {rows[-1][1]:.3f}")
    plane, estimate = np.mean(rows, axis=0)
    print(f"depth: {'on the mean':18s} ground plane alone {plane:.3f}, the estimate {estimate:.3f}")


def main() -> None:
    """Build the network and look with either quality, each in a process of its own."""
    if "--look" in sys.argv:
        look(*sys.argv[-2:])
        return
    score_the_estimate()
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        build(Path(place))
        for quality in ("fast", "best"):
            subprocess.run([sys.executable, "-m", "tests.benchmarks.depth.bench_depth", "--look", place, quality], check=True)


if __name__ == "__main__":
    main()
