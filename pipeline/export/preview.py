"""Writes the preview page: `preview.html`, which opens from disk in any browser, and its pictures in `preview/`.

The page has its style and script inside, and `standalone` puts the pictures inside, too. It loads nothing from the network. It
receives its content as data, so that no name, however hostile, is ever read as markup. Its appearance is defined in
`preview.html`, `.css` and `.js` next to this file.
"""

import base64
import hashlib
import html
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.export.palette import colour_depth, layer_colours
from pipeline.image.filters import reduce, resize
from pipeline.image.halving import prepared
from pipeline.layers.bands import in_parallel

Pixels = npt.NDArray[np.uint8]

PAGE_NAME, FOLDER_NAME = "preview.html", "preview"
MAX_BYTES = 3_000_000  # small enough to mail
_MAX_PIXELS = 1600 * 1200  # sharp on a laptop's screen, light on a phone's graphics memory with twelve layers
_MAX_SIDE = 4096  # what every phone takes as one texture; WebP itself ends at 16,383
_BINS = 128  # bins of the depth histogram, each about two screen pixels wide
_QUALITY, _ALPHA_QUALITY, _EFFORT = 84, 90, 1  # WebP; effort 1 of 6: a third of the default's time, 15 % more bytes


@dataclass(frozen=True)
class PreviewLayer:
    """One layer, as the page describes it.

    Attributes:
        name: its name.
        depth_range: (far, near) disparity, 0 to 1.
        coverage: fraction of the picture in which it is the visible layer, 0 to 1.
        travel: how far it moves at the largest deflection, as `pipeline.export.camera.Plane` says.
        box: left, top, width and height of its visible part, as fractions of the picture; the whole picture if it is empty.
        file: the layer's PNG file next to the page; None for no link.
    """

    name: str
    depth_range: tuple[float, float]
    coverage: float
    travel: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    file: str | None = None


@dataclass(frozen=True)
class PreviewPage:
    """The content of the page. All of it is text or numbers; nothing is read as markup.

    Attributes:
        title: the name of the job or the picture.
        layers: the descriptions of the layers, back to front, one for each picture.
        thresholds: the disparities between the layers, rising, 0 to 1.
        layers_in_words: how many layers there are, and how many hold something, if not all do.
        facts: (label, value) pairs for the fine print, in order.
        links: (label, file next to the page) pairs to offer.
        note: a sentence that viewers must not miss, such as that the depth was estimated without a model; None for none.
        painted: whether the layers were cut from a painting of the photo.
    """

    title: str
    layers: tuple[PreviewLayer, ...]
    thresholds: tuple[float, ...]
    layers_in_words: str
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    note: str | None = None
    painted: bool = False


@dataclass(frozen=True, eq=False)
class Reduced:
    """A picture, its layers and its disparity, as `write` takes them, at the largest size that a page shows."""

    photo: Pixels
    layers: list[Pixels]
    disparity: npt.NDArray[np.float32]


def reduced(photo: Pixels, layers: Sequence[Pixels], disparity: npt.NDArray[np.float32]) -> Reduced:
    """Reduce the pictures once, for both the page and the contact sheet; the shapes are as for `write`."""
    size = _largest_size(photo.shape[1], photo.shape[0])
    small = in_parallel(lambda picture: shrink(picture, size), [photo, *layers])
    return Reduced(small[0], small[1:], resize(disparity, size[::-1], cv2.INTER_AREA))


def write(
    folder: str,
    photo: Pixels,
    layers: Sequence[Pixels],
    disparity: npt.NDArray[np.float32],
    page: PreviewPage,
    icc: bytes | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Write the page and its pictures.

    Args:
        folder: an existing folder, in which `preview.html` and `preview/` are created.
        photo: the photo, before it was painted or cut into layers, uint8 (H, W, 3 or 4).
        layers: back to front, uint8 (H, W, 4), straight alpha.
        disparity: float32 (H, W), 0 far to 1 near.
        page: its content.
        icc: the colour profile of photo and layers; None for sRGB.
        size: width and height of the original picture, if the arguments come from `reduced`; None if they are the originals.

    Returns:
        The files written, relative to `folder`, the page first.

    Raises:
        ValueError: `layers` and `page.layers` differ in length.
        OSError: a file cannot be written.
    """
    if len(layers) != len(page.layers):
        raise ValueError(f"{len(layers)} layers, but {len(page.layers)} descriptions of them")
    pictures = _pictures(photo, layers, disparity, icc)
    os.makedirs(os.path.join(folder, FOLDER_NAME), exist_ok=True)
    for name, data in pictures.items():
        with open(os.path.join(folder, FOLDER_NAME, name), "wb") as file:
            file.write(data)
    height, width = photo.shape[:2]
    addresses = {name: f"{FOLDER_NAME}/{name}" for name in pictures}
    with open(os.path.join(folder, PAGE_NAME), "wb") as file:
        file.write(_document(page, addresses, _histogram(disparity), size or (width, height)).encode())
    return (PAGE_NAME, *addresses.values())


def standalone(
    photo: Pixels,
    layers: Sequence[Pixels],
    disparity: npt.NDArray[np.float32],
    page: PreviewPage,
    icc: bytes | None = None,
    size: tuple[int, int] | None = None,
) -> bytes:
    """The page as one HTML file that holds its pictures: at most `MAX_BYTES` of them, a third more as text.

    The arguments are those of `write`. The page links to no other file, because it is meant to be sent alone.

    Raises:
        ValueError: `layers` and `page.layers` differ in length.
    """
    if len(layers) != len(page.layers):
        raise ValueError(f"{len(layers)} layers, but {len(page.layers)} descriptions of them")
    pictures = _pictures(photo, layers, disparity, icc)
    addresses = {name: f"data:image/webp;base64,{base64.b64encode(data).decode()}" for name, data in pictures.items()}
    alone = replace(page, links=(), layers=tuple(replace(layer, file=None) for layer in page.layers))
    height, width = photo.shape[:2]
    return _document(alone, addresses, _histogram(disparity), size or (width, height)).encode()


def shrink(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale uint8 (H, W, 3 or 4) down to `size` (width, height); colours are weighted by their alpha.

    Alpha stays straight, and the colour is 0 where alpha is 0.
    """
    if picture.shape[1::-1] == size:
        return picture
    if picture.shape[2] == 3:
        return reduce(picture, size[::-1])
    if not cv2.hasNonZero(picture.reshape(picture.shape[0], -1)):
        return np.zeros((*size[::-1], 4), np.uint8)

    def weighted(rows: slice) -> Pixels:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture[rows]), cv2.COLOR_RGBA2mRGBA), np.uint8)

    small = reduce(prepared(picture, size[::-1], weighted), size[::-1])
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_mRGBA2RGBA), np.uint8)


def _pictures(photo: Pixels, layers: Sequence[Pixels], disparity: npt.NDArray[np.float32], icc: bytes | None) -> dict[str, bytes]:
    """The page's pictures by name, reduced until all of them together fit within the limit."""
    size = _largest_size(photo.shape[1], photo.shape[0])
    while True:
        depth = colour_depth(resize(disparity, size[::-1], cv2.INTER_AREA))
        sources = {"photo.webp": photo, **{f"layer_{number}.webp": layer for number, layer in enumerate(layers, 1)}}
        # Layers without pixels have the same file.
        distinct = {
            name if cv2.hasNonZero(picture.reshape(len(picture), -1)) else "": picture for name, picture in sources.items()
        }
        files = in_parallel(lambda picture: _webp(shrink(picture, size), icc), distinct.values())  # noqa: B023  done within the turn
        encoded = dict(zip(distinct, files, strict=True))
        pictures = {**{name: encoded.get(name) or encoded[""] for name in sources}, "depth.webp": _webp(depth, None)}
        total = sum(map(len, pictures.values()))
        if total <= MAX_BYTES or size == (1, 1):
            return pictures
        scale = math.sqrt(MAX_BYTES / total) * 0.95
        size = _scaled(size, scale)


def _largest_size(width: int, height: int) -> tuple[int, int]:
    """The width and height at which the page shows a picture of this size."""
    return _scaled((width, height), min(1.0, math.sqrt(_MAX_PIXELS / (width * height)), _MAX_SIDE / max(width, height)))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def _webp(picture: Pixels, icc: bytes | None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(
        out, "WEBP", quality=_QUALITY, alpha_quality=_ALPHA_QUALITY, method=_EFFORT, icc_profile=icc or b""
    )
    return out.getvalue()


def _histogram(disparity: npt.NDArray[np.float32]) -> list[float]:
    """Heights of the bins, 0 to 1: square roots of the counts, so that a large flat area does not hide everything else."""
    nearest = float(np.nextafter(np.float32(1), np.float32(2)))  # OpenCV excludes the upper bound
    counts = cv2.calcHist([disparity], [0], None, [_BINS], [0.0, nearest]).ravel()
    return [round(float(value), 4) for value in np.sqrt(counts / max(1, counts.max()))]


def _document(page: PreviewPage, addresses: Mapping[str, str], histogram: list[float], size: tuple[int, int]) -> str:
    """The page's markup. `addresses` says where each of its pictures is: a relative path or a data URL."""
    templates = files("pipeline.export")
    style, script, frame = (templates.joinpath(f"preview.{kind}").read_text("utf-8") for kind in ("css", "js", "html"))
    parts = {
        "TITLE": html.escape(_encodable(page.title)),
        "STYLE": style,
        "SCRIPT": script,
        "SCRIPT_HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "PHOTO": addresses["photo.webp"],
        "DEPTH": addresses["depth.webp"],
        "DATA": _inert_json(_data(page, addresses, histogram, size)),
    }
    # In one pass over the frame, so that a name that looks like a placeholder is not replaced as well.
    return re.sub(r"\{\{([A-Z_]+)\}\}", lambda found: parts[found[1]], frame)


def _data(page: PreviewPage, addresses: Mapping[str, str], histogram: list[float], size: tuple[int, int]) -> dict[str, object]:
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in layer_colours(len(page.layers))]
    return {
        "title": _encodable(page.title),
        "made": page.layers_in_words,
        "width": size[0],
        "height": size[1],
        "zoom": round(1 + 2 * max(abs(layer.travel) for layer in page.layers), 5),
        "layers": [
            {
                "name": _encodable(layer.name),
                "src": addresses[f"layer_{number}.webp"],
                "file": quote(layer.file) if layer.file else None,
                "box": [round(float(bound), 5) for bound in layer.box],
                "range": [round(float(bound), 4) for bound in layer.depth_range],
                "coverage": round(float(layer.coverage), 4),
                "travel": round(layer.travel, 6),
                "colour": colour,
            }
            for number, (layer, colour) in enumerate(zip(page.layers, colours, strict=True), 1)
        ],
        "thresholds": [round(float(threshold), 4) for threshold in page.thresholds],
        "histogram": histogram,
        "facts": [[_encodable(label), _encodable(value)] for label, value in page.facts],
        "links": [[_encodable(label), quote(target)] for label, target in page.links],
        "note": _encodable(page.note) if page.note else None,
        "painted": page.painted,
    }


def _encodable(text: str) -> str:
    """Text that UTF-8 can encode: unpaired surrogates, as in broken file names, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _inert_json(value: object) -> str:
    """JSON in which nothing can end the script element or begin a comment in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
