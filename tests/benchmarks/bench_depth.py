"""Learned depth at full size: seconds and memory of one look and of several, on a 12-megapixel photo.

Run: python -m tests.benchmarks.bench_depth
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
        "files": ["model.safetensors"], "polarity": "disparity", "scale": "relative",
    }  # fmt: skip
    return weights.Catalogue.model_validate({"default_depth": NAME, "models": {NAME: entry}})


def look(folder: str, quality: str) -> None:
    """Estimate once, in this process; print what it took."""
    import torch

    from pipeline import weights
    from pipeline.depth import model

    torch.set_num_threads(2)
    model.preload()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small = np.random.default_rng(0).integers(0, 256, (38, 50, 3), np.uint8)
    photo = cv2.resize(small, (4032, 3024), interpolation=cv2.INTER_CUBIC)
    found = weights.locate(NAME, folder, catalogue())
    begun = time.perf_counter()
    reading = model.read(photo, found, device="cpu", quality="best" if quality == "best" else "fast")
    took = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e9
    height, width = reading.values.shape
    print(f"depth: {quality:5s} {took:6.1f} s, {more:.2f} GB above the imports, {width} × {height} values")


def main() -> None:
    """Build the network and look with either quality, each in a process of its own."""
    if "--look" in sys.argv:
        look(*sys.argv[-2:])
        return
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        build(Path(place))
        for quality in ("fast", "best"):
            subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_depth", "--look", place, quality], check=True)


if __name__ == "__main__":
    main()
