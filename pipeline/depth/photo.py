"""Reads the depth that the phone stored in the photo: an auxiliary picture of a HEIC or JPEG file.

If there is none, the second view of a stereo photo gives the depth (`pipeline.depth.stereo`).

If a model that makes such depth finer is installed (`prompt: photo` in the list of models), `auto` uses it. `depth: photo`
always uses the depth as it is stored.

The samples are quantised between bounds that are stored with them (ISO/IEC 23008-12, 6.11.3, after the depth representation
information SEI message of ITU-T H.265, G.14.2.6). libheif turns the depth picture upright by the picture's own properties, which
match the photo's. In JPEG, `pipeline.image.auxiliary.jpeg_beside` finds the depth, which must be turned like the photo.
"""

import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from daemon.contract.commands import as_code
from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.names import to_text
from daemon.errors import DepthMissing, DepthUnreadable, JobError, is_passing
from pipeline.depth import learned, stereo
from pipeline.depth.depth_map import DepthMap, inverse, stretched
from pipeline.depth.source import PassedOver, Progress, Source, path_of
from pipeline.image import decode
from pipeline.image.auxiliary import beside
from pipeline.image.auxiliary.pictures import DISPARITY, INVERSE_Z, DepthImage, Z
from pipeline.layers.distances import Distances

FARTHEST = 16.0
"""The largest distance in a prompt, as a multiple of the smallest. A phone's lidar measures from 0.3 to 5 m, about this ratio."""

NEAREST = 1e-3
"""A nearer bound of stored distances, in metres, is no bound: 1/distance would leave no difference between all the rest."""
_ABSURD = 1e9  # a larger number is damage; it could overflow


@dataclass(frozen=True, eq=False)
class Stored:
    """The depth in a photo, upright, in its own unit, as `physical` returns it; in 1/m if `in_metres`."""

    disparity: NDArray[np.float64]
    polarity: Literal["disparity", "distance"]
    warnings: tuple[str, ...]
    in_metres: bool

    def depth_map(self) -> DepthMap:
        """The stored depth, stretched to 0…1 and otherwise unchanged."""
        everywhere = np.ones(self.disparity.shape, bool)
        provenance = Depth(source="photo", polarity=self.polarity, valid=1.0)
        values, far, near = stretched(self.disparity, everywhere)
        distances = Distances(far, near, in_metres=True) if self.in_metres and near > max(far, 0.0) else None
        return DepthMap(values, None, provenance, self.warnings, distances=distances)

    def distance(self) -> NDArray[np.float32]:
        """Distances for a model that makes them finer, float32 (h, w); in metres if the stored bounds are a phone's.

        Distances are clipped at `FARTHEST` times the nearest one. Otherwise, far points would take up nearly all of the range
        that the model stretches to 0…1, and points at infinity (disparity 0) would take up all of it.
        """
        nearest = float(self.disparity.max())
        if nearest <= 0.0:
            return np.ones(self.disparity.shape, np.float32)
        return (1.0 / np.maximum(self.disparity, nearest / FARTHEST)).astype(np.float32)


def read(path: bytes, *, photo: decode.Photo, limits: Limits) -> Stored | None:
    """Read the stored depth.

    Args:
        path: the photo's file.
        photo: the decoded photo.
        limits: checked again when the file is opened here.

    Returns:
        The first stored depth picture; None if the photo contains none.

    Raises:
        DepthUnreadable: there is depth, but it is damaged or has another shape than the photo.
        SourceMissing: the file is gone.
    """
    name = to_text(os.path.basename(path))
    try:
        found = beside.depth_images(path, photo=photo, limits=limits)
    except (JobError, MemoryError):
        raise
    except Exception as reason:  # decoders raise anything for hostile bytes
        if is_passing(reason):
            raise
        raise DepthUnreadable(f"The depth stored in {name} cannot be decoded.", detail=str(reason)) from reason
    if not found:
        return None
    stored = found[0]
    if not beside.same_shape(stored.samples.shape[:2], photo.rgb.shape[:2]) or stored.samples.ndim != 2:
        raise DepthUnreadable(f"The depth stored in {name} has another shape than the photo.")
    disparity, polarity, remarks = physical(stored)
    # Without bounds, only the order is known, and a warning says so.
    return Stored(disparity, polarity, remarks, in_metres=not remarks)


def physical(stored: DepthImage) -> tuple[NDArray[np.float64], Any, tuple[str, ...]]:
    """Disparity of a stored depth picture, in its own unit.

    Args:
        stored: samples and their bounds. Without usable bounds only their order counts, with a warning.

    Returns:
        float64 (h, w), larger is nearer (in 1/m if there are bounds as phones write them); "disparity" or "distance"; warnings.
    """
    share = stored.samples.astype(np.float64) / ((1 << stored.bits) - 1)
    about = stored.metadata
    kind = about.get("representation_type")
    near, far, low, high = (_bound(about.get(name)) for name in ("z_near", "z_far", "d_min", "d_max"))
    if kind == DISPARITY and low is not None and high is not None and high > low:
        return low + share * (high - low), "disparity", ()
    if kind in (INVERSE_Z, Z) and near is not None and far is not None and NEAREST <= near < far:
        if kind == Z:
            distance = near + share * (far - near)
            return inverse(distance, np.ones(distance.shape, bool)), "distance", ()
        return 1 / far + share * (1 / near - 1 / far), "disparity", ()
    no_scale = "The depth stored in the photo has no scale; only its order from far to near was used."
    return (1.0 - share, "distance", (no_scale,)) if kind == Z else (share, "disparity", (no_scale,))


def _bound(value: Any) -> float | None:  # noqa: ANN401  whatever the container's reader found
    """A bound that can be computed with; None if there is none."""
    return float(value) if value is not None and abs(value) < _ABSURD else None


def _asked_for(picture: decode.Photo, job: JobCommand, _progress: Progress) -> DepthMap:
    stored = read(path_of(job, job.image), photo=picture, limits=job.limits)
    found = stored.depth_map() if stored else stereo.read(path_of(job, job.image), photo=picture, limits=job.limits)
    if found is None:
        raise DepthMissing(
            f"{as_code('depth: photo')} was asked for, but {job.image} holds neither depth nor a second view.",
            hint="Phones store depth in HEIC and JPEG portraits, and many programs remove it; "
            f"use {as_code('depth: auto')} instead.",
        )
    return found


def _find(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap | None:
    try:
        stored = read(path_of(job, job.image), photo=picture, limits=job.limits)
        if stored is None:
            return stereo.read(path_of(job, job.image), photo=picture, limits=job.limits)
    except DepthUnreadable as reason:
        raise PassedOver(f"{reason.message} Another source was used.") from reason
    made_finer = learned.finer(picture, stored.distance(), job, progress)
    if made_finer is None:
        return stored.depth_map()
    distances = made_finer.distances if stored.in_metres else None
    return replace(made_finer, warnings=(*stored.warnings, *made_finer.warnings), distances=distances)


SOURCE = Source(in_words="stored in the photo", read=_asked_for, find=_find)
