"""The files of a result but the manifest: layers, depth map, composite, PSD, preview and contact sheet.

Each file is a task of its own; a few threads share them. Every file is hashed by the thread that makes it, from the very bytes
it writes, so that the manifest and the daemon's check speak of these.
"""

import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.status import Output
from pipeline.export import contact_sheet, preview, psd
from pipeline.export.manifest import layer_files, layer_names
from pipeline.export.preview import PreviewLayer, PreviewPage
from pipeline.image import png
from pipeline.image.decode import Photo
from pipeline.layers.fill import MAX_PARALLAX
from pipeline.layers.layering import Layers, shifts

Kind = Literal["layer", "manifest", "depth", "composite", "psd", "preview", "contact_sheet"]
Progress = Callable[[float], None]

#: How long the files take per layer (the composite counts as one more) in the processor's time for the PNG file of one layer;
#: measured on photos of 12 and 48 megapixels in four and five layers.
_PSD_COST, _PAGE_COST = 6.0, 4.0
#: The same for the depth map and for the composite, which are nowhere empty.
_FULL_COST = 3.0
#: Which share of all files a layered file is that is made before the others, by these numbers.
_LAYERED_SHARE = 0.5
#: Pixels of depth rounded at a time: they stay in a core's cache.
_DEPTH_STRIP = 1 << 16
_SOURCES = {
    "file": "the depth picture beside the photo",
    "photo": "stored in the photo",
    "model": "a learned model",
    "heuristic": "estimated without a model",
}


@dataclass(frozen=True, eq=False)
class Task:
    """Files that are made together.

    Attributes:
        cost: how long they take, in the time for the PNG file of one layer.
        make: writes them into the result folder and says which; calls its second argument with the share that is done.
    """

    cost: float
    make: Callable[[Path, Progress], list[Output]]


@dataclass(frozen=True, eq=False)
class Pictures:
    """What there is to write.

    Attributes:
        title: the picture's name.
        photo: what was taken apart: the photo, or the painting of it.
        layers: its layers.
        depth: where their depth came from.
        warnings: sentences for people.
        painted_from: the photo's colours, uint8 (H, W, 3), where `photo` is a painting of it; None otherwise.
        painter: what painted it, in words.
    """

    title: str
    photo: Photo
    layers: Layers
    depth: Depth
    warnings: tuple[str, ...]
    painted_from: NDArray[np.uint8] | None = None
    painter: str | None = None


def write_pictures(
    folder: Path, pictures: Pictures, *, formats: Sequence[str], threads: int, progress: Progress
) -> tuple[Output, ...]:
    """Write the files into an existing, empty folder.

    Args:
        folder: where to; paths of the outputs are relative to its parent.
        pictures: what.
        formats: what is made beside the PNG files: "psd".
        threads: how many threads make files; the bytes are the same for any number.
        progress: called with the share that is written, rising; by any thread, but only by one at a time.

    Returns:
        The files: layers back to front, then the others.

    Raises:
        OutputTooLarge: the picture is too large for a layered file.
        OSError: a file cannot be written.
    """
    layered = psd_tasks(pictures) if "psd" in formats else []
    outputs: list[Output] = []
    layered_name = "layers.psd" if layered else None
    before = 0.0
    if layered and psd.may_be_large(pictures.layers.labels.shape, len(pictures.layers.rgba)):
        # The page names the file, and only when it is written is it known whether a PSD could hold it.
        outputs = write(folder, layered, threads=threads, progress=lambda share: progress(_LAYERED_SHARE * share))
        layered, layered_name, before = [], Path(outputs[0].path).name, _LAYERED_SHARE
    # What takes longest begins first, so that no thread is left alone with it at the end.
    tasks = [*layered, *page_tasks(pictures, layered_name), *png_tasks(pictures)]
    outputs += write(folder, tasks, threads=threads, progress=lambda share: progress(before + (1.0 - before) * share))
    return tuple(sorted(outputs, key=lambda output: _ORDER.index(output.kind)))


_ORDER: tuple[Kind, ...] = ("layer", "depth", "composite", "psd", "preview", "contact_sheet")


def write(folder: Path, tasks: Sequence[Task], *, threads: int, progress: Progress) -> list[Output]:
    """Do the tasks on some threads; the outputs are in the order of the tasks.

    Args:
        folder: where to.
        tasks: what.
        threads: how many.
        progress: called with the share that is done, by cost and rising; by any of the threads, but only by one at a time.

    Raises:
        Exception: whatever the first task that failed raised; those not begun are then left undone.
    """
    done, lock = [0.0] * len(tasks), threading.Lock()
    whole = sum(task.cost for task in tasks)

    def report(number: int, share: float) -> None:
        with lock:
            # A layered file that grows too large for a PSD begins anew.
            if share * tasks[number].cost > done[number]:
                done[number] = share * tasks[number].cost
                progress(sum(done) / whole)

    def do(number: int) -> list[Output]:
        outputs = tasks[number].make(folder, lambda share: report(number, share))
        report(number, 1.0)
        return outputs

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(do, number) for number in range(len(tasks))]
        try:
            return [output for future in running for output in future.result()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def png_tasks(pictures: Pictures) -> list[Task]:
    """The layers, the depth map and the composite."""
    photo, layers = pictures.photo, pictures.layers

    def layer(name: str, rgba: NDArray[np.uint8]) -> Task:
        return Task(1.0, lambda folder, _: [_written(folder, name, "layer", png.encode_rgba(rgba, photo.icc))])

    def depth(folder: Path, _: Progress) -> list[Output]:
        return [_written(folder, "depth_map.png", "depth", png.encode_grey16(_samples(layers.disparity)))]

    def composite(folder: Path, _: Progress) -> list[Output]:
        encode = png.encode_rgb if layers.composite.shape[2] == 3 else png.encode_rgba
        return [_written(folder, "composite.png", "composite", encode(layers.composite, photo.icc))]

    files = zip(layer_files(len(layers.rgba)), layers.rgba, strict=True)
    return [*(layer(name, rgba) for name, rgba in files), Task(_FULL_COST, depth), Task(_FULL_COST, composite)]


def _samples(disparity: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Disparity in 16 bits, 1 to 65535: dropped again as photo.depth.png, 0 would mean "no reading"."""
    out = np.empty(disparity.shape, np.uint16)
    rows = max(1, _DEPTH_STRIP // disparity.shape[1])
    for start in range(0, len(out), rows):
        strip = disparity[start : start + rows] * np.float32(65534)
        np.rint(strip, out=strip)
        strip += np.float32(1)
        out[start : start + rows] = strip
    return out


def psd_tasks(pictures: Pictures) -> list[Task]:
    """The layered Photoshop file."""
    layers = pictures.layers

    def layered(folder: Path, progress: Progress) -> list[Output]:
        target = folder / "layers.psd"
        names = layer_names(len(layers.rgba))
        stack = [psd.PsdLayer(name, rgba) for name, rgba in zip(names, layers.rgba, strict=True)]
        with target.open("xb") as file:
            kind = psd.write(file, stack, layers.composite, pictures.photo.icc, progress)
        if kind == "psb":
            target = target.rename(target.with_suffix(".psb"))
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return [_output(target.name, "psd", target.stat().st_size, digest)]

    return [Task(_PSD_COST * (len(layers.rgba) + 1), layered)]


def page_tasks(pictures: Pictures, layered_name: str | None) -> list[Task]:
    """The preview page with its pictures, and the contact sheet; both from one reduction of the pictures.

    `layered_name` is the layered file that the page links to, if there is one.
    """
    photo, layers = pictures.photo, pictures.layers
    page = _page(pictures, layered_name)

    def pages(folder: Path, progress: Progress) -> list[Output]:
        seen = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
        before, painting = seen, None
        if pictures.painted_from is not None:
            before = pictures.painted_from if photo.alpha is None else np.dstack([pictures.painted_from, photo.alpha])
            painting = seen
        small = preview.reduced(before, layers.rgba, layers.disparity)
        progress(0.4)
        size = photo.rgb.shape[1], photo.rgb.shape[0]
        files = preview.write(str(folder), small.photo, small.layers, small.disparity, page, photo.icc, size)
        outputs = [_noted(name, "preview", (folder / name).read_bytes()) for name in files]
        progress(0.8)
        sheet = io.BytesIO()
        contact_sheet.write(sheet, small.photo, small.layers, small.disparity, page, photo.icc, size, painting)
        return [*outputs, _written(folder, contact_sheet.NAME, "contact_sheet", sheet.getvalue())]

    return [Task(_PAGE_COST * (len(layers.rgba) + 1), pages)]


def _written(folder: Path, name: str, kind: Kind, data: bytes) -> Output:
    (folder / name).write_bytes(data)
    return _noted(name, kind, data)


def _noted(name: str, kind: Kind, data: bytes) -> Output:
    return _output(name, kind, len(data), hashlib.sha256(data).hexdigest())


def _output(name: str, kind: Kind, size: int, sha256: str) -> Output:
    return Output(path=f"result/{name}", kind=kind, bytes=size, sha256=sha256)


def _page(pictures: Pictures, layered_name: str | None) -> PreviewPage:
    layers, depth = pictures.layers, pictures.depth
    height, width = layers.labels.shape
    count = len(layers.rgba)
    facts = [("Size", f"{width} × {height}"), ("Depth", _SOURCES[depth.source])]
    if depth.model:
        facts.append(("Model", f"{depth.model} ({depth.licence or 'licence unknown'})"))
    facts.append(("Split", layers.method))
    if pictures.painter:
        facts.append(("Painting", pictures.painter))
    links = [("Contact sheet", "contact_sheet.jpg"), ("Depth map", "depth_map.png"), ("Manifest", "layer_manifest.json")]
    if layered_name:
        links.insert(0, ("Photoshop file", layered_name))
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
        painted=pictures.painted_from is not None,
        note=pictures.warnings[0] if depth.source == "heuristic" and pictures.warnings else None,
    )
