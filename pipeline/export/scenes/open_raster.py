"""Writes the layers as OpenRaster, `layers.ora`: what Krita, GIMP and MyPaint open without a loss.

Format: OpenRaster 0.0.3 (freedesktop.org). A ZIP file with one PNG per layer, cropped to its visible part, a description of the
stack, the merged picture and a thumbnail.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.naming import layer_names
from pipeline.export.preview import shrink
from pipeline.export.scenes import archive
from pipeline.image import png

_FILE = "layers.ora"
_THUMBNAIL = 256  # the longer side, as the format says


def _entries(pictures: Pictures, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """The files in the archive. The first one says what the archive is and must be the first."""
    photo, layers = pictures.photo, pictures.layers
    count = len(layers.rgba)
    yield "mimetype", b"image/openraster"
    yield "stack.xml", _stack(pictures)
    for number, (rgba, box) in enumerate(zip(layers.rgba, layers.bboxes, strict=True), 1):
        x, y, width, height = box or (0, 0, 1, 1)
        yield f"data/layer{number}.png", png.encode_rgba(rgba[y : y + height, x : x + width], photo.icc, dpi=photo.dpi)
        progress(number / (count + 1))
    merged = layers.composite
    yield "mergedimage.png", _encoded(merged, photo.icc)
    height, width = merged.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(width, height))
    small = shrink(merged, (max(1, round(width * scale)), max(1, round(height * scale))))
    yield "Thumbnails/thumbnail.png", _encoded(small, photo.icc)


def _stack(pictures: Pictures) -> bytes:
    """stack.xml: the layers, the nearest first."""
    layers, dpi = pictures.layers, pictures.photo.dpi
    height, width = layers.labels.shape
    image = ElementTree.Element("image", version="0.0.3", w=str(width), h=str(height))
    if dpi is not None:
        image.set("xres", str(round(dpi[0])))
        image.set("yres", str(round(dpi[1])))
    stack = ElementTree.SubElement(image, "stack")
    names = layer_names(len(layers.rgba))
    for number, (name, box) in reversed(list(enumerate(zip(names, layers.bboxes, strict=True), 1))):
        x, y = (box or (0, 0))[:2]
        about = {"name": name, "src": f"data/layer{number}.png", "x": str(x), "y": str(y)}
        ElementTree.SubElement(
            stack, "layer", about | {"opacity": "1.0", "visibility": "visible", "composite-op": "svg:src-over"}
        )
    return bytes(ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True))


def _encoded(pixels: NDArray[np.uint8], icc: bytes | None) -> bytes:
    return png.encode_rgb(pixels, icc) if pixels.shape[2] == 3 else png.encode_rgba(pixels, icc)


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    with (folder / _FILE).open("xb") as file:
        archive.write(file, _entries(pictures, progress))
    return [_FILE]


FORMAT = Format(title="OpenRaster file", cost=1.4, file=lambda _: _FILE, write=_write)
