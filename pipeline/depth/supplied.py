"""Reads depth from the picture that was dropped with the photo, NAME.depth.png or .tif.

0 means "not measured" or the end of the scale; `pipeline.depth.zeros` decides which from the values next to the zeros. If there
are many zeros, a warning says which meaning was assumed and how to change it.
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.commands import as_code
from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.names import to_text
from daemon.contract.spec import DepthKind
from daemon.errors import DepthMissing, DepthUnreadable, ImageTooLarge, ImageType, ImageUnreadable, SourceMissing
from pipeline.depth import zeros
from pipeline.depth.depth_map import DepthMap, Mask, inverse, stretched
from pipeline.depth.inside_out import looks_inside_out
from pipeline.depth.source import Progress, Source, path_of
from pipeline.image import decode
from pipeline.image.auxiliary.beside import same_shape
from pipeline.image.turning import upright
from pipeline.layers.distances import Distances

# Stray zeros (clipped noise, a resampled edge) are below this fraction; a background painted with 0 is far above it.
_MANY_ZEROS = 0.01
_END: dict[DepthKind, str] = {"disparity": "the farthest", "distance": "the nearest"}


def read(path: bytes, kind: DepthKind, *, photo: decode.Photo, limits: Limits) -> DepthMap:
    """Read a dropped depth picture.

    It may be grey with 8, 16 or 32 bits or float, as PNG or TIFF, or RGB with three equal channels. It is stretched exactly
    from the smallest to the largest value.

    Args:
        path: the depth picture.
        kind: what larger values mean.
        photo: the picture it belongs to. A depth picture with the shape that the photo had before it was turned upright is
            turned in the same way.
        limits: the same as for the photo.

    Returns:
        The depth, upright.

    Raises:
        DepthMissing: the file is missing.
        DepthUnreadable: it is not such a picture, is damaged, has another shape than the photo, or nothing in it was measured.
    """
    name = to_text(os.path.basename(path))
    try:
        samples, mode = decode.read_samples(path, limits=limits)
    except SourceMissing as reason:
        raise DepthMissing(reason.message) from reason
    except (ImageType, ImageUnreadable, ImageTooLarge) as reason:
        raise DepthUnreadable(reason.message, detail=reason.detail) from reason
    raw, opaque = _grey(name, samples, mode)
    raw, opaque = _turned(name, raw, photo), _turned(name, opaque, photo)
    valid, empty = np.isfinite(raw) & (raw > 0) & opaque, (raw == 0) & opaque
    if not valid.any():
        raise DepthUnreadable(f"{name} has no depth at all: every value is 0 or not a number.")
    at_the_end = bool(empty.any()) and zeros.end_of_scale(raw, empty, valid, kind)
    if at_the_end:
        if kind == "distance":  # 1/0 is undefined: use the nearest measured distance
            raw = np.where(empty, raw[valid].min(), raw)
        valid |= empty
    share = float(valid.mean())
    values, far, near = stretched(inverse(raw, valid) if kind == "distance" else raw, valid)
    return DepthMap(
        values=values,
        valid=None if share == 1.0 else valid,
        provenance=Depth(source="file", polarity=kind, valid=share),
        warnings=_remarks(name, kind, float(empty.mean()), at_the_end, values, fractions=raw.dtype.kind == "f")
        + _exchanged(name, kind, values, valid),
        # Of a disparity nobody knows where its zero is; of distances only the unit is unknown.
        distances=Distances(far, near, in_metres=False) if kind == "distance" and near > far else None,
    )


def _grey(name: str, samples: NDArray[Any], mode: str) -> tuple[NDArray[Any], Mask]:
    """One channel of numbers, and where the picture is opaque; transparent pixels count as not measured."""
    if mode in ("RGB", "RGBA"):
        red, green, blue = (samples[..., channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise DepthUnreadable(f"{name} is a colour picture; depth must be grey.")
    grey = samples[..., 0] if samples.ndim == 3 else samples
    opaque = samples[..., -1] > 0 if mode.endswith("A") else np.ones(grey.shape, bool)
    return grey, opaque


def _turned(name: str, plane: NDArray[Any], photo: decode.Photo) -> NDArray[Any]:
    """The plane in the photo's upright frame.

    Raises:
        DepthUnreadable: it has neither the upright nor the stored photo's shape.
    """
    frame = photo.rgb.shape[:2]
    if same_shape(plane.shape, frame):
        return plane
    if photo.orientation >= 5 and same_shape(plane.shape[::-1], frame):
        return upright(plane, photo.orientation)
    (dh, dw), (ph, pw) = plane.shape, frame
    raise DepthUnreadable(
        f"{name} is {dw} × {dh} pixels, the photo {pw} × {ph}: their proportions differ by more than 1 %.",
        hint="Crop or resize the depth picture to the photo's proportions and drop both again.",
    )


def _remarks(
    name: str, kind: DepthKind, empty: float, at_the_end: bool, values: NDArray[np.float32], *, fractions: bool
) -> tuple[str, ...]:
    """Warnings. `empty` is the fraction of zeros, `at_the_end` whether they are the end of the scale."""
    remarks = []
    if empty > _MANY_ZEROS:
        if at_the_end:
            remarks.append(
                f"{empty:.0%} of {name} is 0, taken as {_END[kind]} because the values beside it are close to 0; "
                "if it means “no reading”, make those pixels transparent."
            )
        elif kind == "disparity":
            remarks.append(
                f"{empty:.0%} of {name} is 0, taken as “no reading” and filled from around it, because few values beside it are "
                f"close to 0; if it means farthest, write {'a number just above 0' if fractions else '1'} instead of 0."
            )
    if not values.any():
        remarks.append(f"{name} has the same depth everywhere.")
    return tuple(remarks)


def _exchanged(name: str, kind: DepthKind, values: NDArray[np.float32], valid: Mask) -> tuple[str, ...]:
    """A warning if near and far are probably exchanged."""
    if not looks_inside_out(values, valid):
        return ()
    other, bright = ("distance", "far") if kind == "disparity" else ("disparity", "near")
    return (
        f"{name} looks inside out: what is lower in the picture counts as farther. If {bright} is bright in it, write "
        f"{as_code(f'depth_kind: {other}')}.",
    )


def _asked_for(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap:
    found = _find(picture, job, progress)
    if found is None:
        raise DepthMissing(f"{as_code('depth: file')} was asked for, but no depth picture came with {job.image}.")
    return found


def _find(picture: decode.Photo, job: JobCommand, _progress: Progress) -> DepthMap | None:
    if job.depth_picture is None:
        return None
    return read(path_of(job, job.depth_picture), job.spec.depth_kind, photo=picture, limits=job.limits)


SOURCE = Source(in_words="the depth picture beside the photo", read=_asked_for, find=_find)
