"""Paints a photo (step 2), by strokes or by diffusion, depending on the style.

The later steps treat a painting like any other picture and cut layers from it. The depth comes from the photo.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.catalogues.styles import StrokesStyle, painted_without_model
from daemon.contract.manifest import Painterly
from daemon.contract.messages import JobCommand
from daemon.contract.spec import JobSpec
from daemon.errors import WeightsMissing
from pipeline.image.decode import Photo
from pipeline.image.filters import resize
from pipeline.painterly import strokes
from pipeline.painterly import styles as known
from pipeline.painterly.styles import named

_SPREAD_SIDE = 256  # longer side of the picture in which colours spread under transparent parts


@dataclass(frozen=True, eq=False)
class Painting:
    """A photo after it was painted.

    Attributes:
        photo: the photo with the painting as its colours; shape, alpha, profile and warnings are the photo's.
        provenance: what goes into the manifest.
        warnings: sentences for people.
        stroke_regions: int32 (h, w) at the photo's aspect: which stroke is visible where, 0 for none. None if unknown. A
            stroke is one object, so no border between layers should cut it.
    """

    photo: Photo
    provenance: Painterly
    warnings: tuple[str, ...] = ()
    stroke_regions: NDArray[np.int32] | None = None


def engine(spec: JobSpec, *style_lists: str) -> Literal["strokes", "diffusion"]:
    """Which engine will paint: strokes or diffusion. Strokes also if the strength is 0 and nothing is painted.

    Raises:
        SpecInvalid: there is no such style.
    """
    return "strokes" if spec.strength == 0.0 else named(spec.style, *style_lists)[1].engine


def stylise(photo: Photo, job: JobCommand, progress: Callable[[float], None]) -> Painting:
    """Paint a photo in the spec's style, with its strength and seed.

    Args:
        photo: what to paint.
        job: names the spec, the models folder, the device and the number of threads.
        progress: called with the fraction that is done, 0 to 1.

    Raises:
        SpecInvalid: there is no such style.
        WeightsMissing, WeightsCorrupt, ModelFailed, DeviceUnavailable: the style needs a model that is missing or fails.
    """
    spec = job.spec
    name, style = named(spec.style, *job.style_lists)
    provenance = Painterly(engine=style.engine, style=name, strength=spec.strength, seed=spec.seed)
    warnings: tuple[str, ...] = ()
    stroke_regions = None
    if spec.strength == 0.0:
        painted = photo.rgb
    elif isinstance(style, StrokesStyle):
        by_hand = strokes.paint(
            visible_colours(photo), style, strength=spec.strength, seed=spec.seed, threads=job.threads, progress=progress
        )
        painted, stroke_regions = by_hand.rgb, by_hand.owners
    else:
        from pipeline.painterly import diffusion  # imports torch and diffusers, which takes seconds and strokes do not need

        try:
            result = diffusion.paint(visible_colours(photo), style, job, progress)
        except WeightsMissing as missing:
            hint = f"{missing.own_hint or missing.hint} {painted_without_model(known.styles(*job.style_lists))}"
            raise WeightsMissing(missing.message, hint=hint.rstrip(), detail=missing.detail) from missing
        painted, warnings = result.rgb, result.warnings
        provenance = Painterly(
            engine=style.engine,
            style=name,
            strength=spec.strength,
            seed=spec.seed,
            model=result.model,
            revision=result.revision,
            steps=result.steps,
            device=result.device,
            precision=result.precision,
        )
    progress(1.0)
    return Painting(replace(photo, rgb=painted), provenance, warnings, stroke_regions)


def in_words(made: Painterly) -> str:
    """What painted a picture, in words for people."""
    by = f" by {made.model}" if made.model else ""
    return f"{made.style}, strength {made.strength:g}, seed {made.seed}{by}"


def visible_colours(photo: Photo) -> NDArray[np.uint8]:
    """The photo's colours. Fully transparent parts are filled from around them, because a file may contain any colours there."""
    if photo.alpha is None:
        return photo.rgb
    height, width = photo.alpha.shape
    scale = min(1.0, _SPREAD_SIDE / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    opacity = photo.alpha.astype(np.float32) / np.float32(255.0)
    weight = resize(opacity, small, cv2.INTER_AREA)
    colour = resize(photo.rgb.astype(np.float32) * opacity[..., None], small, cv2.INTER_AREA)
    spread = np.zeros((*small, 3), np.float32)
    share = np.zeros(small, np.float32)
    for sigma in (1.0, 4.0, 16.0, 64.0):  # the smallest radius with any colour decides
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(colour, (0, 0), sigma) / np.maximum(total, 1e-4)[..., None]
        fresh = np.clip(total * 4.0, 0.0, 1.0 - share)
        spread += mean * fresh[..., None]
        share += fresh
    spread /= np.maximum(share, 1e-4)[..., None]
    behind = resize(np.rint(spread.clip(0, 255)).astype(np.uint8), (height, width), cv2.INTER_LINEAR)
    return np.where(photo.alpha[..., None] == 0, behind, photo.rgb)
