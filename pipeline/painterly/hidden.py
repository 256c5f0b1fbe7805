"""Paints what large things hide (`fill: model`): by Stable Diffusion 1.5, preferably the version trained for inpainting.

The hole in the picture is already filled with copies of its surroundings. The painting starts from these copies and keeps their
tone and structure, so it fits the surroundings. Only the part of the painting inside the mask is used.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.catalogues.styles import DiffusionStyle
from daemon.contract.commands import as_code
from daemon.contract.manifest import Network
from daemon.contract.messages import JobCommand
from pipeline import weights
from pipeline.image.filters import resize
from pipeline.painterly import diffusion
from pipeline.painterly.sampling import Inputs, Rgb, first_usable

STRENGTH = 0.8
"""Strength of image to image: with less, the copies stay visible; at 1, their tone is lost."""
_STYLE = DiffusionStyle(
    engine="diffusion",
    description="what large things hide",
    prompt="empty background with nothing in front of it, photograph, natural light",
    negative_prompt="person, animal, vehicle, object, text, watermark, frame, border, blurry",
    guidance=5.0,
    steps=24,
)
NOTHING_LARGE = f"Nothing large is hidden behind other things in this picture, so {as_code('fill: model')} had nothing to paint."


class HiddenPainter:
    """Paints what is hidden. It is called as `pipeline.layers.plates.painted.Painter` describes.

    Args:
        job: names the seed, the weights and the device.
        progress: called with the fraction that is done, 0 to 1.

    Attributes:
        used: what goes into the manifest; None until something was painted.
        warnings: sentences for people.

    Raises:
        WeightsMissing: no pipeline is installed; the message names the command.
        WeightsCorrupt, DeviceUnavailable: as for `diffusion.paint`.
    """

    def __init__(self, job: JobCommand, progress: Callable[[float], None] = lambda _: None) -> None:
        self._seed, self._progress = job.spec.seed, progress
        self._candidates = diffusion.candidates(job.device)
        self._device = self._candidates[0][0]
        self._parts = diffusion.find_parts(
            job.models, fast=self._device == "cpu", inpainting=True, listed=weights.catalogue(*job.model_lists)
        )
        self.used: Network | None = None
        self.warnings: tuple[str, ...] = (NOTHING_LARGE,)

    def __call__(self, rgb: Rgb, mask: NDArray[np.bool_]) -> Rgb:
        """Paint over the pixels that are set in `mask`.

        Raises:
            WeightsCorrupt: the weights belong to another kind of model.
            ModelFailed: as for `diffusion.paint`.
        """
        style = _STYLE
        if self._parts.lora is not None:
            style = style.model_copy(update={"steps": diffusion.FEW_STEPS, "guidance": diffusion.FEW_GUIDANCE})
        asked, share, steps = diffusion.schedule(style.steps, STRENGTH)
        shape = diffusion.working_shape(rgb.shape[:2], self._device)
        small = resize(rgb, shape, cv2.INTER_AREA)
        covered = resize(mask.view(np.uint8) * np.uint8(255), shape, cv2.INTER_AREA) > 0
        inputs = Inputs(small, style, asked, share, steps, self._seed, covered)
        painting, _, self.warnings = first_usable(self._parts, self._candidates, inputs, self._progress)
        parts = self._parts.all()
        self.used = Network(
            model=" + ".join(found.entry.repo or found.name for found in parts),
            revision=" + ".join(found.revision for found in parts),
            licence=" + ".join(dict.fromkeys(found.entry.licence for found in parts)),
            device=self._device,
        )
        return painting
