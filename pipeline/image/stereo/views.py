"""Finds the second view of a photo: in a spatial HEIC, in a multi-picture JPEG, or in the other half of a pair side by side."""

import io
import os
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from daemon.contract.messages import Limits
from pipeline.image import boxes, decode, jpeg
from pipeline.image.colour import convert
from pipeline.image.source_file import check_limits, open_source
from pipeline.image.stereo.alignment import Grey
from pipeline.image.turning import UNDO, upright

_PLUGINS = (JpegImagePlugin,)  # Pillow knows only the formats of imported modules
_ABSURD = 1e9  # a larger number is damage


@dataclass(frozen=True, eq=False)
class Views:
    """Both views of a photo, as the cameras saw them, so that one is to the left of the other.

    Attributes:
        photo: uint8 (h, w), the view that is layered.
        other: uint8 (h, w).
        is_left: whether the photo is the left eye's view.
        turn: the EXIF orientation that turns the views upright.
        reach: focal length in pixels times distance between the cameras in metres: a point at a distance of z metres has the
            disparity reach / z + `offset`. None if the file does not say.
        offset: disparity of infinitely distant points in pixels; only meaningful with `reach`.
    """

    photo: Grey
    other: Grey
    is_left: bool = True
    turn: int = 1
    reach: float | None = None
    offset: float = 0.0


def find(path: bytes, *, photo: decode.Photo, limits: Limits) -> Views | None:
    """Find both views.

    Args:
        path: the photo's file.
        photo: the decoded photo.
        limits: for the second view as well.

    Returns:
        None if the photo has no second view.

    Raises:
        SourceMissing, ImageUnreadable: the file is gone or cannot be opened.
        Exception: there is a second view, but it is damaged or too large, or differs from the photo in size.
    """
    if photo.right_view is not None:
        return Views(_grey(photo.rgb), photo.right_view)
    if photo.format not in ("HEIF", "JPEG"):
        return None
    with open_source(path) as file:
        check_limits(path, limits, size=os.fstat(file.fileno()).st_size)
        found = _in_heic(file, photo, limits) if photo.format == "HEIF" else _in_jpeg(file, photo, limits)
    if found is not None and found.photo.shape != found.other.shape:
        raise ValueError(f"the views have {found.photo.shape[::-1]} and {found.other.shape[::-1]} pixels")
    return found


def _in_heic(file: BinaryIO, photo: decode.Photo, limits: Limits) -> Views | None:
    pair = boxes.stereo_pair(file)
    if pair is None:
        return None
    from pipeline.image import heif  # loads pi-heif

    distance, turn = boxes.baseline(file, pair), boxes.orientation(boxes.main_properties(file))
    file.seek(0)
    data = bytearray(file.read())
    first = _main(heif.parse(io.BytesIO(bytes(data))))
    # pi-heif does not tell which of its pictures is which item, so the other view is read as the main picture of a copy.
    at, size = pair.pitm
    data[at : at + size] = (pair.right if pair.primary == pair.left else pair.left).to_bytes(size, "big")
    container, crop = heif.parse_uncropped(io.BytesIO(bytes(data)))
    second = _main(container)
    check_limits(b"the second view", limits, pixels=second.size)
    samples, mode = heif.main_samples(container)
    samples = heif.cropped(samples, crop)
    colours = samples if mode in ("L", "RGB") else samples[..., :-1]
    if samples.dtype != np.uint8:
        colours = convert.to_8_bits(np.ascontiguousarray(colours), int(second.info["bit_depth"]))
    undo, is_left = UNDO[turn], pair.primary == pair.left
    views = Views(upright(_grey(photo.rgb), undo), upright(_grey(colours), undo), is_left, turn)
    matrices = [each.info.get("heif", {}).get("camera_intrinsic_matrix") for each in (first, second)]
    if distance is None or None in matrices or turn != 1:
        return views
    reach = float(matrices[0]["focal_length_x"]) * distance
    offset = float(matrices[0]["principal_point_x"] - matrices[1]["principal_point_x"])
    return replace(views, reach=reach, offset=offset if is_left else -offset) if 0.0 < reach < _ABSURD else views


def _in_jpeg(file: BinaryIO, photo: decode.Photo, limits: Limits) -> Views | None:
    place = jpeg.second_view(jpeg.header_segments(file))
    if place is None:
        return None
    file.seek(place[0])
    with Image.open(io.BytesIO(file.read(place[1])), formats=["JPEG"]) as image:
        check_limits(b"the second view", limits, pixels=image.size)
        other = np.asarray(image.convert("L"), np.uint8)
    undo = UNDO[photo.orientation]
    return Views(upright(_grey(photo.rgb), undo), other, turn=photo.orientation)


def _main(container: Any) -> Any:  # noqa: ANN401  pi-heif has no types
    return container[container.primary_index]


def _grey(pixels: NDArray[np.uint8]) -> Grey:
    """Brightness, uint8 (h, w), of (h, w), (h, w, 1) or (h, w, 3)."""
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels.reshape(pixels.shape[:2])
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), np.uint8)
