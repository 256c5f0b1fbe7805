"""Makes the surfaces that layers are drawn on: flat planes, or reliefs that follow the depth within a layer.

Each point of a relief stands on the ray from the camera through its pixel. So a relief changes nothing that the camera at rest
sees. What it adds is gentle: the depth is smoothed, and only half of it is used. Reliefs never touch each other, because layers
share no depths.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.export.format import Pictures
from pipeline.export.scenes.stage import Standing
from pipeline.image.filters import box, channels, exactly, resize
from pipeline.layers.plates.membrane import push_pull

CELLS = 96
"""Cells along the longer side of a relief: fine enough for a face, and few enough points that 16 bits number them."""
SHARE = 0.5
"""How much of its true depth a relief has. More of it would tear gaps between layers that planes leave closed."""
_SMOOTH = 5  # cells; sharp steps in the depth would stretch the picture between two points


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    Attributes:
        points: float32 (N, 3), from the middle of the layer's plane: right, up, and towards the camera; in the camera's unit.
        places: float32 (N, 2), of the points in the picture: from its left and its upper edge, 0 to 1.
        triangles: uint16 (M, 3), numbers of points, counter-clockwise as the camera sees them.
    """

    points: NDArray[np.float32]
    places: NDArray[np.float32]
    triangles: NDArray[np.uint16]


def mesh_of(layer: Standing, pictures: Pictures) -> Mesh:
    """The surface of a layer, as the job asks for it."""
    distances = relief(layer, pictures) if pictures.mesh == "relief" else np.full((2, 2), layer.distance)
    rows, columns = distances.shape
    down, across = np.meshgrid(np.linspace(0.0, 1.0, rows), np.linspace(0.0, 1.0, columns), indexing="ij")
    width, height = (side / layer.distance for side in layer.size)
    points = np.stack(
        [(across - 0.5) * width * distances, (0.5 - down) * height * distances, layer.distance - distances], axis=-1
    )
    number = np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)
    upper, lower = (number[:-1, :-1], number[:-1, 1:]), (number[1:, :-1], number[1:, 1:])
    left, right = (upper[0], lower[0], lower[1]), (upper[0], lower[1], upper[1])
    triangles = np.stack([np.stack(each, axis=-1) for each in (left, right)], axis=2)
    return Mesh(
        points=points.reshape(-1, 3).astype(np.float32),
        places=np.stack([across, down], axis=-1).reshape(-1, 2).astype(np.float32),
        triangles=triangles.reshape(-1, 3),
    )


def relief(layer: Standing, pictures: Pictures) -> NDArray[np.float64]:
    """How far each point of a layer is from the camera, along its axis: float64 (rows, columns), in the camera's unit."""
    layers = pictures.layers
    height, width = layers.labels.shape
    shape = tuple(max(2, round(CELLS * side / max(height, width)) + 1) for side in (height, width))
    far, near = layers.depth_ranges[layer.index]
    own = exactly(layers.labels, layer.index)
    weight = resize(own, shape, cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    if not weight.any():
        return np.full(shape, layer.distance)
    shown = np.clip(layers.disparity, np.float32(far), np.float32(near))
    product = resize(np.asarray(cv2.copyTo(shown, own), np.float32), shape, cv2.INTER_AREA)
    depth = box(push_pull(channels(product), weight)[..., 0], _SMOOTH)
    nearness = 1.0 / layer.distance + SHARE * _slope(pictures) * (depth.astype(np.float64) - (far + near) / 2.0)
    return np.asarray(1.0 / np.maximum(nearness, 0.5 / layer.distance))


def _slope(pictures: Pictures) -> float:
    """How much 1/distance grows with disparity, between the farthest and the nearest plane with pixels."""
    planes, ranges = pictures.camera.planes, pictures.layers.depth_ranges
    there = [k for k, found in enumerate(pictures.layers.bboxes) if found is not None] or [0]
    first, last = there[0], there[-1]
    between = (sum(ranges[last]) - sum(ranges[first])) / 2.0
    return (1.0 / planes[last].distance - 1.0 / planes[first].distance) / between if between > 0.0 else 0.0
