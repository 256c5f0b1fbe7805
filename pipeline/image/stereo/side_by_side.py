"""Recognises stereo pairs that are side by side in one picture, and finds their halves.

Only a picture that says so is taken apart: by a JPS descriptor, by the ending .jps, or by the last word of its name
("photo.sbs.jpg", "photo.crosseye.jpg"). Which half is the left eye's cannot be seen in the picture, so a pair that does not say
it is left whole, with a warning that says how to name it. If a picture says it but its halves show different things, it is left
whole, too.
"""

import re
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import resize
from pipeline.image.stereo.alignment import Grey, align

Order = Literal["left first", "right first"]

SIDE = 640
"""Pixels of a half's longer side at which the halves are compared."""
CERTAIN = 0.6
"""The share of matched points that must agree before a picture that says nothing is called a pair."""
CLEAR = 0.01
"""How much its disparities must differ, as a fraction of a half's width. A pattern that repeats matches itself, too."""
#: The last word of a name, before its ending, and which half is on the left.
_WORDS: dict[str, Order] = {"sbs": "left first", "parallel": "left first", "crosseye": "right first", "crosseyed": "right first"}
_LAST_WORD = re.compile(r"[._ -]([a-z]+)\.[^.]+\Z")


@dataclass(frozen=True, eq=False)
class Halves:
    """What was found.

    Attributes:
        left: the columns of the left view; None if the picture is not taken apart.
        right: uint8 (H, W), the right view.
        remarks: sentences for people.
    """

    left: slice | None = None
    right: Grey | None = None
    remarks: tuple[str, ...] = ()


def split(name: str, rgb: NDArray[np.uint8], descriptor: str | None) -> Halves:
    """Find the halves of a picture.

    Args:
        name: the file's.
        rgb: uint8 (H, W, 3), upright.
        descriptor: what `pipeline.image.jpeg.side_by_side` returns.
    """
    if descriptor == "other":
        return Halves(remarks=(f"{name} holds a stereo pair that is not side by side; it was layered as one picture.",))
    height, width = rgb.shape[:2]
    order = said_by(name, descriptor)
    if width % 2 or (order is None and not 2 <= width / height <= 4):
        return Halves()
    first, second = slice(0, width // 2), slice(width // 2, width)
    if order is None:
        return Halves(remarks=_hint(name, rgb, first, second))
    left, right = (first, second) if order == "left first" else (second, first)
    if align(_small(rgb[:, left]), _small(rgb[:, right])) is None:
        return Halves(
            remarks=(f"{name} says that it is a stereo pair side by side, but its halves differ; it was layered as one picture.",)
        )
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb[:, right]), cv2.COLOR_RGB2GRAY), np.uint8)
    return Halves(left, grey, (f"{name} is a stereo pair side by side; the left eye's view was layered.",))


def said_by(name: str, descriptor: str | None) -> Order | None:
    """The order of the halves that a file says it has; None if it does not call itself a pair.

    A file that ends in .jps has the right eye's view on the left, for viewing with crossed eyes, unless a descriptor says so.
    """
    if descriptor == "left first":
        return "left first"
    if descriptor == "right first":
        return "right first"
    word = _LAST_WORD.search(name.lower())
    if word is not None and word[1] in _WORDS:
        return _WORDS[word[1]]
    return "right first" if name.lower().endswith(".jps") else None


def _hint(name: str, rgb: NDArray[np.uint8], first: slice, second: slice) -> tuple[str, ...]:
    """A warning if the halves of a picture that says nothing match like two views."""
    found = align(_small(rgb[:, first]), _small(rgb[:, second]))
    if found is None or found.share < CERTAIN or found.depth < CLEAR:
        return ()
    return (
        f"{name} looks like a stereo pair side by side, but does not say so; it was layered as one picture. To use the pair, "
        "drop it again with a name that ends in .sbs.jpg if the left eye's view is on the left, otherwise in .crosseye.jpg.",
    )


def _small(rgb: NDArray[np.uint8]) -> Grey:
    height, width = rgb.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)
    return resize(grey, (max(1, round(height * scale)), max(1, round(width * scale))), cv2.INTER_AREA)
