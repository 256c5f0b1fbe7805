"""Depth from the picture that was dropped beside the photo, NAME.depth.png or .tif.

0 means "no reading", for both kinds, as depth cameras and stereo matchers write it. In a disparity map 0 would also be
"farthest"; so a map with many zeros is used as the rule says, with a warning that tells how to mean farthest (1 instead of 0).
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.messages import Limits
from daemon.contract.names import to_text
from daemon.contract.spec import DepthKind
from daemon.errors import DepthMissing, DepthUnreadable, ImageTooLarge, ImageType, ImageUnreadable, SourceMissing
from pipeline import images
from pipeline.depth.reading import Mask, Reading, inverse, normalised, same_shape

# Stray zeros (clipped noise, a resampled edge) are below this; a background painted with 0 is far above.
_MANY_ZEROS = 0.01


def read(path: bytes, kind: DepthKind, *, photo: images.Photo, limits: Limits) -> Reading:
    """Read a dropped depth picture.

    Grey of 8, 16 or 32 bits or float, as PNG or TIFF; RGB if its three channels are equal. Stretched exactly from the smallest
    to the largest reading.

    Args:
        path: the depth picture.
        kind: what larger values mean.
        photo: the picture it belongs to; a depth picture of the photo as the camera stored it is turned like the photo.
        limits: the same as for the photo.

    Returns:
        The reading, upright.

    Raises:
        DepthMissing: the file is not there.
        DepthUnreadable: not such a picture, damaged, of another shape than the photo, or without any reading.
    """
    name = to_text(os.path.basename(path))
    try:
        samples, mode = images.read_samples(path, limits=limits)
    except SourceMissing as reason:
        raise DepthMissing(reason.message) from reason
    except (ImageType, ImageUnreadable, ImageTooLarge) as reason:
        raise DepthUnreadable(reason.message, detail=reason.detail) from reason
    raw, opaque = _grey(name, samples, mode)
    raw, opaque = _turned(name, raw, photo), _turned(name, opaque, photo)
    valid = np.isfinite(raw) & (raw > 0) & opaque
    share = float(valid.mean())
    if share == 0.0:
        raise DepthUnreadable(f"{name} has no reading at all: every value is 0 or no number.")
    values = normalised(inverse(raw, valid) if kind == "distance" else raw, valid)
    return Reading(
        values=values,
        valid=None if share == 1.0 else valid,
        provenance=Depth(source="file", polarity=kind, valid=share),
        warnings=_remarks(name, kind, raw, values),
    )


def _grey(name: str, samples: NDArray[Any], mode: str) -> tuple[NDArray[Any], Mask]:
    """One channel of numbers, and where the picture is opaque; what is transparent is no reading."""
    if mode in ("RGB", "RGBA"):
        red, green, blue = (samples[..., channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise DepthUnreadable(f"{name} is a colour picture; depth must be grey.")
    grey = samples[..., 0] if samples.ndim == 3 else samples
    opaque = samples[..., -1] > 0 if mode.endswith("A") else np.ones(grey.shape, bool)
    return grey, opaque


def _turned(name: str, plane: NDArray[Any], photo: images.Photo) -> NDArray[Any]:
    """The plane in the photo's upright frame.

    Raises:
        DepthUnreadable: it has the photo's shape neither upright nor as stored.
    """
    frame = photo.rgb.shape[:2]
    if same_shape(plane.shape, frame):
        return plane
    if photo.orientation >= 5 and same_shape(plane.shape[::-1], frame):
        return images.upright(plane, photo.orientation)
    (dh, dw), (ph, pw) = plane.shape, frame
    raise DepthUnreadable(
        f"{name} is {dw} × {dh} pixels, the photo {pw} × {ph}: their proportions differ by more than 1 %.",
        hint="Crop or resize the depth picture to the photo's proportions and drop both again.",
    )


def _remarks(name: str, kind: DepthKind, raw: NDArray[Any], values: NDArray[np.float32]) -> tuple[str, ...]:
    zeros = float(np.mean(raw == 0))
    remarks = []
    if kind == "disparity" and zeros > _MANY_ZEROS:
        remarks.append(
            f"{zeros:.0%} of {name} is 0, which means “no reading” and is filled from around it; "
            "if it is meant as farthest, write 1 instead of 0."
        )
    if not values.any():
        remarks.append(f"{name} has the same depth everywhere.")
    return tuple(remarks)
