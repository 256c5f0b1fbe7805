"""Reads what a phone stored beside a photo, from any container, upright like the photo: its depth and its mattes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from daemon.contract.messages import Limits
from pipeline.image import decode
from pipeline.image.auxiliary import jpeg_beside
from pipeline.image.auxiliary.pictures import DepthImage
from pipeline.image.source_file import check_limits, open_source
from pipeline.image.turning import upright

# The shapes of a picture and its depth count as equal if their proportions differ by at most 1 %, or if one side differs by less
# than a pixel, because sides are whole pixels.
ASPECT_TOLERANCE = 0.01


def same_shape(depth: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether a depth map and a picture, both (height, width), show the same frame (`ASPECT_TOLERANCE`)."""
    (dh, dw), (ph, pw) = depth, picture
    wide, high = dh * pw / ph, dw * ph / pw  # the sides that the depth map should have
    return abs(dw / wide - 1.0) <= ASPECT_TOLERANCE or abs(dw - wide) < 1.0 or abs(dh - high) < 1.0


def depth_images(path: bytes, *, photo: decode.Photo, limits: Limits) -> list[DepthImage]:
    """Read the depth that is stored beside a photo.

    Args:
        path: the photo's file.
        photo: the decoded photo.
        limits: checked again when the file is opened here.

    Returns:
        The depth pictures in the file's order; empty if there are none. Their shapes have not been checked.

    Raises:
        SourceMissing, ImageUnreadable: the file is gone or cannot be opened.
        Exception: there is depth, but it is damaged. Decoders raise anything for hostile bytes.
    """
    with _opened(path, limits) as file:
        if photo.format == "HEIF":
            from pipeline.image import heif

            return heif.depth_images(file)
        if photo.format != "JPEG":
            return []
        found = jpeg_beside.depth_images(file, max_pixels=limits.max_pixels)
        return [replace(each, samples=_turned(each.samples, photo)) for each in found]


def mattes(path: bytes, *, photo: decode.Photo, limits: Limits) -> dict[str, NDArray[np.uint8]]:
    """Read the mattes that are stored beside a photo.

    Arguments and errors are those of `depth_images`.

    Returns:
        uint8 (h, w) each, 255 where the named thing is, by the words in `auxiliary.MATTES`. A matte with another shape than the
        photo is left out.
    """
    with _opened(path, limits) as file:
        if photo.format == "HEIF":
            from pipeline.image import heif

            found = heif.mattes(heif.parse(file))
        elif photo.format == "JPEG":
            stored = jpeg_beside.mattes(file, max_pixels=limits.max_pixels)
            found = {shown: _turned(matte, photo) for shown, matte in stored.items()}
        else:
            return {}
    frame = photo.rgb.shape[:2]
    return {shown: matte for shown, matte in found.items() if matte.ndim == 2 and same_shape(matte.shape, (frame[0], frame[1]))}


@contextmanager
def _opened(path: bytes, limits: Limits) -> Iterator[BinaryIO]:
    with open_source(path) as file:
        check_limits(path, limits, size=os.fstat(file.fileno()).st_size)
        yield file


def _turned(samples: NDArray[Any], photo: decode.Photo) -> NDArray[Any]:
    """Turn a picture like the photo, unless only the picture as it is has the photo's shape."""
    frame = photo.rgb.shape[:2]
    if photo.orientation >= 5 and not same_shape(samples.shape[::-1], frame) and same_shape(samples.shape, frame):
        return samples
    return upright(samples, photo.orientation)
