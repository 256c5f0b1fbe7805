"""Defines what an output format is, and its input. `daemon.contract.registry` lists the formats; each has its own module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.contract.ended.filled_layers import layers_in_words
from daemon.contract.manifest import Depth
from daemon.contract.registry import FORMATS
from daemon.contract.spec import MeshKind
from pipeline.export.camera import Camera, camera_before
from pipeline.export.moving.motion import DEFAULT, Motion
from pipeline.image.decode import Photo
from pipeline.layers.distances import Distances
from pipeline.layers.layering import Layers, shifts

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The input of every format: a picture, its layers, and where both came from.

    Attributes:
        title: the picture's name.
        photo: the picture that was cut into layers: the photo, or the painting of it.
        layers: its layers.
        depth: where their depth came from.
        depth_in_words: the same, for people.
        note: a sentence for the top of the preview page; None for none.
        painted_from: the photo's colours, uint8 (H, W, 3), if `photo` is a painting of it; None otherwise.
        painter: what painted it, in words; None if `photo` is not a painting.
        distances: what the layers' disparities mean in space; None if the depth source does not know.
        focal_35mm: the focal length of the photo's lens on 35-mm film, in millimetres; None if the photo does not say.
        motion: how the picture moves, in formats that move.
        ffmpeg: the path of an ffmpeg that this process may start; None if there is none.
        mesh: what layers are drawn on in 3-D scenes: flat planes, or a relief of their depth.
        prefix: what the names of the layers' files, and of those of the formats, begin with; see `pipeline.export.naming`.
    """

    title: str
    photo: Photo
    layers: Layers
    depth: Depth
    depth_in_words: str
    note: str | None
    painted_from: NDArray[np.uint8] | None = None
    painter: str | None = None
    distances: Distances | None = None
    focal_35mm: float | None = None
    motion: Motion = DEFAULT
    ffmpeg: str | None = None
    mesh: MeshKind = "flat"
    prefix: str = ""

    @property
    def layers_in_words(self) -> str:
        """How many layers there are, and how many of them hold something, if not all do."""
        layers = self.layers
        return layers_in_words(
            len(layers.rgba), len(layers.filled), source=self.depth.source, thresholds_given=layers.method == "given"
        )

    @property
    def filled_layers_in_words(self) -> str:
        """How many layers hold something, for those who need not know how many were asked for."""
        filled = len(self.layers.filled)
        return layers_in_words(filled, filled, source=self.depth.source, thresholds_given=True)

    @property
    def camera(self) -> Camera:
        """The camera that shows the photo, and the layers as planes before it."""
        layers = self.layers
        height, width = layers.labels.shape
        filled = [box is not None for box in layers.bboxes]
        return camera_before((width, height), shifts(layers), layers.depth_ranges, filled, self.distances, self.focal_35mm)


@dataclass(frozen=True)
class Format:
    """How files of one format are written.

    Attributes:
        title: text of the link on the preview page.
        cost: the time it takes per layer, relative to the PNG file of one layer; the composite counts as one more layer.
        file: the name of the file that the preview page links to; None if only `write` knows it.
        write: writes new files into the result folder and returns their names; the file that the preview page links to comes
            first. It calls its last argument with the fraction that is done, 0 to 1. The same pictures give the same bytes.
        packages: the installed packages that the format uses besides numpy, OpenCV and Pillow, for the manifest.
        programs: returns the versions, by name, of the programs besides those packages that write the format.
        remarks: returns warnings for the job's status, about how this machine writes the format.
    """

    title: str
    cost: float
    file: Callable[[Pictures], str | None]
    write: Callable[[Path, Pictures, Progress], Sequence[str]]
    packages: tuple[str, ...] = ()
    programs: Callable[[Pictures], dict[str, str]] = lambda _: {}
    remarks: Callable[[Pictures], tuple[str, ...]] = lambda _: ()


def load() -> dict[str, Format]:
    """The formats by the words that sidecars use for them, in the registry's order.

    Raises:
        TypeError: a module's `FORMAT` is not a Format.
    """
    found = {each.word: import_module(each.module).FORMAT for each in FORMATS}
    if wrong := [word for word, given in found.items() if not isinstance(given, Format)]:
        raise TypeError(f"the FORMAT of {', '.join(wrong)} is not a pipeline.export.format.Format")
    return found
