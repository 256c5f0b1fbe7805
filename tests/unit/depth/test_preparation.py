"""A picture becomes exactly the input that the published image processor of its model family makes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import weights
from pipeline.depth.preparation import input_size, prepare, read_preparation

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
#: As in the preprocessor_config.json of each family, with the same proportions at a third of the size.
DEPTH_ANYTHING = {
    "image_processor_type": "DPTImageProcessor", "size": {"height": 168, "width": 168}, "ensure_multiple_of": 14,
    "keep_aspect_ratio": True, "resample": 3, **IMAGENET,
}  # fmt: skip
DPT = {"image_processor_type": "DPTImageProcessor", "size": {"height": 128, "width": 128}, "resample": 3}
ZOE = {
    "image_processor_type": "ZoeDepthImageProcessor", "size": {"height": 128, "width": 160}, "ensure_multiple_of": 32,
    "keep_aspect_ratio": True, "do_pad": True, "resample": 2,
}  # fmt: skip
FAMILIES = {
    "depth_anything": (DEPTH_ANYTHING, SimpleNamespace(model_type="depth_anything", patch_size=14, backbone_config=None)),
    "dpt": (DPT, SimpleNamespace(model_type="dpt", patch_size=16, backbone_config=None, is_hybrid=False)),
    "zoedepth": (ZOE, SimpleNamespace(model_type="zoedepth", backbone_config=SimpleNamespace(patch_size=16))),
}
SIZES = [
    (301, 402), (402, 301), (333, 500), (97, 61), (168, 168), (169, 169), (211, 640), (640, 211), (719, 1281), (53, 87),
]  # fmt: skip


def reference(family, said, rgb):
    """What transformers' own processor makes of it, without torchvision."""
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
    from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

    kind = ZoeDepthImageProcessorPil if family == "zoedepth" else DPTImageProcessorPil
    return np.asarray(kind(**{key: each for key, each in said.items() if key != "image_processor_type"})(rgb)["pixel_values"])


def preparation_of(family, folder):
    said, config = FAMILIES[family]
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    entry = weights.Entry(use="depth", licence="x", commercial=True, path=str(folder), polarity="disparity", scale="relative")
    return read_preparation(weights.Weights("m", entry, str(folder), "x"), config)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_input_is_the_published_one(family, size, tmp_path):
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    waves = [127 + 127 * np.sin(x / (3 + each) + y / (5 - each)) for each in range(3)]
    noise = np.random.default_rng(1).integers(0, 40, (*size, 3))
    rgb = np.clip(np.stack(waves, axis=-1) + noise - 20, 0, 255).astype(np.uint8)
    ours, _ = prepare(rgb, preparation_of(family, tmp_path))
    theirs = reference(family, FAMILIES[family][0], rgb)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4  # of about five that the input spans; a level is 0.01


def test_the_margin_lies_within_the_trained_size(tmp_path):
    preparation = preparation_of("zoedepth", tmp_path)
    tensor, margin = prepare(np.zeros((300, 400, 3), np.uint8), preparation)
    assert tensor.shape == (1, 3, 128, 160)
    assert margin == (12, 12, 14, 14)  # 36 of 372 and 42 of 484 pixels


def test_depth_pro_gets_its_square_whatever_the_proportions(tmp_path):
    said = {"image_processor_type": "DepthProImageProcessor", "size": {"height": 96, "width": 96}, "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    entry = weights.Entry(use="depth", licence="x", commercial=True, path=str(tmp_path), polarity="distance", scale="metric")
    config = SimpleNamespace(model_type="depth_pro", patch_size=96)
    preparation = read_preparation(weights.Weights("m", entry, str(tmp_path), "x"), config)
    assert input_size(100, 1000, preparation) == (96, 96)
    assert preparation.smaller(48) == preparation
