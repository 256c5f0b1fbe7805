"""What an output format is, and what it is given. `daemon.contract.registry` lists the formats; each is a module of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.registry import FORMATS
from pipeline.image.decode import Photo
from pipeline.layers.layering import Layers

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Pictures:
    """What there is to write.

    Attributes:
        title: the picture's name.
        photo: what was taken apart: the photo, or the painting of it.
        layers: its layers.
        depth: where their depth came from.
        depth_in_words: the same for people.
        note: a sentence for the top of the preview page, if there is one.
        painted_from: the photo's colours, uint8 (H, W, 3), where `photo` is a painting of it; None otherwise.
        painter: what painted it, in words.
    """

    title: str
    photo: Photo
    layers: Layers
    depth: Depth
    depth_in_words: str
    note: str | None
    painted_from: NDArray[np.uint8] | None = None
    painter: str | None = None


@dataclass(frozen=True)
class Format:
    """How files of one format are written.

    Attributes:
        title: of the link on the preview page.
        cost: how long it takes for each layer, in the time for the PNG file of one layer; the composite counts as one more.
        file: the name of the file that the preview page links to; None where only the writing tells.
        write: writes new files into the result folder and returns their names, the one for the page first; calls its last
            argument with the share that is done. The same pictures give the same bytes.
        packages: installed packages that had a part in it, for the manifest, beside numpy, OpenCV and Pillow.
    """

    title: str
    cost: float
    file: Callable[[Pictures], str | None]
    write: Callable[[Path, Pictures, Progress], Sequence[str]]
    packages: tuple[str, ...] = ()


def load() -> dict[str, Format]:
    """The formats by their words, in the registry's order.

    Raises:
        TypeError: a module's `FORMAT` is none.
    """
    found = {each.word: import_module(each.module).FORMAT for each in FORMATS}
    if wrong := [word for word, given in found.items() if not isinstance(given, Format)]:
        raise TypeError(f"the FORMAT of {', '.join(wrong)} is not a pipeline.export.format.Format")
    return found
