"""Computes soft borders between layers with a matting model: ViTMatte (Yao et al., 2023), from a local folder.

The model sees the picture at full size, in tiles along the borders. A trimap tells it what is certainly in front, what is
certainly behind, and which band between them is unknown. It decides only the alpha of that band. torch and transformers are
imported only when the model is used.
"""

import json
import os
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Network
from daemon.contract.messages import JobCommand
from daemon.errors import ModelFailed
from pipeline import devices, weights
from pipeline.weights import Weights
from pipeline.weights.network import load, quiet

TILE = 512
"""Side of a tile in pixels, as in training. A tile takes 3.4 s on one core. The time for attention grows as the area squared."""
MARGIN = 64
"""Pixels along each edge of a tile that only give the model context; their alpha is not used."""
UNKNOWN = 128
"""The trimap's value where the model decides alpha; 0 is behind, 255 is in front."""


@dataclass(frozen=True)
class _Preparation:
    """How a picture becomes the network's input.

    Attributes:
        factor: every value is multiplied by it.
        mean: this is then subtracted, one number for each colour channel.
        std: the result is then divided by this, one number for each colour channel.
        multiple: pixels; both sides are padded to a multiple of it.
    """

    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple: int


class Matte:
    """Computes the alpha of bands with a matting network. The first call loads the network.

    Args:
        found: checked weights of a matting model.
        device: where to run.

    Attributes:
        used: what goes into the manifest.
    """

    def __init__(self, found: Weights, device: devices.DeviceName) -> None:
        self._found, self._device = found, device
        self._lock = threading.Lock()
        self._network: Any = None
        self._preparation = _read_preparation(found)
        self.used = Network(
            model=found.entry.repo or found.name, revision=found.revision, licence=found.entry.licence, device=device
        )

    def __call__(self, rgb: NDArray[np.uint8], front: NDArray[np.uint8], index: NDArray[np.intp]) -> NDArray[np.float32]:
        """The band's alpha, 0 to 1. `pipeline.layers.matte.AlphaEstimator` describes the arguments.

        Raises:
            WeightsCorrupt: the folder cannot be loaded as a matting model.
            ModelFailed: the network returned values that are not finite.
        """
        with self._lock:
            if self._network is None:
                from transformers import VitMatteForImageMatting

                self._network = load(self._found, VitMatteForImageMatting, "a matting model").to(self._device)
            unknown = np.zeros(front.shape, bool)
            unknown.reshape(-1)[index] = True
            trimap = np.where(unknown, np.uint8(UNKNOWN), front)
            alpha = np.zeros(front.shape, np.float32)
            for window, inner in tiles(unknown):
                seen = self._alpha(rgb[window], trimap[window])
                alpha[inner] = seen[tuple(_within(one, whole) for one, whole in zip(inner, window, strict=True))]
            return alpha.reshape(-1)[index]

    def _alpha(self, rgb: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        given = torch.from_numpy(prepare(rgb, trimap, self._preparation)).to(self._device)
        with torch.inference_mode(), quiet():
            alphas: NDArray[np.float32] = self._network(pixel_values=given).alphas[0, 0].float().cpu().numpy()
        if not np.isfinite(alphas).all():
            raise ModelFailed(f"The matting model {self._found.name} returned values that are not numbers.")
        return alphas[: trimap.shape[0], : trimap.shape[1]]


def asked_for(job: JobCommand) -> Matte | None:
    """The first installed matting model in the list; None if the job does not ask for one.

    Raises:
        WeightsMissing: none is installed; the message names the command that fetches one.
        WeightsCorrupt: as for `weights.locate`.
        DeviceUnavailable: as for `devices.choose`.
    """
    if job.spec.matting != "model":
        return None
    listed = weights.catalogue(*job.model_lists)
    names = listed.matting_models()
    name = next((name for name in names if weights.installed(name, job.models, listed)), None)
    if name is None:
        name = names[0] if names else "vitmatte-small"
    return Matte(weights.locate(name, job.models, listed), devices.choose(job.device))


def tiles(unknown: NDArray[np.bool_]) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """The tiles of a picture that contain unknown pixels.

    Args:
        unknown: bool (H, W); True where the model decides alpha.

    Returns:
        Two windows for each tile: what the model sees, and the inner part whose alpha is used.
    """
    step = TILE - 2 * MARGIN
    found = []
    for top in range(0, unknown.shape[0], step):
        for left in range(0, unknown.shape[1], step):
            inner = slice(top, min(top + step, unknown.shape[0])), slice(left, min(left + step, unknown.shape[1]))
            if unknown[inner].any():
                window = tuple(_window(one, side) for one, side in zip(inner, unknown.shape, strict=True))
                found.append(((window[0], window[1]), inner))
    return found


def prepare(rgb: NDArray[np.uint8], trimap: NDArray[np.uint8], preparation: _Preparation) -> NDArray[np.float32]:
    """Turn a picture and its trimap into the network's input, as transformers' image processor does.

    Args:
        rgb: uint8 (h, w, 3).
        trimap: uint8 (h, w).
        preparation: how.

    Returns:
        float32 (1, 4, h', w'): colours and trimap, padded with zeros on the right and at the bottom.
    """
    colour = rgb.astype(np.float32)
    colour *= np.float32(preparation.factor)
    colour -= np.asarray(preparation.mean, np.float32)
    colour /= np.asarray(preparation.std, np.float32)
    planes = np.concatenate([colour.transpose(2, 0, 1), trimap[None].astype(np.float32) * np.float32(preparation.factor)])
    more = [(0, -side % preparation.multiple) for side in trimap.shape]
    return np.ascontiguousarray(np.pad(planes, [(0, 0), *more])[None])


def _window(inner: slice, side: int) -> slice:
    """The range of a tile around `inner`, shifted to lie within `side`; the whole side if it is shorter than a tile."""
    start = max(0, min(inner.start - MARGIN, side - TILE))
    return slice(start, min(start + TILE, side))


def _within(inner: slice, window: slice) -> slice:
    return slice(inner.start - window.start, inner.stop - window.start)


def _read_preparation(found: Weights) -> _Preparation:
    """Read from the model's folder how its input is prepared.

    Raises:
        WeightsCorrupt: preprocessor_config.json is missing or not valid.
    """
    try:
        with open(os.path.join(found.folder, "preprocessor_config.json"), encoding="utf-8") as file:
            said = json.load(file)
        mean, std = (tuple(float(each) for each in said.get(name) or (0.5, 0.5, 0.5)) for name in ("image_mean", "image_std"))
        multiple = int(said.get("size_divisor") or said.get("size_divisibility") or 32)
        return _Preparation(float(said.get("rescale_factor", 1 / 255)), mean, std, multiple)
    except (OSError, ValueError, TypeError, AttributeError) as reason:
        raise found.corrupt(f"preprocessor_config.json of {found.name} cannot be used.", reason) from reason
