"""Time, size and memory of each format that does not move, for a picture of 12 megapixels with four layers.

Run: python -m tests.benchmarks.pictures.bench_scenes
The layers are those of `bench_psd`. Each format is written by a process of its own. `cost` is the processor time compared with
that for the PNG files of the layers, as `pipeline.export.format.Format` defines it.
"""

import importlib.util
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from daemon.contract.manifest import Depth
from daemon.contract.registry import FORMATS
from pipeline.export.format import Format, Pictures, load
from pipeline.image import png
from pipeline.image.decode import Photo
from pipeline.layers.layering import Layers
from tests.benchmarks.pictures.bench_psd import photographic_layers

MAX_MEMORY = 1000  # MB above what the layers themselves take
_UNIT = 1024 if sys.platform == "linux" else 1  # bytes in one unit of ru_maxrss


def pictures() -> Pictures:
    """The picture with its layers."""
    layers, photo = photographic_layers()
    count = len(layers)
    edges = [k / count for k in range(count + 1)]
    made = Layers(
        rgba=[layer.rgba for layer in layers],
        composite=photo,
        disparity=np.zeros(photo.shape[:2], np.float32),
        labels=np.zeros(photo.shape[:2], np.uint8),
        method="equal",
        thresholds=tuple(edges[1:-1]),
        depth_ranges=tuple(pairwise(edges)),
        coverage=(1 / count,) * count,
        bboxes=((0, 0, photo.shape[1], photo.shape[0]),) * count,
        max_error=0,
        raised_alpha=0,
        mean_colour_distance=0.0,
    )
    return Pictures(
        "A photo", Photo(photo, None, None, "sRGB", 8, "JPEG"), made, Depth(source="file", polarity="disparity"), "", None
    )


def _measure(known: Format, given: Pictures, folder: Path, answer: "multiprocessing.connection.Connection") -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter(), time.process_time()
    names = known.write(folder, given, lambda _: None)
    took, worked = time.perf_counter() - started[0], time.process_time() - started[1]
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _UNIT / 1e6
    answer.send((took, worked, sum((folder / name).stat().st_size for name in names) / 1e6, more))


def main() -> None:
    """Print the table; fail if a format takes too much memory."""
    given = pictures()
    started = time.process_time()
    for rgba in given.layers.rgba:
        png.encode_rgba(rgba)
    base = (time.process_time() - started) / len(given.layers.rgba)
    formats, too_much = load(), []
    for each in FORMATS:
        if each.module.startswith("pipeline.export.moving."):
            continue
        if each.imported and importlib.util.find_spec(each.imported) is None:
            print(f"scenes: {each.word}: {each.package} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            inside = Path(folder) / "result"
            inside.mkdir()
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("fork").Process(
                target=_measure, args=(formats[each.word], given, inside, theirs)
            )
            process.start()
            took, worked, size, more = ours.recv()
            process.join()
        cost = worked / base / (len(given.layers.rgba) + 1)
        spent = f"{took:6.2f} s  {worked:6.2f} s of processor"
        print(f"scenes: {each.word:14} {spent}  {size:6.1f} MB  cost {cost:5.2f}  {more:+6.0f} MB of memory")
        if more > MAX_MEMORY:
            too_much.append(each.word)
    if too_much:
        raise SystemExit(f"scenes: {', '.join(too_much)} took more than {MAX_MEMORY} MB of memory")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
