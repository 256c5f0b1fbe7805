"""Draws what the camera sees of the layers.

The layers are kept premultiplied, at twice the size of the frames, and sampled with bilinear interpolation. At rest, each pixel
of a frame is the mean of four samples, which is the photo reduced by averaging. In motion, sharpness hardly depends on where
between two samples a pixel falls: measured on five photos, the contrast of fine detail changes by a tenth while a picture moves
by half a pixel. With layers at the size of the frames it halves, and cubic interpolation still loses a quarter; details would
shimmer.

Layers are blended as they recompose and as browsers blend the preview: by their encoded values, not in linear light.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.export.camera import Camera, Plane
from pipeline.export.format import Pictures
from pipeline.export.moving.motion import Pose
from pipeline.image.colour import convert
from pipeline.image.filters import resize

Pixels = NDArray[np.uint8]

_OVERSAMPLED = 2
_MEMORY = 400_000_000
"""Bytes that the enlarged layers may take. If they would take more, they are kept at the size of the frames."""
_LEAST_SIDE = 16
"""Pixels: what every encoder takes."""
_MARGIN = 2
"""Transparent samples kept around a layer, so that its own border is never sampled."""


def frame_size(width: int, height: int, longer: int, enlarged: int = 1) -> tuple[int, int]:
    """Width and height of a picture's frames: even, as video needs them, not above `longer`, nor `enlarged` times the picture.

    The sides of very small pictures and of strips are at least 16 pixels.
    """
    scale = min(float(enlarged), longer / max(width, height))
    across, down = (max(_LEAST_SIDE, 2 * round(side * scale / 2)) for side in (width, height))
    return across, down


class Frames:
    """Draws frames of one picture.

    Args:
        pictures: the picture and its layers.
        longer: the longer side of the frames in pixels, at most.
        enlarged: how many times as large as the picture frames may be.

    Attributes:
        size: width and height of the frames.
        camera: the picture's.
    """

    def __init__(self, pictures: Pictures, longer: int, enlarged: int = 1) -> None:
        self.camera: Camera = pictures.camera
        self.size = frame_size(self.camera.width, self.camera.height, longer, enlarged)
        layers = pictures.layers
        width, height = self.size
        filled = layers.filled
        areas = [_area(layers.bboxes[k]) for k in filled]
        share = sum(areas) / (self.camera.width * self.camera.height)
        self._scale = _OVERSAMPLED if share * width * height * 4 * _OVERSAMPLED**2 <= _MEMORY else 1
        self._planes = [
            _Sheet(layers.rgba[k], self.camera.planes[k], (width * self._scale, height * self._scale), pictures.photo.icc)
            for k in filled
        ]
        self._transparent = pictures.photo.alpha is not None
        self._moved = np.empty((height, width, 4), np.uint8)

    def at(self, pose: Pose) -> Pixels:
        """The frame that the camera sees: uint8 (height, width, 3), sRGB, new memory. Where the picture is transparent: white."""
        seen = self.seen(pose)
        if self._transparent:
            cv2.add(seen, cv2.merge([cv2.bitwise_not(cv2.extractChannel(seen, 3))] * 4), dst=seen)
        return np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB), np.uint8)

    def seen(self, pose: Pose) -> Pixels:
        """The frame without a background: uint8 (height, width, 4), premultiplied, sRGB, new memory."""
        width, height = self.size
        seen = np.zeros((height, width, 4), np.uint8)
        for number, sheet in enumerate(self._planes):
            factor = 1.0 / (1.0 - pose.forward * self.camera.push / sheet.plane.distance)
            columns = _line(width, self._scale, pose.zoom, factor, sheet.plane.travel * pose.aside + pose.across)
            rows = _line(height, self._scale, pose.zoom, factor, sheet.plane.travel * pose.above + pose.down)
            self._add(seen, sheet, columns, rows, first=number == 0)
        return seen

    def _add(
        self, seen: Pixels, sheet: "_Sheet", columns: tuple[float, float], rows: tuple[float, float], *, first: bool
    ) -> None:
        """Put a plane in front of what is seen. A pixel x, y shows it at columns[0] · x + columns[1], rows[0] · y + rows[1]."""
        left, right = _span(columns, sheet.left, sheet.pixels.shape[1], seen.shape[1])
        top, bottom = _span(rows, sheet.top, sheet.pixels.shape[0], seen.shape[0])
        if left >= right or top >= bottom:
            return
        matrix = np.array(
            [
                [columns[0], 0.0, columns[1] + columns[0] * left - sheet.left],
                [0.0, rows[0], rows[1] + rows[0] * top - sheet.top],
            ]
        )
        place = seen[top:bottom, left:right]
        moved = self._moved[: bottom - top, : right - left]
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if self._scale > 1 else cv2.INTER_CUBIC)
        target = place if first else moved
        cv2.warpAffine(
            sheet.pixels, matrix, (right - left, bottom - top), dst=target, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        if first:
            return
        behind = cv2.merge([cv2.bitwise_not(cv2.extractChannel(moved, 3))] * 4)
        cv2.multiply(place, behind, dst=place, scale=1.0 / 255.0)
        cv2.add(place, moved, dst=place)


class _Sheet:
    """One layer, premultiplied, in the size in which it is sampled, without its empty surroundings.

    Attributes:
        pixels: uint8 (h, w, 4).
        left, top: where they lie in the whole layer, in samples.
        plane: where the layer stands.
    """

    def __init__(self, rgba: Pixels, plane: Plane, size: tuple[int, int], icc: bytes | None) -> None:
        whole = _resized(np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2mRGBA), np.uint8), size)
        if icc is not None:
            whole = _in_srgb(whole, icc)
        x, y, width, height = cv2.boundingRect(cv2.extractChannel(whole, 3))
        self.left, self.top = max(0, x - _MARGIN), max(0, y - _MARGIN)
        self.pixels = whole[self.top : y + height + _MARGIN, self.left : x + width + _MARGIN].copy()
        self.plane = plane


def _area(box: tuple[int, int, int, int] | None) -> int:
    return box[2] * box[3] if box else 0


def _line(length: int, scale: int, zoom: float, factor: float, shift: float) -> tuple[float, float]:
    """Along one axis: what sample a pixel of the frame shows, as (slope, offset).

    Args:
        length: of the frame, in pixels.
        scale: samples per pixel.
        zoom: of the lens, about the middle.
        factor: how much larger the plane is than at rest.
        shift: how far it is moved, as a fraction of the frame, before zooming.
    """
    slope = scale / (zoom * factor)
    middle = (0.5 / length - 0.5) / zoom - shift
    return slope, (middle / factor + 0.5) * length * scale - 0.5


def _span(line: tuple[float, float], start: int, length: int, most: int) -> tuple[int, int]:
    """The first and the end of those pixels, 0 to `most`, that show samples from `start` on, `length` of them."""
    slope, offset = line
    first = math.floor((start - 1 - offset) / slope)
    end = math.ceil((start + length - offset) / slope) + 1
    return max(0, first), min(most, end)


def _resized(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale a premultiplied picture, uint8 (H, W, 4), to `size` (width, height).

    Enlarged pictures are corrected once by what averaging them would get wrong, so that at rest the photo's own pixels are seen
    (iterative back-projection: M. Irani, S. Peleg, "Improving Resolution by Image Registration", 1991).
    """
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    if size[0] <= width and size[1] <= height:
        return resize(picture, size[::-1], cv2.INTER_AREA)
    enlarged = resize(picture, size[::-1], cv2.INTER_CUBIC)
    if size[0] >= width and size[1] >= height:
        wrong = cv2.subtract(picture, resize(enlarged, (height, width), cv2.INTER_AREA), dtype=cv2.CV_16S)
        cv2.add(enlarged, cv2.resize(wrong, size, interpolation=cv2.INTER_LINEAR), dst=enlarged, dtype=cv2.CV_8U)
    # No colour is brighter than its alpha.
    solid = cv2.extractChannel(enlarged, 3)
    alpha = cv2.cvtColor(solid, cv2.COLOR_GRAY2RGBA)
    cv2.insertChannel(solid, alpha, 3)
    return np.asarray(cv2.min(enlarged, alpha, dst=enlarged), np.uint8)


def _in_srgb(premultiplied: Pixels, icc: bytes) -> Pixels:
    """Convert a premultiplied picture from its profile to sRGB."""
    straight = np.asarray(cv2.cvtColor(premultiplied, cv2.COLOR_mRGBA2RGBA), np.uint8)
    rgb = convert.to_srgb(np.ascontiguousarray(straight[..., :3]), icc)
    return np.asarray(cv2.cvtColor(np.dstack([rgb, premultiplied[..., 3]]), cv2.COLOR_RGBA2mRGBA), np.uint8)
