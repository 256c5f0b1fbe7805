"""Turns a picture into the input of a depth network, with the size, range and margin that the model's folder states.

The input matches that of the image processors in transformers number for number. Pillow resamples it, as those processors do
without torchvision. ZoeDepth gets a mirrored margin and aligned corners. DepthPro gets plain bilinear interpolation, which does
not average. The input differs only for a picture that would become longer than three times the trained size: it is made smaller
here, because it would use up all memory.

Other programs resize differently. Depth Anything V2's authors use cv2.INTER_CUBIC, which does not average. They use it for
inference (image2tensor) and in the training code that they publish for the metric models (metric_depth/dataset/hypersim.py:
pictures of 1024 × 768 to a height of 518). DPT's authors use it too (run_monodepth.py). transformers' processors use Pillow's
filter, which does average. These processors also scale as little as possible, whereas Depth Anything's authors let no side be
shorter than 518: 61 × 97 becomes 322 × 518 here and 518 × 826 there. DPT's authors keep proportions; DPT-large's published
processor makes a square, and so does this module.

`python -m tests.benchmarks preparation` measures how far the input from a 12-megapixel photo is from the input that the same
scene gave in training. The mean difference, in levels of 255, is 1.7 with the authors' resampling, 0.7 with transformers' and
ours, and 0.6 with cv2.INTER_AREA. For noise with a natural spectrum, it is 13.6, 4.3 and 3.6. The output of a network with
random weights changes by 1.0, 0.36 and 0.30 % of its range. The authors' way suits pictures as small as those in training, but
gives large ones jagged detail: 1.6 times as much detail as in training, where the other two give 0.8 times as much. We follow
transformers because its processors are published with these very files, and because we can check the result number for number.
"""

import json
import math
import os
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.weights import Weights

_LONGEST = 3  # longer side at most this many times the network's: beyond it, attention only needs more memory
_MULTIPLE = 32  # divides the input size of every convolutional family; transformer networks state theirs
_SIDE = 384  # the trained size of most families, if neither folder nor catalogue states one
_NORMALISING = ("DPT", "ZoeDepth", "DepthPro", "PromptDepthAnything")  # processors that normalise unless switched off
_APART = 1e-3  # relative change of one distance; transformers' processor adds a millionth of a metre, which is lost beyond 16 m
_BILINEAR, _BICUBIC = 2, 3  # codes for resampling in preprocessor_config.json, as in Pillow
_FINER = 770 / 518  # for the best quality: the shorter side of Depth Anything's input; a pass costs 2.5 times as much
_FINER_FAMILIES = ("depth_anything",)  # the other families take a square, or have a larger input already


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes the network's input.

    Attributes:
        height: height of the input in pixels, for a picture with the proportions that the network was trained with.
        width: width of the same input.
        multiple: both sides of an input are multiples of this.
        factor: the samples, 0…255, are multiplied by this.
        mean: this is then subtracted from them, per channel.
        std: the result is then divided by this, per channel.
        resample: 2 bilinear, 3 bicubic.
        fixed: whether the input always has this height and width, so that proportions are not kept.
        margin: whether to add a mirrored margin around the picture, for families whose output is wrong at the border.
        averaged: whether reducing the picture averages all of its pixels. If not, only those next to each new pixel count.
        finer: whether the network may see more pixels than it was trained with.
    """

    height: int
    width: int
    multiple: int
    factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: int = _BICUBIC
    fixed: bool = False
    margin: bool = False
    averaged: bool = True
    finer: bool = False

    @property
    def short_side(self) -> int:
        """The shorter side of the input."""
        return min(self.height, self.width)

    def finest(self) -> "Preparation":
        """This preparation for the best quality: with a larger input, if the network allows that."""
        if not self.finer:
            return self
        return replace(self, height=round(self.height * _FINER), width=round(self.width * _FINER))

    def smaller(self, side: int) -> "Preparation":
        """This preparation for an input whose shorter side is at most `side`, if the network allows that."""
        if self.fixed or self.short_side <= side:
            return self
        scale = side / self.short_side
        return replace(self, height=round(self.height * scale), width=round(self.width * scale))


def read_preparation(found: Weights, config: Any) -> Preparation:  # noqa: ANN401  transformers' configurations have no common type
    """Read from the model's folder how its input is prepared.

    Args:
        found: the weights; their entry's `input` applies if the folder states no size.
        config: the loaded model's configuration, for the patch size.

    Raises:
        WeightsCorrupt: preprocessor_config.json is missing or not valid.
    """
    path = os.path.join(found.folder, "preprocessor_config.json")
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        size = said.get("size") or {}
        if isinstance(size, int):
            size = {"shortest_edge": size}
        shortest = size.get("shortest_edge") or found.entry.input or _SIDE
        height, width = int(size.get("height") or shortest), int(size.get("width") or shortest)
        kind = said.get("image_processor_type") or said.get("feature_extractor_type") or ""
        zoe = kind.startswith("ZoeDepth")
        family = config.model_type
        patches = [getattr(config, "patch_size", None), getattr(getattr(config, "backbone_config", None), "patch_size", None)]
        multiples = [said.get("ensure_multiple_of"), said.get("size_divisor"), *patches]
        whole = [int(each) for each in multiples if isinstance(each, int | float) and each >= 1]
        normalise = said.get("do_normalize", kind.startswith(_NORMALISING) or said.get("image_mean") is not None)
        # transformers' defaults for depth models (IMAGENET_STANDARD)
        mean = said.get("image_mean") or (0.5, 0.5, 0.5) if normalise else (0.0, 0.0, 0.0)
        std = said.get("image_std") or (0.5, 0.5, 0.5) if normalise else (1.0, 1.0, 1.0)
        return Preparation(
            height=height,
            width=width,
            multiple=math.lcm(*whole) if whole else _MULTIPLE,
            factor=float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0,
            mean=_per_channel(mean),
            std=_per_channel(std),
            resample=_BILINEAR if said.get("resample", _BILINEAR if zoe else _BICUBIC) == _BILINEAR else _BICUBIC,
            # DepthPro can cut up only one size; DPT's own (or the hybrid) vision transformer folds its tokens into a square.
            fixed=family == "depth_pro"
            or (family == "dpt" and (getattr(config, "backbone_config", None) is None or config.is_hybrid)),
            margin=bool(said.get("do_pad", zoe)) and zoe,
            averaged=not kind.startswith("DepthPro"),
            finer=family in _FINER_FAMILIES,
        )
    except (OSError, ValueError, TypeError, AttributeError) as reason:
        raise found.corrupt(f"preprocessor_config.json of {found.name} cannot be used.", reason) from reason


def input_size(height: int, width: int, preparation: Preparation) -> tuple[int, int]:
    """The network's input size for a picture: scaled as little as possible to the trained height or width, with proportions kept.

    Args:
        height: of the picture.
        width: of the picture.
        preparation: of the model.

    Returns:
        (height, width), each at least `multiple` and at most about three times the longer trained side.
    """
    if preparation.fixed:
        return preparation.height, preparation.width
    tall, wide = preparation.height / height, preparation.width / width
    scale = wide if abs(1 - wide) < abs(1 - tall) else tall
    scale = min(scale, _LONGEST * max(preparation.height, preparation.width) / max(height, width))
    patch = preparation.multiple
    return max(1, round(scale * height / patch)) * patch, max(1, round(scale * width / patch)) * patch


def prepare(rgb: NDArray[np.uint8], preparation: Preparation) -> tuple[NDArray[np.float32], tuple[int, int, int, int]]:
    """Turn a picture into the network's input.

    Args:
        rgb: uint8 (H, W, 3).
        preparation: of the model.

    Returns:
        float32 (1, 3, h, w), and the margin to cut off the output: top, bottom, left, right.
    """
    if preparation.margin:
        values, margin = _with_margin(rgb, preparation)
    else:
        height, width = input_size(rgb.shape[0], rgb.shape[1], preparation)
        values, margin = _resized(rgb, (width, height), preparation), (0, 0, 0, 0)
    values *= np.float32(preparation.factor)
    values -= np.asarray(preparation.mean, np.float32)
    values /= np.asarray(preparation.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None]), margin


def prompt_of(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn measured distances, float32 (h, w) in metres, into a network's prompt, float32 (1, 1, h, w).

    The network stretches the distances to 0…1. This fails if all distances are equal, as for a flat wall, so one pixel is then
    changed a little.
    """
    prompt = distance.astype(np.float32, copy=True)
    if prompt.min() == prompt.max():
        prompt[0, 0] *= np.float32(1 + _APART)
    return prompt[None, None]


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int], preparation: Preparation) -> NDArray[np.float32]:
    """The picture at another width and height, float32, in levels."""
    if preparation.averaged:
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling(preparation.resample))).astype(np.float32)
    way = cv2.INTER_LINEAR if preparation.resample == _BILINEAR else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb.astype(np.float32), size, interpolation=way), np.float32)


def _with_margin(rgb: NDArray[np.uint8], preparation: Preparation) -> tuple[NDArray[np.float32], tuple[int, int, int, int]]:
    """ZoeDepth's input: add 3·√(side/2) pixels of margin (Bhat et al. 2023, reference code), resample with aligned corners."""
    sides = rgb.shape[:2]
    pads = [int(3 * math.sqrt(side / 2)) for side in sides]
    full = [side + 2 * pad for side, pad in zip(sides, pads, strict=True)]
    size = input_size(full[0], full[1], preparation)
    values: NDArray[Any] = rgb
    for axis, (side, pad, whole, wanted) in enumerate(zip(sides, pads, full, size, strict=True)):
        at = np.linspace(0, whole - 1, wanted) if wanted > 1 else np.zeros(1)
        low = np.minimum(at.astype(np.int64), whole - 1)
        share = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        near, far = (_mirrored(each - pad, side) for each in (low, np.minimum(low + 1, whole - 1)))
        first, second = (np.take(values, each, axis=axis).astype(np.float32) for each in (near, far))
        values = first + (second - first) * share
    cut = [round(wanted * pad / whole) for wanted, pad, whole in zip(size, pads, full, strict=True)]
    return values, (cut[0], cut[0], cut[1], cut[1])


def _mirrored(at: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Convert positions that may lie outside of a side to positions in it, by mirroring at its first and last pixel."""
    period = max(1, 2 * (side - 1))
    inside = np.abs(at) % period
    return np.minimum(inside, period - inside) if side > 1 else np.zeros_like(at)


def _per_channel(numbers: Any) -> tuple[float, float, float]:  # noqa: ANN401  JSON
    red, green, blue = (float(each) for each in numbers)
    return red, green, blue
