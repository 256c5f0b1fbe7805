"""What the formats of this package share: which layers stand in the scene, where, and under which names."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.export.format import Pictures
from pipeline.export.naming import layer_files, layer_names

CLOSEST_TOGETHER = 1e-4
"""Planes stand at least this fraction of their distance apart: nobody sees it, but programs that compute distances in single
precision (7 digits) can still tell which plane is in front."""
_NAME_LENGTH = 100


@dataclass(frozen=True, eq=False)
class Standing:
    """A layer that stands in the scene.

    Attributes:
        index: its number among the picture's layers, 0 for the farthest.
        name: its name, for people.
        file: the name of its PNG file in the result folder.
        distance: from the camera, along its axis, in the camera's unit.
        size: width and height of its plane, in the camera's unit: what the camera sees there.
        rgba: its pixels, uint8 (H, W, 4), straight alpha.
    """

    index: int
    name: str
    file: str
    distance: float
    size: tuple[float, float]
    rgba: NDArray[np.uint8]


def standing(pictures: Pictures) -> tuple[Standing, ...]:
    """The layers that have pixels, back to front; the farthest layer alone if none has any."""
    layers, planes = pictures.layers, pictures.camera.planes
    count = len(layers.rgba)
    there = layers.filled or [0]
    names, files = layer_names(count), layer_files(count, pictures.prefix)
    found = [Standing(k, names[k], files[k], planes[k].distance, planes[k].size, layers.rgba[k]) for k in there]
    return _apart(found)


def _apart(found: Sequence[Standing]) -> tuple[Standing, ...]:
    """The layers with no two at one distance. A plane's size changes with its distance, so the camera sees the same."""
    apart = [found[0]]
    for each in found[1:]:
        distance = min(each.distance, apart[-1].distance * (1.0 - CLOSEST_TOGETHER))
        width, height = (side * distance / each.distance for side in each.size)
        apart.append(replace(each, distance=distance, size=(width, height)))
    return tuple(apart)


def title_of(pictures: Pictures) -> str:
    """The picture's name in one line that any program can hold: at most 100 characters, none of them invisible.

    Unpaired surrogates (from names that are not UTF-8), control characters and marks that change the direction of writing
    become spaces.
    """
    shown = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in pictures.title)
    return " ".join(shown.split())[:_NAME_LENGTH].strip() or "Picture"
