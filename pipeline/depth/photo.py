"""Reads the depth that the phone stored in the photo: the auxiliary depth picture of a HEIC file.

If a model that makes such depth finer is installed (`prompt: photo` in the list of models), `auto` uses it. `depth: photo`
always uses the depth as it is stored.

The samples are quantised between bounds that are stored with them (ISO/IEC 23008-12, 6.11.3, after the depth representation
information SEI message of ITU-T H.265, G.14.2.6). libheif turns the depth picture upright by the picture's own properties, which
match the photo's.
"""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from daemon.contract.commands import as_code
from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.names import to_text
from daemon.errors import DepthMissing, DepthUnreadable, JobError
from pipeline.depth import learned
from pipeline.depth.depth_map import DepthMap, inverse, normalised, same_shape
from pipeline.depth.source import PassedOver, Progress, Source, path_of
from pipeline.image import decode
from pipeline.image.source_file import check_limits, open_source

if TYPE_CHECKING:
    from pipeline.image import heif

FARTHEST = 16.0
"""The largest distance in a prompt, as a multiple of the smallest. A phone's lidar measures from 0.3 to 5 m, about this ratio."""
_INVERSE_Z, _DISPARITY, _Z = 0, 1, 2  # representation types; 3 (non-uniform) preserves only the order


@dataclass(frozen=True, eq=False)
class Stored:
    """The depth in a photo, upright, in its own unit, as `physical` returns it."""

    disparity: NDArray[np.float64]
    polarity: Literal["disparity", "distance"]
    warnings: tuple[str, ...]

    def depth_map(self) -> DepthMap:
        """The stored depth, stretched to 0…1 and otherwise unchanged."""
        everywhere = np.ones(self.disparity.shape, bool)
        provenance = Depth(source="photo", polarity=self.polarity, valid=1.0)
        return DepthMap(normalised(self.disparity, everywhere), None, provenance, self.warnings)

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
    if photo.format != "HEIF":
        return None
    from pipeline.image import heif

    name = to_text(os.path.basename(path))
    with open_source(path) as file:
        check_limits(path, limits, size=os.fstat(file.fileno()).st_size)
        try:
            found = heif.depth_images(heif.parse(file))
        except (JobError, MemoryError):
            raise
        except Exception as reason:  # pi-heif raises anything for hostile bytes
            raise DepthUnreadable(f"The depth stored in {name} cannot be decoded.", detail=str(reason)) from reason
    if not found:
        return None
    stored = found[0]
    if not same_shape(stored.samples.shape[:2], photo.rgb.shape[:2]) or stored.samples.ndim != 2:
        raise DepthUnreadable(f"The depth stored in {name} has another shape than the photo.")
    return Stored(*physical(stored))


def physical(stored: "heif.DepthImage") -> tuple[NDArray[np.float64], Any, tuple[str, ...]]:
    """Disparity of a stored depth picture, in its own unit.

    Args:
        stored: samples and their bounds. Without usable bounds the samples count as disparity from 0 to 1, with a warning.

    Returns:
        float64 (h, w), larger is nearer (in 1/m if there are bounds as phones write them); "disparity" or "distance"; warnings.
    """
    share = stored.samples.astype(np.float64) / ((1 << stored.bits) - 1)
    about = stored.metadata
    kind = about.get("representation_type")
    near, far = about.get("z_near"), about.get("z_far")
    low, high = about.get("d_min"), about.get("d_max")
    if kind == _DISPARITY and low is not None and high is not None and high > low:
        return low + share * (high - low), "disparity", ()
    if kind in (_INVERSE_Z, _Z) and near is not None and far is not None and 0 < near < far:
        if kind == _Z:
            distance = near + share * (far - near)
            return inverse(distance, np.ones(distance.shape, bool)), "distance", ()
        return 1 / far + share * (1 / near - 1 / far), "disparity", ()
    return share, "disparity", ("The depth stored in the photo has no scale; only its order from far to near was used.",)


def _asked_for(picture: decode.Photo, job: JobCommand, _progress: Progress) -> DepthMap:
    stored = read(path_of(job, job.image), photo=picture, limits=job.limits)
    if stored is None:
        raise DepthMissing(
            f"{as_code('depth: photo')} was asked for, but {job.image} holds no depth.",
            hint=f"Only HEIC portrait photos contain depth; use {as_code('depth: auto')} instead.",
        )
    return stored.depth_map()


def _find(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap | None:
    try:
        stored = read(path_of(job, job.image), photo=picture, limits=job.limits)
    except DepthUnreadable as reason:
        raise PassedOver(f"{reason.message} Another source was used.") from reason
    if stored is None:
        return None
    made_finer = learned.finer(picture, stored.distance(), job, progress)
    return stored.depth_map() if made_finer is None else replace(made_finer, warnings=(*stored.warnings, *made_finer.warnings))


SOURCE = Source(in_words="stored in the photo", read=_asked_for, find=_find)
