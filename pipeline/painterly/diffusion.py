"""Paints by diffusion: Stable Diffusion 1.5, image to image (Meng et al., "SDEdit", 2022), from a local folder of safetensors.

If the LCM-LoRA (Luo et al., 2023) or a tiny autoencoder is also installed, paintings on the CPU use it, because it makes them
fast. On a graphics processor the full model takes seconds and is always used. The manifest names the models that were used.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import psutil

from daemon.catalogues.styles import DiffusionStyle
from daemon.contract.commands import RETRY
from daemon.contract.manifest import Precision
from daemon.contract.messages import JobCommand
from daemon.errors import Internal, WeightsMissing
from pipeline import devices, weights
from pipeline.devices import Device
from pipeline.image.filters import resize
from pipeline.painterly import loading
from pipeline.painterly.enlarge import enlarge
from pipeline.painterly.sampling import LOADED, Inputs, Rgb, first_usable

_MULTIPLE = 8  # the factor by which the autoencoder reduces
_LEAST_SIDE = 64  # the network halves four times and must have something left
_LONGER_SIDE = ((24 << 30, 1024), (10 << 30, 768), (0, 512))  # by bytes of memory; single precision at 1024 takes about 12 GB
_TRAINED_SIDE = 512  # of the pictures the model was trained with; below it compositions fall apart
_CPU_SIDE = 768  # a larger picture takes a CPU a quarter of an hour
_TRAINED_STEPS = 1000  # a schedule cannot have more steps than the model was trained with
FEW_STEPS, FEW_GUIDANCE = 6, 1.0  # of the LCM-LoRA, after its authors: 2 to 8 steps; at 1 each step is one pass instead of two


@dataclass(frozen=True, eq=False)
class Result:
    """A painting and what made it.

    Attributes:
        rgb: uint8 (H, W, 3), as large as the photo.
        model: repositories; those of refinements follow after a plus sign.
        revision: their revisions, in the same form.
        steps: passes that were really made.
        device: cpu, cuda or mps.
        precision: of the arithmetic; float32 even if the stored weights are half as wide.
        warnings: sentences for people.
    """

    rgb: Rgb
    model: str
    revision: str
    steps: int
    device: str
    precision: Precision
    warnings: tuple[str, ...] = ()


def paint(rgb: Rgb, style: DiffusionStyle, job: JobCommand, progress: Callable[[float], None] = lambda _: None) -> Result:
    """Paint a photo with the first installed diffusion model.

    Args:
        rgb: uint8 (H, W, 3).
        style: prompt, negative prompt, guidance and steps.
        job: its spec's strength (above 0) and seed; the models folder; the device.
        progress: called with the fraction that is done, 0 to 1, after every step.

    Returns:
        The painting at the photo's size, with the photo's edges.

    Raises:
        WeightsMissing: no diffusion model is installed; the message names the command.
        WeightsCorrupt: the weights are damaged, or belong to another kind of model.
        DeviceUnavailable: the requested device is missing; for auto: the machine has a graphics processor that cannot be used.
        ModelFailed: the model painted only black or NaN, even in single precision; or its own safety checker withheld the
            picture.
    """
    tried = candidates(job.device)
    device = tried[0][0]
    parts = find_parts(job.models, fast=device == "cpu", style=style.lora, listed=weights.catalogue(*job.model_lists))
    progress(LOADED / 2)
    if parts.lora is not None:
        style = style.model_copy(update={"steps": FEW_STEPS, "guidance": FEW_GUIDANCE})
    asked, share, steps = schedule(style.steps, job.spec.strength)
    small = resize(rgb, working_shape(rgb.shape[:2], device, memory_of(device, job.memory)), cv2.INTER_AREA)
    inputs = Inputs(small, style, asked, share, steps, job.spec.seed)
    painting, precision, warnings = first_usable(parts, tried, inputs, progress)
    full = enlarge(painting, rgb)
    progress(1.0)
    return Result(
        full,
        " + ".join(found.entry.repo or found.name for found in parts.all()),
        " + ".join(found.revision for found in parts.all()),
        steps,
        device,
        precision,
        warnings,
    )


def find_parts(
    models: str,
    *,
    fast: bool,
    style: str | None = None,
    inpainting: bool = False,
    listed: weights.Catalogue | None = None,
) -> loading.Parts:
    """Find the first installed pipeline, the style's LoRA and, if `fast`, the installed refinements.

    For `inpainting`, a pipeline that was trained for it comes before any other.

    Raises:
        WeightsMissing: no pipeline is installed, or the style's LoRA is not; the message names what is missing and the command
            that fetches it.
        WeightsCorrupt: as for `weights.locate`.
        Internal: the style names something that is not a style LoRA.
    """
    listed = listed or weights.catalogue()
    by_part: dict[str, list[str]] = {"pipeline": [], "inpainting": [], "lora": [], "vae": [], "style": []}
    for name, entry in listed.models.items():
        if entry.part is not None:
            by_part[entry.part].append(name)
    if style is not None and style not in listed.models:
        raise WeightsMissing(
            f"The style's lora, {style}, is not in the list of models.",
            hint=f"Add it to your models.yaml, or correct the style, then: {RETRY}.",
        )
    if style is not None and style not in by_part["style"]:
        raise Internal(
            f"The style's lora, {style}, is not the LoRA of a style.",
            hint=f"Correct the style, or the part of the model in the list of models, then: {RETRY}.",
        )

    def first_installed(part: str) -> weights.Weights | None:
        name = next((name for name in by_part[part] if weights.installed(name, models, listed)), None)
        return weights.locate(name, models, listed) if name else None

    kinds = ("inpainting", "pipeline") if inpainting and by_part["inpainting"] else ("pipeline",)
    return loading.Parts(
        pipeline=next(filter(None, map(first_installed, kinds)), None) or weights.locate(by_part[kinds[0]][0], models, listed),
        style=weights.locate(style, models, listed) if style else None,
        lora=first_installed("lora") if fast else None,
        vae=first_installed("vae") if fast else None,
    )


def schedule(steps: int, strength: float) -> tuple[int, float, int]:
    """The arguments that make diffusers run `steps` passes: if asked for n steps, diffusers runs int(n · strength) of them.

    Args:
        steps: the passes to make.
        strength: above 0, up to 1.

    Returns:
        The steps to ask for, the strength to ask for, and the passes that are then made. There are fewer passes than `steps` only
        if the strength is so small that the model's schedule has no more.
    """
    strength = max(strength, 1.0 / _TRAINED_STEPS)
    asked = math.ceil(steps / strength)
    while int(asked * strength) < steps:  # because of rounding
        asked += 1
    asked = min(asked, _TRAINED_STEPS)
    made = max(1, int(asked * strength))
    return asked, max(strength, made / asked), made


def working_shape(shape: tuple[int, ...], device: str, memory: int) -> tuple[int, int]:
    """Height and width to work at: the photo's aspect, multiples of 8, the longer side 512 to 1024 depending on the memory.

    Args:
        shape: (H, W) of the photo.
        device: cpu, mps or cuda.
        memory: see `memory_of`.
    """
    longer = next(side for least, side in _LONGER_SIDE if memory >= least)
    if device == "cpu":
        longer = min(longer, _CPU_SIDE)
    longer = min(longer, max(_TRAINED_SIDE, *shape[:2]))  # a small photo has no more detail
    scale = longer / max(shape[:2])
    height, width = (max(_LEAST_SIDE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in shape[:2])
    return height, width


def memory_of(device: str, allowed: int | None) -> int:
    """The memory of a device in bytes. Free bytes are not considered, so that a photo always gives the same result.

    Args:
        device: cpu, mps or cuda. A graphics card of CUDA has memory of its own.
        allowed: bytes of the machine's memory that its programs may use; None: all.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total) if allowed is None else allowed


def candidates(device: Device) -> tuple[tuple[str, Precision], ...]:
    """Devices and precisions in order of preference: half precision first if the device computes in it, then single.

    Raises:
        DeviceUnavailable: the requested device, or an existing graphics processor, cannot be used.
    """
    chosen = devices.choose(device)
    if chosen != "cpu":
        return (chosen, "float16"), (chosen, "float32")
    from pipeline.painterly.upcast import computes_in_bfloat16  # imports torch

    return (("cpu", "bfloat16"), ("cpu", "float32")) if computes_in_bfloat16() else (("cpu", "float32"),)
