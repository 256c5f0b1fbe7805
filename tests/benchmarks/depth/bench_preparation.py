"""What a depth network is given, and answers, against transformers' own image processors: python -m tests.benchmarks preparation.

Every depth model of config/models.yaml is built at its true size with random weights; the bytes of its weights are compared with
those of the catalogue. Ten pictures of odd sizes are prepared by the product and by the published processor. Both inputs go
through the same network, for the large networks on the smallest input alone. Depth differences are shares of the range of depth.

Then three ways of resampling are compared with what the networks were trained on: Hypersim's pictures (1024 × 768), resized with
cv2.INTER_CUBIC at a height of 518 (Depth-Anything-V2, metric_depth/dataset/hypersim.py). A photo of 12 megapixels is given in
several sizes, as a camera of that size takes it; its picture of 768 rows stands for the training. `cubic` is cv2.INTER_CUBIC,
which averages nothing, as in the authors' own inference; detail is the spread of the Laplacian, 1 as in the training.

Last, what a job pays for the check of its weights. `BENCH_QUICK=1` takes tiny networks, three pictures and one small file.
"""

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline import weights
from pipeline.depth.preparation import Preparation, prepare, read_preparation
from pipeline.image import decode
from pipeline.weights.hash_cache import HashCache
from tests.benchmarks.daemon.daemon_home import verdict
from tests.benchmarks.pictures.bench_pictures import LIMITS, SAMPLE

QUICK = "BENCH_QUICK" in os.environ
THREADS = 2
#: Rows and columns: 12 megapixels, a panorama of 3:1, portrait, tiny, the network's own square and its neighbour, …
SIZES = [
    (61, 97), (333, 500), (480, 640), (518, 518), (519, 517), (768, 1024), (1000, 3000), (1920, 1080), (2999, 1001), (3024, 4032),
][: 3 if QUICK else None]  # fmt: skip
STRIP = (500, 4000)
"""Longer than the product lets through whole: three times what the network is used to."""
INPUT_BAR, DEPTH_BAR, TIME_BAR, CHECK_BAR = 1e-4, 1e-3, 1.0, 0.1
"""Normalised units (a level is 0.017), share of the range, times the processor's, seconds."""
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
#: With the fields that repeat the processor's defaults, the file has the 437 bytes that the catalogue lists for the indoor model.
DEPTH_ANYTHING = {
    "image_processor_type": "DPTImageProcessor", "size": {"height": 518, "width": 518}, "ensure_multiple_of": 14,
    "keep_aspect_ratio": True, "resample": 3, **IMAGENET,
}  # fmt: skip
#: Written so, a line for each field, the file has the 285 bytes that the catalogue lists. How it resamples is one digit, which
#: that does not tell: 2 is bilinear.
DPT = {
    "do_normalize": True, "do_resize": True, "ensure_multiple_of": 1, "feature_extractor_type": "DPTFeatureExtractor",
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "keep_aspect_ratio": False, "resample": 2, "size": 384,
}  # fmt: skip
PROMPTED = DEPTH_ANYTHING | {
    "image_processor_type": "PromptDepthAnythingImageProcessor", "size": {"height": 756, "width": 756},
    "prompt_scale_to_meter": 0.001,
}  # fmt: skip
DEPTH_PRO = {
    "image_processor_type": "DepthProImageProcessor", "size": dict.fromkeys(("height", "width"), 256 if QUICK else 1536),
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}  # fmt: skip
#: Backbone's width, layers and heads; layers that are looked at; the neck's widths; the fusion's width.
ENCODERS = {
    "small": (384, 12, 6, [3, 6, 9, 12], [48, 96, 192, 384], 64),
    "base": (768, 12, 12, [3, 6, 9, 12], [96, 192, 384, 768], 128),
    "large": (1024, 24, 16, [5, 12, 18, 24], [256, 512, 1024, 1024], 256),
}
#: Of each model of the catalogue: encoder, largest distance in metres, and on how many pictures the network is run.
MODELS = {
    "depth-anything-v2-small": ("small", None, 10),
    "depth-anything-v2-indoor": ("small", 20, 2),
    "depth-anything-v2-outdoor": ("small", 80, 2),
    "depth-anything-v2-base": ("base", None, 2),
    "depth-anything-v2-large": ("large", None, 1),
    "dpt-large": ("dpt", None, 1),
    "depth-pro": ("pro", None, 1),
    "prompt-depth-anything-small": ("prompted", None, 2),
}
STORED_IN_HALVES = ("depth-pro",)


def build(name: str) -> tuple[Any, dict[str, Any]]:
    """A model's network with random weights, and its preprocessor_config.json."""
    import torch
    import transformers as tf

    torch.manual_seed(0)
    encoder, metres, _ = MODELS[name]
    if encoder == "pro":
        return _depth_pro(), DEPTH_PRO
    if encoder == "dpt":
        config = tf.DPTConfig(
            hidden_size=24 if QUICK else 1024, num_hidden_layers=4 if QUICK else 24, num_attention_heads=2 if QUICK else 16,
            intermediate_size=32 if QUICK else 4096, backbone_out_indices=[0, 1, 2, 3] if QUICK else [5, 11, 17, 23],
            neck_hidden_sizes=[8, 8, 8, 8] if QUICK else [256, 512, 1024, 1024], fusion_hidden_size=8 if QUICK else 256,
        )  # fmt: skip
        network = tf.DPTForDepthEstimation(config)
        last = network.head.head[4]
    else:
        sizes = ENCODERS["small" if encoder == "prompted" else encoder]
        width, layers, heads, looked_at, neck, fusion = (24, 4, 2, [1, 2, 3, 4], [8] * 4, 8) if QUICK else sizes
        backbone = tf.Dinov2Config(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, image_size=518, patch_size=14,
            out_indices=looked_at, apply_layernorm=True, reshape_hidden_states=False,
        )  # fmt: skip
        kinds = (tf.DepthAnythingConfig, tf.DepthAnythingForDepthEstimation)
        if encoder == "prompted":
            kinds = (tf.PromptDepthAnythingConfig, tf.PromptDepthAnythingForDepthEstimation)
        config = kinds[0](
            backbone_config=backbone, reassemble_hidden_size=width, neck_hidden_sizes=neck, fusion_hidden_size=fusion,
            depth_estimation_type="metric" if metres else "relative", max_depth=metres or 1,
        )  # fmt: skip
        network = kinds[1](config)
        last = network.head.conv3
    for parameter in network.neck.parameters():  # the usual start is so small that every pixel gets the same depth
        if parameter.dim() > 1:
            parameter.data.normal_(std=1 / math.sqrt(parameter[0].numel()))
    for parameter in network.head.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=1 / math.sqrt(parameter[0].numel()))
    if not metres:
        last.bias.data.fill_(10.0)  # keeps the last ReLU from cutting everything off
    return network.eval(), {"dpt": DPT, "prompted": PROMPTED}.get(encoder, DEPTH_ANYTHING)


def _depth_pro() -> Any:
    import transformers as tf

    side = 64 if QUICK else 384
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
    if not QUICK:
        sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "mlp_ratio": 4}
    encoder = {"model_type": "dinov2", "patch_size": 16, "image_size": side, **sizes}
    tiny = {
        "fusion_hidden_size": 16, "intermediate_hook_ids": [1, 0], "intermediate_feature_dims": [8, 8],
        "scaled_images_feature_dims": [16, 16, 8], "merge_padding_value": 1, "num_fov_head_layers": 1,
    }  # fmt: skip
    encoders = {f"{part}_model_config": dict(encoder) for part in ("image", "patch", "fov")}
    network = tf.DepthProForDepthEstimation(
        tf.DepthProConfig(patch_size=side, use_fov_model=True, **encoders, **(tiny if QUICK else {}))
    )
    for parameter in network.head.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=1 / math.sqrt(parameter[0].numel()))
    network.head.layers[4].bias.data.fill_(10.0)
    return network.eval()


class _DepthProProcessor:
    """DepthPro's own needs torchvision; this is what it does with it: first the range, then no antialiasing."""

    def __init__(self, *, size: dict[str, int], image_mean: list[float], image_std: list[float], resample: int) -> None:
        self._size = (size["height"], size["width"])
        self._mean, self._std = (np.asarray(each, np.float32) for each in (image_mean, image_std))
        assert resample == 2

    def __call__(self, rgb: NDArray[np.uint8]) -> dict[str, object]:
        import torch

        values = torch.from_numpy((rgb.astype(np.float32) / 255 - self._mean) / self._std).permute(2, 0, 1)[None]
        return {"pixel_values": torch.nn.functional.interpolate(values, self._size, mode="bilinear", antialias=False)}


def photo() -> NDArray[np.uint8]:
    """The phone's sample, 12 megapixels; where there is none, `noise`."""
    if not SAMPLE.exists():
        return noise()
    return decode.read(os.fsencode(SAMPLE), limits=LIMITS).rgb


def noise() -> NDArray[np.uint8]:
    """12 megapixels with the spectrum of natural pictures, down to the single pixel: every octave is as strong as the others."""
    rng, total = np.random.default_rng(0), np.zeros((3024, 4032, 3), np.float32)
    for octave in range(2, 13):
        grain = rng.normal(scale=16, size=(3 * 2**octave // 4, 2**octave, 3)).astype(np.float32)
        total += cv2.resize(grain, (4032, 3024), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def of_size(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A part of a photo with these rows and columns, by area averages as a sensor takes them."""
    scale = max(size[0] / rgb.shape[0], size[1] / rgb.shape[1])
    height, width = (min(round(each / scale), whole) for each, whole in zip(size, rgb.shape[:2], strict=True))
    return np.asarray(cv2.resize(rgb[:height, :width], size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def preparation_of(said: dict[str, Any], config: object) -> Preparation:
    """What the product reads from such a folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(said))
        entry = weights.Entry(use="depth", licence="x", commercial=True, path=folder, polarity="disparity", scale="relative")
        return read_preparation(weights.Weights("x", entry, folder, "x"), config)


def depth(network: Any, given: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network's answer."""
    import torch

    with torch.inference_mode():
        answer: NDArray[np.float32] = network(pixel_values=torch.from_numpy(given)).predicted_depth[0].numpy()
    return answer


def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and largest difference of two depths, in shares of the range."""
    extent = float(np.ptp(other))
    assert extent > 0, "the network gives the same depth everywhere"
    difference = np.abs(one - other) / extent
    return float(difference.mean()), float(difference.max())


def spent(way: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that something takes."""
    begun = clock()
    way()
    return clock() - begun


def against_the_processor(name: str, network: Any, said: dict[str, Any], pictures: list[NDArray[np.uint8]]) -> bool:
    """Print one family's table; whether its bars hold."""
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
    from transformers.models.prompt_depth_anything import image_processing_pil_prompt_depth_anything as prompted

    kinds = {"depth-pro": _DepthProProcessor, "prompt-depth-anything-small": prompted.PromptDepthAnythingImageProcessorPil}
    processor = kinds.get(name, DPTImageProcessorPil)(**{key: each for key, each in said.items() if not key.endswith("_type")})
    preparation = preparation_of(said, network.config)
    width = 2 if name in STORED_IN_HALVES else 4
    listed, held = weights.catalogue().models[name].bytes, sum(each.numel() * width for each in network.parameters())
    print(f"\n{name}: weights {held:,} bytes, {listed:,} listed{' (tiny)' if QUICK else ''}")
    fits = QUICK or abs(held / listed - 1) < 0.02
    worst_input = worst_depth = 0.0
    shape_matches, totals = True, [0.0, 0.0]
    heads = f"{'input: mean':>12} {'max':>8} {'levels':>8} {'depth: mean':>12} {'max':>8} {'time':>6}"
    print(f"  {'picture':>11} {'reference':>11} {'ours':>11} {heads}")
    for at, rgb in enumerate(pictures):
        theirs = np.asarray(processor(rgb)["pixel_values"], np.float32)
        given, _ = prepare(rgb, preparation)
        # The processor's seconds, which others on the machine do not lengthen much; both ways use one thread.
        ways = (lambda rgb=rgb: prepare(rgb, preparation)), (lambda rgb=rgb: processor(rgb))
        seconds = [spent(way, time.process_time) for way in ways]
        totals = [total + each for total, each in zip(totals, seconds, strict=True)]
        line = f"  {_size(rgb.shape[:2])} {_size(theirs.shape[2:])} {_size(given.shape[2:])}"
        if theirs.shape != given.shape:
            shape_matches = False
            print(f"{line} the sizes differ")
            continue
        difference = np.abs(given - theirs)
        level = float(difference.max()) * max(preparation.std) * 255
        worst_input = max(worst_input, float(difference.max()))
        line += f" {difference.mean():12.1e} {difference.max():8.1e} {level:8.1e}"
        if at < MODELS[name][2]:
            mean, largest = apart(depth(network, given), depth(network, theirs))
            worst_depth = max(worst_depth, largest)
            line += f" {mean:12.1e} {largest:8.1e}"
        else:
            line += f" {'–':>12} {'–':>8}"
        print(f"{line} {seconds[0] / seconds[1]:6.2f}", flush=True)
    ratio = totals[0] / totals[1]
    if not QUICK:
        print(f"  bytes of the weights as listed, within 2 %: {verdict(fits)}")
    for what, is_ok in (
        ("sizes as the processor's", shape_matches),
        (f"input {worst_input:.1e} (bar {INPUT_BAR:g})", worst_input <= INPUT_BAR),
        (f"depth {worst_depth:.1e} (bar {DEPTH_BAR:g})", worst_depth <= DEPTH_BAR),
        (f"time {ratio:.2f} of the processor's (bar {TIME_BAR:g})", ratio <= TIME_BAR),
    ):
        print(f"  {what}: {verdict(is_ok)}")
    return fits and shape_matches and worst_input <= INPUT_BAR and worst_depth <= DEPTH_BAR and ratio <= TIME_BAR


def the_strip(rgb: NDArray[np.uint8]) -> None:
    """Print the one case in which the product's input is another: smaller."""
    from transformers.models.dpt.image_processing_pil_dpt import get_resize_output_image_size

    strip = of_size(rgb, STRIP)
    config = type("Config", (), {"model_type": "depth_anything", "patch_size": 14})
    ours = prepare(strip, preparation_of(DEPTH_ANYTHING, config))[0].shape[2:]
    theirs = get_resize_output_image_size(strip.transpose(2, 0, 1), (518, 518), True, 14)
    print(f"\na strip of {_size(STRIP).strip()}: reference {theirs.height} × {theirs.width}, ours {_size(ours).strip()}")


def resampled(rgb: NDArray[np.uint8], size: tuple[int, int], way: str) -> NDArray[np.float32]:
    """A picture in levels at the network's size."""
    if way == "Pillow":
        return np.asarray(Image.fromarray(rgb).resize(size[::-1], Image.Resampling.BICUBIC)).astype(np.float32)
    how = cv2.INTER_AREA if way == "area" else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb.astype(np.float32), size[::-1], interpolation=how))


def against_the_training(network: Any, what: str, rgb: NDArray[np.uint8]) -> None:
    """Print how far each way of resampling is from the training's, by the size of the photo; 518 × 686 is the input."""
    size = (518, 686)
    mean, std = (np.asarray(IMAGENET[each], np.float32) for each in ("image_mean", "image_std"))

    def tensor(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(((values / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32))

    def detail(values: NDArray[np.float32]) -> float:
        return float(np.std(cv2.Laplacian(values, cv2.CV_32F)))

    # What a picture of 768 rows looks like depends on the camera as well: soft as area averages, or sharp as Lanczos' filter.
    soft = of_size(rgb, (768, 1024))
    sharp = np.asarray(Image.fromarray(rgb).resize((1024, 768), Image.Resampling.LANCZOS))
    trained = [resampled(each, size, "cubic") for each in (soft, sharp)]
    answers = [depth(network, tensor(each)) for each in trained]
    print(f"\nresampling {what} to 518 × 686, against the training's input from a soft | a sharp picture of 768 rows")
    print(f"  {'photo':>11} {'way':>8} {'levels: mean':>15} {'detail':>13} {'depth: mean':>19}")
    for height in (1536, 3024):
        taken = rgb if height == rgb.shape[0] else of_size(rgb, (height, height * 4 // 3))
        for way in ("cubic", "Pillow", "area"):
            values = resampled(taken, size, way)
            answer = depth(network, tensor(values))
            off = [float(np.abs(values - each).mean()) for each in trained]
            kept = [detail(values) / detail(each) for each in trained]
            shift = [apart(answer, each)[0] for each in answers]
            print(
                f"  {_size(taken.shape[:2])} {way:>8} {off[0]:7.2f} {off[1]:7.2f} {kept[0]:6.2f} {kept[1]:6.2f} "
                f"{shift[0]:9.1e} {shift[1]:9.1e}",
                flush=True,
            )


def check_of_weights() -> bool:
    """Print what a job pays to know that its weights are unchanged; whether the bar holds."""
    megabytes = 9 if QUICK else 99
    entry = {
        "use": "depth", "repo": "random/small", "revision": "main", "licence": "MIT", "commercial": True, "bytes": 1,
        "files": ["config.json", "preprocessor_config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
    }  # fmt: skip
    listed = weights.Catalogue.model_validate({"default_depth": "m", "models": {"m": entry}})
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as models:
        folder = Path(models) / "m"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "preprocessor_config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(megabytes * 1_000_000))

        def job() -> object:
            return weights.locate("m", models, listed)

        cache = HashCache(models, recompute=True)
        weights.record("m", str(folder), listed.models["m"], "c0ffee", cache)
        never = spent(job)
        cache.save()
        first = spent(job)
        later = sorted(spent(job) for _ in range(20))
        (folder / "model.safetensors").touch()
        touched = spent(job)
    print(f"\ncheck of {megabytes} MB of weights: seconds a job")
    print(f"  fetched, unchanged: {first:.4f} the first, then {statistics.median(later):.4f}, at most {later[-1]:.4f}")
    print(f"  never remembered: {never:.3f}; its time changed since, and not verified again: {touched:.3f}")
    is_ok = max(first, later[-1]) <= CHECK_BAR
    print(f"  unchanged within {CHECK_BAR} s: {verdict(is_ok)}")
    return is_ok


def _size(sides: tuple[int, ...]) -> str:
    return f"{sides[0]:>5}×{sides[1]:<5}"


def main() -> None:
    """Print all the tables."""
    import torch

    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    rgb = photo()
    pictures = [of_size(rgb, size) for size in SIZES]
    shipped = {name for name, entry in weights.catalogue().models.items() if entry.use == "depth"}
    assert shipped == set(MODELS), f"the catalogue has other depth models: {', '.join(sorted(shipped ^ set(MODELS)))}"
    held = [check_of_weights()]
    the_strip(rgb)
    for name in MODELS:
        network, said = build(name)
        held.append(against_the_processor(name, network, said, pictures))
        if name == "depth-anything-v2-small":
            against_the_training(network, "the phone's photo" if SAMPLE.exists() else "noise", rgb)
            if SAMPLE.exists():
                against_the_training(network, "noise", noise())
        del network
    print(f"\nall bars: {verdict(all(held))}")


if __name__ == "__main__":
    sys.exit(main())
