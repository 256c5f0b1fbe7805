"""How a picture becomes the input of a depth network: size, range and margin, by what the model's folder says.

The library's own image processors need torchvision; this needs OpenCV and numpy.
"""

import json
import math
import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.weights import Weights

_LONGEST = 3  # longer side at most so many times the network's shorter one: beyond it attention's memory grows without use
_MULTIPLE = 32  # divides the input of every convolutional family; transformers name theirs
_SHORT_SIDE = 384  # what most families were trained with, for a folder and a catalogue that name none


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes the network's input.

    Attributes:
        short_side: of the input, in pixels.
        multiple: both sides are multiples of it.
        factor: the samples 0…255 are multiplied by it,
        mean: then this is subtracted, per channel,
        std: then divided by this, per channel.
        square: whether the network takes nothing but a square, so that proportions cannot be kept.
        margin: whether a mirrored margin is laid around the picture, for families whose output is wrong at the border.
    """

    short_side: int
    multiple: int
    factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    square: bool = False
    margin: bool = False


def read_preparation(found: Weights, config: Any) -> Preparation:  # noqa: ANN401  transformers' configurations have no common type
    """What the folder says about its input.

    Args:
        found: the weights; their entry's `input` counts where the folder names no size.
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
        sides = [size[key] for key in ("height", "width", "shortest_edge") if size.get(key)]
        patches = [getattr(config, "patch_size", None), getattr(getattr(config, "backbone_config", None), "patch_size", None)]
        multiples = [said.get("ensure_multiple_of"), said.get("size_divisor"), *patches]
        whole = [int(each) for each in multiples if isinstance(each, int | float) and each >= 1]
        normalise = said.get("do_normalize", said.get("image_mean") is not None)
        # transformers' defaults for depth models (IMAGENET_STANDARD)
        mean = said.get("image_mean") or (0.5, 0.5, 0.5) if normalise else (0.0, 0.0, 0.0)
        std = said.get("image_std") or (0.5, 0.5, 0.5) if normalise else (1.0, 1.0, 1.0)
        return Preparation(
            short_side=int(min(sides)) if sides else found.entry.input or _SHORT_SIDE,
            multiple=math.lcm(*whole) if whole else _MULTIPLE,
            factor=float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0,
            mean=_per_channel(mean),
            std=_per_channel(std),
            # DPT with its own (or the hybrid) vision transformer folds its tokens into a square, whatever came in.
            square=config.model_type == "dpt" and (getattr(config, "backbone_config", None) is None or config.is_hybrid),
            margin=bool(said.get("do_pad")) and said.get("image_processor_type", "").startswith("ZoeDepth"),
        )
    except (OSError, ValueError, TypeError, AttributeError) as reason:
        raise found.corrupt(f"preprocessor_config.json of {found.name} cannot be used.", reason) from reason


def input_size(height: int, width: int, preparation: Preparation) -> tuple[int, int]:
    """The network's input for a picture: shorter side as trained, proportions kept, sides multiples of the patch.

    Args:
        height: of the picture.
        width: of the picture.
        preparation: of the model.

    Returns:
        (height, width), each at least one multiple and at most about three times the short side.
    """
    if preparation.square:
        return preparation.short_side, preparation.short_side
    scale = min(preparation.short_side / min(height, width), _LONGEST * preparation.short_side / max(height, width))
    patch = preparation.multiple
    return max(1, round(height * scale / patch)) * patch, max(1, round(width * scale / patch)) * patch


def prepare(rgb: NDArray[np.uint8], preparation: Preparation) -> tuple[NDArray[np.float32], tuple[int, int, int, int]]:
    """A picture as the network's input.

    Resized with pixel centres aligned, area-averaged when it shrinks, so that fine texture does not turn into false edges.

    Args:
        rgb: uint8 (H, W, 3).
        preparation: of the model.

    Returns:
        float32 (1, 3, h, w), and the margin that has to be cut off the answer: top, bottom, left, right.
    """
    height, width = input_size(rgb.shape[0], rgb.shape[1], preparation)
    shrinks = height * width < rgb.shape[0] * rgb.shape[1]
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    margin = (0, 0, 0, 0)
    if preparation.margin:
        margin = (*_margin(height, preparation.multiple), *_margin(width, preparation.multiple))
        resized = cv2.copyMakeBorder(resized, *margin, cv2.BORDER_REFLECT)
    values = resized.astype(np.float32) * np.float32(preparation.factor)
    values -= np.asarray(preparation.mean, np.float32)
    values /= np.asarray(preparation.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None]), margin


def _margin(side: int, multiple: int) -> tuple[int, int]:
    """ZoeDepth's margin of 3·√(side/2) on either side (Bhat et al. 2023, reference code), rounded up to the patch."""
    wanted = int(3 * math.sqrt(side / 2))
    total = math.ceil((side + 2 * wanted) / multiple) * multiple - side
    return total // 2, total - total // 2


def _per_channel(numbers: Any) -> tuple[float, float, float]:  # noqa: ANN401  JSON
    red, green, blue = (float(each) for each in numbers)
    return red, green, blue
