"""Runs a diffusion pipeline: tries one precision after another until the result is a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.catalogues.styles import DiffusionStyle
from daemon.contract.commands import RETRY
from daemon.contract.manifest import Precision
from daemon.errors import ModelFailed
from pipeline.painterly import loading

Rgb = NDArray[np.uint8]

LOADED = 0.1
"""Loading takes this fraction of the whole time, for 24 steps on a CPU."""
STEPPED = 0.93
"""The last step ends after this fraction of the whole time."""
_BLACK = 3 / 255
_OTHER_DEVICE = f"Try another seed; if it keeps failing, set device: cpu in the settings, then: {RETRY}."


@dataclass(frozen=True, eq=False)
class Inputs:
    """The arguments for a pipeline.

    Attributes:
        rgb: uint8 (h, w, 3), the picture at the working size.
        style: prompts and guidance.
        asked: the steps to ask diffusers for.
        strength: the strength to ask for.
        steps: the passes that are then made (`diffusion.schedule`).
        seed: of the noise.
        mask: bool (h, w); only what is set is painted. None paints everything.
    """

    rgb: Rgb
    style: DiffusionStyle
    asked: int
    strength: float
    steps: int
    seed: int
    mask: NDArray[np.bool_] | None = None


def first_usable(
    parts: loading.Parts, candidates: tuple[tuple[str, Precision], ...], inputs: Inputs, progress: Callable[[float], None]
) -> tuple[Rgb, Precision, tuple[str, ...]]:
    """Paint with the first device and precision that give a picture.

    Returns:
        The painting at the working size, uint8 (h, w, 3); its precision; warnings.

    Raises:
        ModelFailed: none gives a picture, the safety checker withheld it, or the model did not make the planned number of steps.
        WeightsCorrupt: as for `loading.load`.
    """
    for device, dtype in candidates:
        pipeline = loading.load(parts, device=device, dtype=dtype, steps=inputs.asked, inpainting=inputs.mask is not None)
        progress(LOADED)
        warnings = _cut_short(pipeline, inputs.style)
        painting = _run(pipeline, inputs, progress)
        if _is_picture(painting, inputs.rgb):
            if dtype != candidates[0][1]:
                warnings = (*warnings, f"The painting was made in {dtype}: {candidates[0][1]} gave none on {device}.")
            return np.rint(painting.clip(0.0, 1.0) * 255.0).astype(np.uint8), dtype, warnings
        del pipeline
    names = " + ".join(found.name for found in parts.all())
    if not np.isfinite(painting).all():
        raise ModelFailed(
            f"The diffusion model {names} returned values that are not numbers.",
            hint=_OTHER_DEVICE if device != "cpu" else f"Its weights are wrong: fetch it again, then: {RETRY}.",
        )
    raise ModelFailed(
        f"The diffusion model {names} painted only black.",
        hint=_OTHER_DEVICE if device != "cpu" else "Try another seed; if it stays black, fetch the model again.",
    )


def _run(pipeline: Any, inputs: Inputs, progress: Callable[[float], None]) -> NDArray[np.float32]:  # noqa: ANN401
    """One picture, float32 (h, w, 3), 0 to 1 or NaN."""
    import torch
    from PIL import Image

    made = 0

    def stepped(_: object, step: int, __: object, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal made
        made = step + 1
        progress(LOADED + (STEPPED - LOADED) * min(made / inputs.steps, 1.0))
        return tensors

    # The seed's noise always comes from the CPU, wherever the model runs, so that a seed means the same everywhere.
    generator = torch.Generator("cpu").manual_seed(inputs.seed)
    masked: dict[str, Any] = {}
    if inputs.mask is not None:
        mask = Image.fromarray(inputs.mask.view(np.uint8) * np.uint8(255))
        masked = {"mask_image": mask, "height": inputs.rgb.shape[0], "width": inputs.rgb.shape[1]}
    with torch.inference_mode(), loading.quiet():
        output = pipeline(
            prompt=inputs.style.prompt,
            negative_prompt=inputs.style.negative_prompt,
            image=Image.fromarray(inputs.rgb),
            strength=inputs.strength,
            num_inference_steps=inputs.asked,
            guidance_scale=inputs.style.guidance,
            generator=generator,
            output_type="np",
            callback_on_step_end=stepped,
            **masked,
        )
    if any(output.nsfw_content_detected or ()):
        raise ModelFailed(
            "The model's own safety checker withheld the painting.",
            hint=f"Try another seed, a smaller strength or another style, then: {RETRY}.",
        )
    if made != inputs.steps:
        raise ModelFailed(f"The diffusion model made {made} steps instead of {inputs.steps}.")
    return np.asarray(output.images[0], np.float32)


def _is_picture(painting: NDArray[np.float32], photo: Rgb) -> bool:
    """Whether a painting has no NaN, and is not black unless the photo is."""
    return bool(np.isfinite(painting).all()) and (float(painting.max()) > _BLACK or int(photo.max()) <= 16)


def _cut_short(pipeline: Any, style: DiffusionStyle) -> tuple[str, ...]:  # noqa: ANN401
    """Warnings about prompts that are longer than the text encoder reads."""
    tokenizer = pipeline.tokenizer
    most = int(tokenizer.model_max_length)
    told = []
    for field in ("prompt", "negative_prompt"):
        with loading.quiet():
            length = len(tokenizer(getattr(style, field), truncation=False).input_ids)
        if length > most:
            told.append(f"The style's {field} is {length} tokens long; the model read the first {most}.")
    return tuple(told)
