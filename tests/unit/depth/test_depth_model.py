"""Learned depth, proven with tiny models of the real families, written as safetensors and loaded as any fetched model is."""

import json
import os
import shutil
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest

from daemon.contract.commands import unmarked
from daemon.errors import DeviceUnavailable, ModelFailed, WeightsCorrupt
from pipeline import weights
from pipeline.depth import model
from pipeline.depth.preparation import Preparation, input_size, prepare, read_preparation
from tests import depth_models

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SAID = {
    "depth-anything": {"size": {"height": 42, "width": 42}, "ensure_multiple_of": 14, "keep_aspect_ratio": True, **IMAGENET},
    "dpt": {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "glpn": {"size_divisor": 32, "do_rescale": True},
    "zoedepth": {
        "size": {"height": 64, "width": 64}, "ensure_multiple_of": 32, "do_pad": True,
        "image_processor_type": "ZoeDepthImageProcessor",
    },
    "depth-pro": {"size": {"height": 256, "width": 256}, "resample": 2, "image_processor_type": "DepthProImageProcessor"},
    "prompt": {
        "size": {"height": 42, "width": 42}, "ensure_multiple_of": 14, "keep_aspect_ratio": True, "resample": 3, **IMAGENET,
        "image_processor_type": "PromptDepthAnythingImageProcessor", "prompt_scale_to_meter": 0.001,
    },
}  # fmt: skip
#: What the authors say that larger values mean.
SAID_POLARITY = dict.fromkeys(SAID, "distance") | {"depth-anything": "disparity", "dpt": "disparity"}
#: What the network's own numbers mean.
POLARITY = SAID_POLARITY | {"depth-pro": "disparity"}


def tiny(family):
    """A network of a family, as small as it gets, with random weights."""
    import transformers as tf

    if family == "depth-anything":
        return depth_models.tiny()
    if family == "dpt":
        config = tf.DPTConfig(
            hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
            backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
        )  # fmt: skip
        return tf.DPTForDepthEstimation(config)
    if family == "glpn":
        config = tf.GLPNConfig(
            num_encoder_blocks=4, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=8,
        )  # fmt: skip
        return tf.GLPNForDepthEstimation(config)
    if family == "depth-pro":
        encoders = {
            f"{part}_model_config": {
                "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
                "patch_size": 16, "mlp_ratio": 2,
            }
            for part in ("image", "patch", "fov")
        }  # fmt: skip
        config = tf.DepthProConfig(
            **encoders, patch_size=64, fusion_hidden_size=16, intermediate_hook_ids=[1, 0], intermediate_feature_dims=[8, 8],
            scaled_images_feature_dims=[16, 16, 8], merge_padding_value=1, use_fov_model=True, num_fov_head_layers=1,
        )  # fmt: skip
        return tf.DepthProForDepthEstimation(config)
    if family == "prompt":
        return depth_models.prompted()
    backbone = tf.BeitConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False, use_relative_position_bias=True, use_mask_token=False,
    )  # fmt: skip
    config = tf.ZoeDepthConfig(
        backbone_config=backbone, backbone_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        bottleneck_features=8, num_relative_features=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.1, "max_depth": 10.0, "name": None}],
        num_attractors=[4, 2, 2, 1], bin_embedding_dim=8, patch_transformer_hidden_size=8, patch_transformer_intermediate_size=16,
        patch_transformer_num_attention_heads=2,
    )  # fmt: skip
    return tf.ZoeDepthForDepthEstimation(config)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Each family's folder, as a fetch leaves it."""
    import torch

    root = tmp_path_factory.mktemp("models")
    entries = {}
    for family, said in SAID.items():
        torch.manual_seed(7)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = tiny(family)
            for parameter in network.parameters():  # the usual start is so small that every pixel gets the same depth
                if parameter.dim() > 1:
                    parameter.data.normal_(std=0.3)
            if family in ("depth-anything", "dpt", "depth-pro"):  # keep the last ReLU from cutting everything off
                last = {"depth-anything": "conv3", "dpt": "head.4", "depth-pro": "layers.4"}[family]
                network.head.get_submodule(last).bias.data.fill_(100.0)
            if family == "prompt":  # keep the last sigmoid from giving nothing but 0 and 1
                network.head.conv3.weight.data.mul_(0.01)
            network.save_pretrained(root / family)
        (root / family / "preprocessor_config.json").write_text(json.dumps(said))
        entries[family] = {
            "use": "depth", "repo": f"tiny/{family}", "revision": "main", "licence": "MIT", "commercial": True, "bytes": 1,
            "files": ["config.json", "preprocessor_config.json", "model.safetensors"], "polarity": SAID_POLARITY[family],
            "scale": "relative", "input": 64,
        }  # fmt: skip
    catalogue = weights.Catalogue.model_validate({"default_depth": "dpt", "models": entries})
    for family in SAID:
        weights.record(family, str(root / family), catalogue.models[family], "c0ffee")
    return {family: weights.locate(family, str(root), catalogue) for family in SAID}


def picture(height=60, width=90):
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


#: Distances that a phone measured, and stored with fewer pixels than its photo has.
PROMPT = np.linspace(0.5, 3.0, 12 * 16, dtype=np.float32).reshape(12, 16)


def prompt_for(family):
    return PROMPT if family == "prompt" else None


def read(found, rgb, family, **more):
    return model.read(rgb, found, device="cpu", prompt=prompt_for(family), **more)


def raw_of(found, rgb, prompt=None):
    """`predicted_depth` computed here, apart from the code under test but for the input."""
    import torch
    import transformers

    network = transformers.AutoModelForDepthEstimation.from_pretrained(found.folder).eval()
    tensor, margin = prepare(rgb, read_preparation(found, network.config))
    with torch.inference_mode():
        more = {} if prompt is None else {"prompt_depth": torch.from_numpy(prompt[None, None])}
        predicted = network(pixel_values=torch.from_numpy(tensor), **more).predicted_depth[0]
    return predicted.numpy(), tensor.shape, margin


@pytest.mark.parametrize("family", SAID)
def test_every_family_gives_disparity_in_the_right_direction(families, family):
    found, rgb = families[family], picture()
    reading = read(found, rgb, family)
    raw, shape, (top, bottom, left, right) = raw_of(found, rgb, prompt_for(family))
    assert reading.values.shape == (shape[2] - top - bottom, shape[3] - left - right)
    assert (reading.values.dtype, reading.values.min(), reading.values.max()) == (np.float32, 0.0, 1.0)
    assert reading.valid is None
    if raw.shape == shape[2:]:
        raw = raw[top : shape[2] - bottom, left : shape[3] - right]
        sign = 1 if POLARITY[family] == "disparity" else -1
        assert (
            np.corrcoef(sign * np.argsort(np.argsort(raw, axis=None)), np.argsort(np.argsort(reading.values, axis=None)))[0, 1]
            > 0.98
        )
    about = reading.provenance
    assert (about.source, about.model, about.revision, about.licence) == ("model", f"tiny/{family}", "c0ffee", "MIT")
    assert about.polarity == POLARITY[family]


@pytest.mark.parametrize("family", SAID)
@pytest.mark.parametrize("shape", [(2, 2), (1, 300), (300, 1), (61, 47)])
def test_every_family_takes_any_shape_of_picture(families, family, shape):
    reading = read(families[family], picture(*shape), family)
    assert np.isfinite(reading.values).all()
    assert reading.values.max() == 1.0


def test_the_same_picture_gives_the_same_bytes(families):
    first, second = (model.read(picture(), families["dpt"], device="cpu").values for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_progress_rises(families):
    told = []
    model.read(picture(), families["dpt"], device="cpu", progress=told.append)
    assert told == sorted(told)
    assert told


def test_the_input_keeps_proportions_and_fits_the_patch():
    preparation = Preparation(518, 518, 14, 1 / 255, (0, 0, 0), (1, 1, 1))
    assert input_size(3024, 4032, preparation) == (518, 686)
    assert input_size(100, 100, preparation) == (518, 518)
    for height, width in ((3024, 4032), (1080, 1920), (333, 500), (4000, 1500)):
        h, w = input_size(height, width, preparation)
        assert (h % 14, w % 14) == (0, 0)
        assert abs(h / w - height / width) / (height / width) < 0.02
    assert max(input_size(1, 5000, preparation)) <= 3 * 518
    assert min(input_size(1, 5000, preparation)) == 14


def test_range_mean_and_deviation_are_those_of_the_folder():
    preparation = Preparation(32, 32, 32, 1 / 255, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    tensor, margin = prepare(np.full((32, 32, 3), 255, np.uint8), preparation)
    assert (tensor.shape, margin) == ((1, 3, 32, 32), (0, 0, 0, 0))
    assert np.allclose(tensor[0, :, 5, 5], [1.0, 3.0, 0.5])


def test_resizing_keeps_pixel_centres_where_they_are():
    """A ramp stays the same ramp over the picture's extent; half a pixel of shift would show as an offset."""
    ramp = (
        np.repeat(np.linspace(0, 255, 640, dtype=np.float32)[None, :, None], 320, axis=0)
        .repeat(3, axis=2)
        .round()
        .astype(np.uint8)
    )
    tensor, _ = prepare(ramp, Preparation(32, 32, 32, 1.0, (0, 0, 0), (1, 1, 1)))
    assert np.abs(tensor[0, 0, 0] - ((np.arange(64) + 0.5) * 10 - 0.5) * 255 / 639).max() < 0.5


@pytest.mark.parametrize(
    ("raw", "polarity", "said"),
    [
        ([[1.0, np.nan]], "disparity", "not numbers"),
        ([[1.0, np.inf]], "distance", "not numbers"),
        ([[2.0, 2.0]], "disparity", "same depth"),
        ([[-2.0, -3.0]], "distance", "no positive"),
    ],
)
def test_useless_numbers_fail_the_job(raw, polarity, said):
    with pytest.raises(ModelFailed, match=said):
        model.to_disparity(np.array(raw, np.float32), polarity, "m")


def test_distances_become_their_inverse_and_what_is_not_positive_a_hole():
    disparity, valid = model.to_disparity(np.array([[1.0, 2.0, 4.0, 0.0]], np.float32), "distance", "m")
    assert disparity.tolist() == [[1.0, 0.5, 0.25, 0.0]]
    assert valid.tolist() == [[True, True, True, False]]


def test_a_device_is_used_only_if_it_agrees_with_the_cpu(families):
    """Other precisions on the CPU stand for other devices: bfloat16 agrees; a device that is not there gives nothing."""
    import torch
    import transformers

    found = families["depth-anything"]
    network = transformers.AutoModelForDepthEstimation.from_pretrained(found.folder).eval()
    preparation = read_preparation(found, network.config)
    settle = lambda *candidates: model.choose_device(network, picture(), preparation, candidates, "disparity")  # noqa: E731
    assert settle() == ("cpu", "float32", ())
    assert settle(("cpu", "float32")) == ("cpu", "float32", ())
    device, dtype, remarks = settle(("mps", "float16"), ("mps", "float32"))
    assert (device, dtype) == ("cpu", "float32")
    assert "mps" in remarks[0]
    with torch.no_grad():
        broken = lambda self, args, output: output.__setitem__("predicted_depth", output.predicted_depth.flip(-1))  # noqa: E731
        hook = network.register_forward_hook(lambda *a: broken(*a) if next(network.parameters()).dtype == torch.float64 else None)
        assert settle(("cpu", "float64"))[1] == "float32"
        hook.remove()
        assert settle(("cpu", "float64"))[1] == "float64"
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_said_to_be_missing(families, device):
    import torch

    if (torch.cuda if device == "cuda" else torch.backends.mps).is_available():
        pytest.skip(f"this machine has {device}")
    with pytest.raises(DeviceUnavailable, match=device):
        model.read(picture(), families["dpt"], device=device)


FIRST_RESIDUAL = [
    f"neck.fusion_stage.layers.0.residual_layer1.convolution{layer}.{part}" for layer in (1, 2) for part in ("weight", "bias")
]


def without(found, folder, dropped):
    """A copy of a model's folder that lacks some tensors."""
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(os.path.join(found.folder, name), folder)
    tensors = load_file(f"{found.folder}/model.safetensors")
    for name in dropped:
        del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return weights.Weights(found.name, found.entry, str(folder), "x")


@pytest.mark.parametrize("family", ["dpt", "depth-anything", "prompt", "zoedepth"])
def test_weights_without_the_parts_that_are_never_used_give_the_same_depth(families, family, tmp_path):
    """Intel/dpt-large is published without them."""
    found = without(families[family], tmp_path, FIRST_RESIDUAL)
    whole, part = (read(each, picture(), family).values for each in (families[family], found))
    # Without them, the other tensors begin elsewhere in the file. On some processors that changes the last digits of a sum.
    # Weights filled with chance would change the first.
    np.testing.assert_allclose(part, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "dropped",
    [
        "neck.fusion_stage.layers.0.residual_layer2.convolution1.weight",
        "neck.fusion_stage.layers.1.residual_layer1.convolution1.weight",
        "neck.fusion_stage.layers.0.projection.bias",
        "head.head.0.weight",
    ],
)
def test_weights_that_lack_any_other_part_are_refused_not_filled_with_chance(families, tmp_path, dropped):
    found = without(families["dpt"], tmp_path, [*FIRST_RESIDUAL, dropped])
    with pytest.raises(WeightsCorrupt) as refused:
        model.read(picture(), found, device="cpu")
    assert refused.value.message == f"The weights of dpt lack {dropped}."
    assert (
        unmarked(refused.value.info().hint)
        == "Fetch the model again (`multiplane models fetch dpt`), then: `multiplane retry ID`."
    )


def test_folders_that_are_no_depth_model_are_refused(families, tmp_path):
    found = weights.Weights("m", families["dpt"].entry, str(tmp_path), "x")
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsCorrupt, match="cannot be loaded"):
        model.read(picture(), found, device="cpu")
    shutil.copy(os.path.join(families["dpt"].folder, "config.json"), tmp_path)
    with pytest.raises(WeightsCorrupt, match="cannot be loaded"):
        model.read(picture(), found, device="cpu")


def test_pickled_weights_are_never_loaded(families, tmp_path):
    import torch

    shutil.copy(os.path.join(families["dpt"].folder, "config.json"), tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsCorrupt):
        model.read(picture(), weights.Weights("m", families["dpt"].entry, str(tmp_path), "x"), device="cpu")


def test_choosing_depth_imports_no_torch_until_a_model_is_used():
    code = "import sys, pipeline.depth; print({'torch', 'transformers', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("family", [family for family in SAID if family != "prompt"])
def test_the_best_quality_looks_several_times_and_says_so(families, family):
    size = (750, 500) if family == "depth-pro" else (270, 180)  # tiles have at least as many pixels as the network sees
    found, rgb = families[family], cv2.resize(picture(), size, interpolation=cv2.INTER_CUBIC)
    fast, best = (read(found, rgb, family, quality=quality) for quality in ("fast", "best"))
    assert (fast.provenance.quality, best.provenance.quality) == ("fast", "best")
    assert fast.provenance.device == "cpu"
    assert min(best.values.shape) > min(fast.values.shape)
    again = read(found, rgb, family, quality="best")
    assert again.values.tobytes() == best.values.tobytes()


def test_the_best_quality_sees_more_pixels_where_the_network_allows_it(families, monkeypatch):
    """A photo that is too small for tiles: two passes, each of a picture half as large again as the network was trained with."""
    shapes = []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda *given: shapes.append(run(*given).shape) or run(*given))
    for family in ("depth-anything", "dpt"):
        read(families[family], picture(50, 50), family, quality="best")
    assert shapes == [(56, 56), (56, 56), (32, 32), (32, 32)]  # 42 · 770 / 518 is 62, and multiples of 14 fit


def test_a_prompt_is_what_the_depth_is_made_from_and_the_manifest_says_so(families):
    found, rgb = families["prompt"], picture()
    first, again, other = (model.read(rgb, found, device="cpu", prompt=each) for each in (PROMPT, PROMPT, PROMPT[:, ::-1]))
    assert first.values.tobytes() == again.values.tobytes()
    assert np.abs(first.values - other.values).max() > 1e-3
    assert (first.provenance.prompt, first.provenance.polarity) == ("photo", "distance")
    assert model.read(rgb, families["dpt"], device="cpu").provenance.prompt is None


def test_a_prompt_of_one_distance_gives_numbers(families):
    wall = np.full((12, 16), 20.0, np.float32)
    reading = model.read(picture(), families["prompt"], device="cpu", prompt=wall)
    assert np.isfinite(reading.values).all()
    assert (wall == 20.0).all()


def test_whatever_the_quality_a_prompted_model_makes_one_pass(families):
    fast, best = (read(families["prompt"], picture(), "prompt", quality=quality) for quality in ("fast", "best"))
    assert fast.values.tobytes() == best.values.tobytes()
    assert best.provenance.quality == "fast"
