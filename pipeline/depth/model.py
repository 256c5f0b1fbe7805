"""Estimates depth with a model of any depth estimation family that transformers supports, loaded from a local folder.

The picture is prepared here, as the folder's preprocessor_config.json says, and `predicted_depth` is used directly: the
library's own image processors are slow to load, and its pipeline gives only 8 bits. torch and transformers are imported only
when a model is really used. The caller sets the number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.spec import DepthQuality
from daemon.errors import ModelFailed
from pipeline import devices
from pipeline.depth import tiled_averaging
from pipeline.depth.depth_map import DepthMap, inverse, normalised, stretched
from pipeline.depth.preparation import Preparation, prepare, prompt_of, read_preparation
from pipeline.devices import Device
from pipeline.layers.distances import Distances
from pipeline.weights import Polarity, Weights
from pipeline.weights.network import load, quiet

_CLIPPED = 0.001  # values outside this quantile are single pixels at edges or in the sky; they must not set the scale
_PROBE_SIDE = 126  # side of the low-resolution picture on which two devices are compared
_AGREEMENT = (
    0.02  # allowed mean difference between devices, in disparity 0…1; half-precision noise is below 0.005, faults are far above
)
_FIRST_RESIDUAL = frozenset(
    f"neck.fusion_stage.layers.0.residual_layer1.convolution{layer}.{part}" for layer in (1, 2) for part in ("weight", "bias")
)
#: Parts of a family's network that are never used, so weights may lack them: the first fusion layer gets one feature map where
#: the others get two, and skips its first residual unit. Intel/dpt-large is published without them.
_NEVER_USED = dict.fromkeys(("dpt", "depth_anything", "prompt_depth_anything", "zoedepth"), _FIRST_RESIDUAL)
#: What a family's raw numbers mean, if it differs from what its authors publish: DepthPro is described as giving distances, but
#: only the library's processor computes these, from the network's inverse depth.
_RAW: dict[str, Polarity] = {"depth_pro": "disparity"}
#: Families that return metres. Depth Anything returns them if `depth_estimation_type` says so. DepthPro's numbers are in
#: proportion to 1/distance, and only its processor, which knows the lens, makes metres of them.
_METRIC = ("glpn", "zoedepth", "prompt_depth_anything")


def read(
    rgb: NDArray[np.uint8],
    found: Weights,
    *,
    device: Device = "auto",
    quality: DepthQuality = "fast",
    prompt: NDArray[np.float32] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> DepthMap:
    """Estimate the depth of a picture.

    Args:
        rgb: uint8 (H, W, 3), upright.
        found: checked weights of a depth model; its entry says what larger values mean.
        device: where to run; auto tries CUDA, then MPS, then the CPU. CUDA and MPS are used in half precision only if the result
            agrees with the CPU's on a small version of the picture. If not, single precision is tried, and then the CPU is used.
        quality: fast makes one pass. best is `tiled_averaging.estimate`: up to six passes, each with a larger input if the
            network allows that (`Preparation.finest`).
        prompt: float32 (h', w'), measured distances in metres, for a model that makes them finer. Such a model makes one pass,
            whatever the quality. None for any other model.
        progress: called with the fraction that is done, 0 to 1.

    Returns:
        Disparity at the network's resolution, or finer if tiles were used.

    Raises:
        WeightsCorrupt: the folder cannot be loaded as a depth model.
        DeviceUnavailable: the requested device is missing; for auto: the machine has a graphics processor that cannot be used.
        ModelFailed: as for `to_disparity`.
    """
    import torch

    candidates = _candidates(device)
    network = _load(found)
    progress(0.4)
    preparation = read_preparation(found, network.config)
    polarity = _RAW.get(network.config.model_type, found.entry.polarity)
    if polarity is None:
        raise found.corrupt(f"{found.name} is not listed as a depth model.")
    settled, dtype, remarks = choose_device(network, rgb, preparation, candidates, polarity, prompt)
    progress(0.5)
    network.to(device=settled, dtype=getattr(torch, dtype))

    def predict(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _run(network, picture, preparation, prompt)

    if prompt is not None:
        quality = "fast"
    if quality == "best":
        preparation = preparation.finest()
        least = preparation.short_side
        raw = tiled_averaging.estimate(rgb, predict, least, progress=lambda done: progress(0.5 + 0.5 * done))
    else:
        raw = predict(rgb)
    disparity, valid = to_disparity(raw, polarity, found.name)
    share = float(valid.mean())
    values, far, near = stretched(disparity, valid, outliers=_CLIPPED)
    return DepthMap(
        values=values,
        valid=None if share == 1.0 else valid,
        provenance=Depth(
            source="model",
            model=found.entry.repo or found.name,
            revision=found.revision,
            licence=found.entry.licence,
            device=settled,
            quality=quality,
            prompt=None if prompt is None else "photo",
            polarity=polarity,
            valid=share,
        ),
        warnings=remarks,
        distances=_distances(network.config, polarity, far, near),
    )


def _distances(config: Any, polarity: Polarity, far: float, near: float) -> Distances | None:  # noqa: ANN401
    """What the network's disparities `far` and `near`, which became 0 and 1, mean in space."""
    family = config.model_type
    if near <= max(far, 0.0) or (polarity == "disparity" and family not in _RAW):
        return None  # such a network's disparity has no zero
    in_metres = family in _METRIC or getattr(config, "depth_estimation_type", "relative") == "metric"
    return Distances(far, near, in_metres=in_metres and family not in _RAW)


def to_disparity(raw: NDArray[np.float32], polarity: Polarity, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Convert a network's numbers to disparity.

    Args:
        raw: float32 (h, w).
        polarity: what larger values mean. Distances that are not positive count as not measured.
        name: of the model, for the error.

    Returns:
        Disparity (h, w), and bool (h, w), True where the disparity is usable.

    Raises:
        ModelFailed: there are NaN or infinite numbers, all numbers are the same, or no distance is positive.
    """
    if not np.isfinite(raw).all():
        raise ModelFailed(f"The depth model {name} returned values that are not numbers.")
    if float(raw.max()) == float(raw.min()):
        raise ModelFailed(f"The depth model {name} returned the same depth everywhere.")
    if polarity == "disparity":
        return raw, np.ones(raw.shape, bool)
    valid = raw > 0
    if not valid.any():
        raise ModelFailed(f"The depth model {name} returned no positive distance.")
    return inverse(raw, valid), valid


def choose_device(
    network: Any,  # noqa: ANN401
    rgb: NDArray[np.uint8],
    preparation: Preparation,
    candidates: tuple[tuple[str, str], ...],
    polarity: Polarity,
    prompt: NDArray[np.float32] | None = None,
) -> tuple[str, str, tuple[str, ...]]:
    """Choose the first device and precision whose result agrees with the CPU's on a small version of the picture.

    Args:
        network: on the CPU, in float32.
        rgb: the picture.
        preparation: of the model.
        candidates: (device, dtype) in order of preference; the CPU in float32 is always the last resort.
        polarity: of the model.
        prompt: as for `read`.

    Returns:
        Device, dtype, and a warning if none of the candidates could be used.
    """
    import torch

    if not candidates:
        return "cpu", "float32", ()
    small = preparation.smaller(_PROBE_SIDE)
    truth = normalised(*to_disparity(_run(network, rgb, small, prompt), polarity, "on the CPU"), outliers=_CLIPPED)
    for device, dtype in candidates:
        try:
            raw = _run(network.to(device=device, dtype=getattr(torch, dtype)), rgb, small, prompt)
            trial = normalised(*to_disparity(raw, polarity, f"on {device}"), outliers=_CLIPPED)
        except (RuntimeError, NotImplementedError, ModelFailed):
            continue
        finally:
            network.to(device="cpu", dtype=torch.float32)
        if float(np.abs(trial - truth).mean()) <= _AGREEMENT:
            return device, dtype, ()
    return "cpu", "float32", (f"The depth model ran on the CPU: {candidates[0][0]} gave different results or none.",)


def _candidates(device: Device) -> tuple[tuple[str, str], ...]:
    """The chosen device, first in half and then in single precision; empty if the CPU was chosen.

    Raises:
        DeviceUnavailable: the requested device, or an existing graphics processor, cannot be used.
    """
    chosen = devices.choose(device)
    return () if chosen == "cpu" else ((chosen, "float16"), (chosen, "float32"))


def _load(found: Weights) -> Any:  # noqa: ANN401
    from transformers import AutoModelForDepthEstimation

    def never_used(family: str, part: str) -> bool:
        return part in _NEVER_USED.get(family, ())

    return load(found, AutoModelForDepthEstimation, "a depth model", never_used)


def _run(
    network: Any,  # noqa: ANN401
    rgb: NDArray[np.uint8],
    preparation: Preparation,
    prompt: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """`predicted_depth` as float32 (h, w), without the margin."""
    import torch

    tensor, (top, bottom, left, right) = prepare(rgb, preparation)
    parameter = next(network.parameters())
    with torch.inference_mode(), quiet():
        given = torch.from_numpy(tensor).to(device=parameter.device, dtype=parameter.dtype)
        more = {} if prompt is None else {"prompt_depth": torch.from_numpy(prompt_of(prompt)).to(given)}
        predicted: torch.Tensor = network(pixel_values=given, **more).predicted_depth
        full = (given.shape[2], given.shape[3])
        plane = predicted.float().reshape(1, 1, *predicted.shape[-2:])
        if tuple(plane.shape[2:]) != full:  # some families return half their input's size
            plane = torch.nn.functional.interpolate(plane, size=full, mode="bilinear", align_corners=False)
        whole: NDArray[np.float32] = plane[0, 0].cpu().numpy()
    return np.ascontiguousarray(whole[top : whole.shape[0] - bottom, left : whole.shape[1] - right])
