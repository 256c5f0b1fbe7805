"""Writes the files of a result except the manifest: layers, depth map, composite, other formats, preview and contact sheet.

Each file is one task, and a few threads share the tasks. The thread that makes a file also hashes it, from the very bytes it
writes, so that the manifest and the daemon's check refer to the same bytes.
"""

import hashlib
import importlib.util
import io
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.contract.registry import FORMATS
from daemon.contract.status import KINDS, Kind, Output
from daemon.errors import FormatUnavailable, Internal
from pipeline.export import contact_sheet, preview
from pipeline.export.format import Pictures, Progress, load
from pipeline.export.naming import layer_files
from pipeline.export.page_content import page_of, photo_of
from pipeline.image import png

#: The time for the page per layer (the composite counts as one more), relative to the PNG file of one layer; measured on photos
#: of 12 and 48 megapixels with four and five layers.
_PAGE_COST = 4.0
#: The same for the depth map and for the composite, which have no empty parts.
_FULL_COST = 3.0
#: How many pixels of depth are rounded at a time: they fit in a core's cache.
_DEPTH_STRIP = 1 << 16
_FORMATS = load()


class _Stopped(Exception):
    """Raised in a task whose files are no longer wanted, because the job was cancelled or another task failed."""


@dataclass(frozen=True, eq=False)
class Task:
    """Files that are made together.

    Attributes:
        cost: the time they take, relative to the PNG file of one layer.
        make: writes them into the result folder and returns them; calls its second argument with the fraction that is done.
    """

    cost: float
    make: Callable[[Path, Progress], list[Output]]


def write_pictures(
    folder: Path, pictures: Pictures, *, formats: Sequence[str], threads: int, progress: Progress
) -> tuple[Output, ...]:
    """Write the files into an existing, empty folder.

    Args:
        folder: the target; paths of the outputs are relative to its parent.
        pictures: what to write.
        formats: the words in `daemon.contract.registry` for the formats to make besides the PNG files.
        threads: how many threads make files; the bytes are the same for any number.
        progress: called with the fraction that is written, rising from 0 to 1. Any thread may call it, but only one at a time.

    Returns:
        The files: layers back to front, then the others.

    Raises:
        OutputTooLarge: the picture is too large for a layered file.
        OSError: a file cannot be written.
        Internal: a format wrote another file than the page links to.
    """
    wanted = {word: known for word, known in _FORMATS.items() if word in formats}
    links = {word: name and pictures.prefix + name for word, known in wanted.items() for name in (known.file(pictures),)}
    # The page needs these names, and they are only known after the files are written.
    first = [format_task(word, pictures) for word, name in links.items() if name is None]
    page_cost, files = _page_cost(pictures), png_tasks(pictures)
    rest = [format_task(word, pictures) for word, name in links.items() if name is not None]
    early = sum(task.cost for task in first)
    before = early / (early + page_cost + sum(task.cost for task in (*rest, *files)))
    outputs = write(folder, first, threads=threads, progress=lambda share: progress(before * share))
    for output in reversed(outputs):
        links[output.kind] = Path(output.path).name
    named = [(wanted[word].title, name) for word, name in links.items() if name is not None]
    # The longest tasks begin first, so that no thread is left alone with one at the end.
    tasks = sorted([*rest, *page_tasks(pictures, named), *files], key=lambda task: -task.cost)
    outputs += write(folder, tasks, threads=threads, progress=lambda share: progress(before + (1.0 - before) * share))
    written = {Path(output.path).name for output in outputs}
    if missing := [name for _, name in named if name not in written]:
        raise Internal(f"the preview page links to {missing[0]}, but the format wrote no such file")
    return tuple(sorted(outputs, key=lambda output: KINDS.index(output.kind)))


def check_formats(formats: Sequence[str]) -> None:
    """Raise FormatUnavailable if this machine cannot write one of these formats."""
    for each in FORMATS:
        if each.word in formats and each.imported and importlib.util.find_spec(each.imported) is None:
            raise FormatUnavailable(
                f"This machine cannot write the format {each.word}, because the package {each.package} is not installed."
            )


def packages_of(formats: Sequence[str]) -> set[str]:
    """The installed packages that these formats use, besides those that every job uses."""
    return {package for word in formats for package in _FORMATS[word].packages}


def programs_of(formats: Sequence[str], pictures: Pictures) -> dict[str, str]:
    """The versions of the programs besides packages that write these formats."""
    return {name: version for word in formats for name, version in _FORMATS[word].programs(pictures).items()}


def remarks_of(formats: Sequence[str], pictures: Pictures) -> tuple[str, ...]:
    """Warnings about how this machine writes these formats."""
    return tuple(remark for word in formats for remark in _FORMATS[word].remarks(pictures))


def write(folder: Path, tasks: Sequence[Task], *, threads: int, progress: Progress) -> list[Output]:
    """Do the tasks in several threads. The outputs are in the order of the tasks.

    Args:
        folder: the target.
        tasks: what to do.
        threads: how many.
        progress: called with the rising fraction of the cost that is done. Any thread may call it, but only one at a time.

    Raises:
        Exception: the error of the first task that failed; tasks that have not begun are then skipped, and those that have begun
            end when they next report progress.
    """
    done, lock = [0.0] * len(tasks), threading.Lock()
    whole = sum(task.cost for task in tasks)
    stopped = threading.Event()

    def report(number: int, share: float) -> None:
        if stopped.is_set():
            raise _Stopped
        with lock:
            # A layered file that becomes too large for a PSD starts again.
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
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def png_tasks(pictures: Pictures) -> list[Task]:
    """The tasks for the PNG files: the layers, the depth map and the composite."""
    photo, layers, prefix = pictures.photo, pictures.layers, pictures.prefix

    def layer(name: str, rgba: NDArray[np.uint8]) -> Task:
        return Task(1.0, lambda folder, _: [_written(folder, name, "layer", png.encode_rgba(rgba, photo.icc, dpi=photo.dpi))])

    def depth(folder: Path, _: Progress) -> list[Output]:
        return [_written(folder, f"{prefix}depth_map.png", "depth", png.encode_grey16(_samples(layers.disparity)))]

    def composite(folder: Path, _: Progress) -> list[Output]:
        encode = png.encode_rgb if layers.composite.shape[2] == 3 else png.encode_rgba
        return [_written(folder, f"{prefix}composite.png", "composite", encode(layers.composite, photo.icc, dpi=photo.dpi))]

    files = zip(layer_files(len(layers.rgba), prefix), layers.rgba, strict=True)
    return [*(layer(name, rgba) for name, rgba in files), Task(_FULL_COST, depth), Task(_FULL_COST, composite)]


def _samples(disparity: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Disparity in 16 bits, 1 to 65535. 0 is avoided: in a dropped photo.depth.png it would mean "not measured"."""
    out = np.empty(disparity.shape, np.uint16)
    rows = max(1, _DEPTH_STRIP // disparity.shape[1])
    for start in range(0, len(out), rows):
        strip = disparity[start : start + rows] * np.float32(65534)
        np.rint(strip, out=strip)
        strip += np.float32(1)
        out[start : start + rows] = strip
    return out


def format_task(word: str, pictures: Pictures) -> Task:
    """The task for the files of one format, named by its word in `daemon.contract.registry`."""
    known = _FORMATS[word]

    def files(folder: Path, progress: Progress) -> list[Output]:
        return [_found(folder, _renamed(folder, name, pictures.prefix), word) for name in known.write(folder, pictures, progress)]

    return Task(known.cost * (len(pictures.layers.rgba) + 1), files)


def page_tasks(pictures: Pictures, formats: Sequence[tuple[str, str]]) -> list[Task]:
    """One task for the preview page, its pictures and the contact sheet. The pictures are reduced once for all of these.

    `formats` holds the title and the file name of each layered file that the page links to.
    """
    photo, layers = pictures.photo, pictures.layers
    page = page_of(pictures, formats)

    def pages(folder: Path, progress: Progress) -> list[Output]:
        before, painting = photo_of(pictures)
        small = preview.reduced(before, layers.rgba, layers.disparity)
        progress(0.4)
        size = photo.rgb.shape[1], photo.rgb.shape[0]
        files = preview.write(str(folder), small.photo, small.layers, small.disparity, page, photo.icc, size)
        outputs = [_found(folder, name, "preview") for name in files]
        progress(0.8)
        sheet = io.BytesIO()
        contact_sheet.write(sheet, small.photo, small.layers, small.disparity, page, photo.icc, size, painting)
        return [*outputs, _written(folder, contact_sheet.NAME, "contact_sheet", sheet.getvalue())]

    return [Task(_page_cost(pictures), pages)]


def _page_cost(pictures: Pictures) -> float:
    return _PAGE_COST * (len(pictures.layers.rgba) + 1)


def _written(folder: Path, name: str, kind: Kind, data: bytes) -> Output:
    (folder / name).write_bytes(data)
    return _output(name, kind, len(data), hashlib.sha256(data).hexdigest())


def _renamed(folder: Path, name: str, prefix: str) -> str:
    if prefix:
        (folder / name).rename(folder / (prefix + name))
    return prefix + name


def _found(folder: Path, name: str, kind: Kind) -> Output:
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _output(name, kind, file.seek(0, os.SEEK_END), digest)


def _output(name: str, kind: Kind, size: int, sha256: str) -> Output:
    return Output(path=f"result/{name}", kind=kind, bytes=size, sha256=sha256)
