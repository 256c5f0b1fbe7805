"""The files of a result but the manifest: layers, depth map, composite, PSD, preview and contact sheet.

Every file is hashed as it is written, so that the manifest and the daemon's check speak of the very bytes.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.status import Output
from pipeline import png
from pipeline.export import contact_sheet, preview, psd
from pipeline.export.manifest import layer_files, layer_names
from pipeline.export.preview import PreviewLayer, PreviewPage
from pipeline.fill import MAX_PARALLAX
from pipeline.images import Photo
from pipeline.layering import Layers, shifts
from pipeline.recompose import compose

Kind = Literal["layer", "manifest", "depth", "composite", "psd", "preview", "contact_sheet"]

_SOURCES = {
    "file": "the depth picture beside the photo",
    "photo": "stored in the photo",
    "model": "a learned model",
    "heuristic": "guessed from the ground plane",
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """What there is to write."""

    title: str
    photo: Photo
    layers: Layers
    depth: Depth
    warnings: tuple[str, ...]


class _Folder:
    """The result folder and what was written into it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.outputs: list[Output] = []

    def write(self, name: str, kind: Kind, data: bytes) -> None:
        (self.path / name).write_bytes(data)
        self.note(name, kind, data)

    def note(self, name: str, kind: Kind, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self.outputs.append(Output(path=f"result/{name}", kind=kind, bytes=len(data), sha256=digest))


def write_pictures(
    folder: Path, pictures: Pictures, *, formats: Sequence[str], threads: int, progress: Callable[[float], None]
) -> tuple[Output, ...]:
    """Write the files into an existing, empty folder.

    Args:
        folder: where to; paths of the outputs are relative to its parent.
        pictures: what.
        formats: what is made beside the PNG files: "psd".
        threads: how many threads the encoders use; the bytes are the same for any number.
        progress: called with the share that is written.

    Raises:
        OutputTooLarge: the picture is too large for a layered file.
        OSError: a file cannot be written.
    """
    photo, layers = pictures.photo, pictures.layers
    out = _Folder(folder)
    for number, (name, rgba) in enumerate(zip(layer_files(len(layers.rgba)), layers.rgba, strict=True)):
        progress(0.5 * number / len(layers.rgba))
        out.write(name, "layer", png.encode_rgba(rgba, photo.icc, threads=threads))
    composite = compose(layers.rgba)
    progress(0.5)
    # Never 0: dropped again as photo.depth.png, 0 would mean "no reading".
    depth_map = (np.rint(layers.disparity * 65534) + 1).astype(np.uint16)
    out.write("depth_map.png", "depth", png.encode_grey16(depth_map, threads=threads))
    if photo.alpha is None:
        merged = np.ascontiguousarray(composite[:, :, :3])
        out.write("composite.png", "composite", png.encode_rgb(merged, photo.icc, threads=threads))
    else:
        merged = composite
        out.write("composite.png", "composite", png.encode_rgba(merged, photo.icc, threads=threads))
    progress(0.6)
    if "psd" in formats:
        _write_psd(out, pictures, merged)
    progress(0.8)
    page = _page(pictures, formats)
    seen = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    for name in preview.write(str(folder), seen, layers.rgba, layers.disparity, page, photo.icc):
        out.note(name, "preview", (folder / name).read_bytes())
    progress(0.95)
    sheet = io.BytesIO()
    contact_sheet.write(sheet, seen, layers.rgba, layers.disparity, page, photo.icc)
    out.write("contact_sheet.jpg", "contact_sheet", sheet.getvalue())
    return tuple(out.outputs)


def _write_psd(out: _Folder, pictures: Pictures, merged: NDArray[np.uint8]) -> None:
    layers = pictures.layers
    names = layer_names(len(layers.rgba))
    target = out.path / "layers.psd"
    with target.open("xb") as file:
        stack = [psd.PsdLayer(name, rgba) for name, rgba in zip(names, layers.rgba, strict=True)]
        kind = psd.write(file, stack, merged, pictures.photo.icc)
    if kind == "psb":
        target = target.rename(target.with_suffix(".psb"))
    out.note(target.name, "psd", target.read_bytes())


def _page(pictures: Pictures, formats: Sequence[str]) -> PreviewPage:
    layers, depth = pictures.layers, pictures.depth
    height, width = layers.labels.shape
    count = len(layers.rgba)
    facts = [("Size", f"{width} × {height}"), ("Depth", _SOURCES[depth.source])]
    if depth.model:
        facts.append(("Model", f"{depth.model} ({depth.licence or 'licence unknown'})"))
    facts.append(("Split", layers.method))
    links = [("Contact sheet", "contact_sheet.jpg"), ("Depth map", "depth_map.png"), ("Manifest", "layer_manifest.json")]
    if "psd" in formats:
        links.insert(0, ("Photoshop file", "layers.psd"))
    return PreviewPage(
        title=pictures.title,
        layers=tuple(
            PreviewLayer(name, (float(far), float(near)), share, shift / MAX_PARALLAX)
            for name, (far, near), share, shift in zip(
                layer_names(count), layers.depth_ranges, layers.coverage, shifts(layers), strict=True
            )
        ),
        thresholds=tuple(map(float, layers.thresholds)),
        max_parallax=MAX_PARALLAX,
        facts=tuple(facts),
        links=tuple(links),
        note=pictures.warnings[0] if depth.source == "heuristic" and pictures.warnings else None,
    )
