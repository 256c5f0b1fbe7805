"""A 12-megapixel photo with its depth, decode to PNG files: against the floor, against plain NumPy, and at 48 megapixels.

Run: python -m tests.benchmarks.pictures.bench_pictures
The floor is what cannot be saved: decode the photo, encode the same PNGs one after the other, decode them back. PSD, preview and
contact sheet are timed apart. All ways run in turn, several rounds; the best round of each counts. Memory is that of a process
of its own. The photo is the phone's sample (or, where the samples are not beside the project, scikit-image's astronaut).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from daemon.contract.messages import Limits
from pipeline.depth import photo as stored_depth
from pipeline.depth import supplied
from pipeline.export.format import Pictures
from pipeline.export.result import format_task, page_tasks, png_tasks, write
from pipeline.image import decode, png
from pipeline.layers.layering import layer_picture
from tests.benchmarks.pictures import baseline

SAMPLE = (
    Path(os.environ.get("SAMPLE_PICTURES", Path(__file__).resolve().parents[4] / "shared" / "samples")).resolve()
    / "iphone_pug_original.heic"
)
LIMITS = Limits(max_bytes=500_000_000, max_pixels=100_000_000)
THREADS, LAYERS, ROUNDS = 2, 4, 3
FLOOR_BAR, PLAIN_BAR, LARGE_BAR, MEMORY_BAR = 2.5, 5.0, 4.5, 1e9


def make_photos(folder: Path) -> None:
    """12.jpg, 48.jpg (twice as large on a side, with a camera's grain) and their depth pictures."""
    if SAMPLE.exists():
        photo = decode.read(os.fsencode(SAMPLE), limits=LIMITS)
        reading = stored_depth.read(os.fsencode(SAMPLE), photo=photo, limits=LIMITS)
        assert reading is not None
        rgb, values = photo.rgb, reading.depth_map().values
    else:
        from skimage import data

        rgb = cv2.resize(data.astronaut(), (4032, 3024), interpolation=cv2.INTER_CUBIC)
        values = np.tile(np.linspace(0, 1, 576, dtype=np.float32)[:, None] ** 2, (1, 768))
    large = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 1.5, large.shape).astype(np.float32)
    large = np.clip(np.rint(large + grain), 0, 255).astype(np.uint8)
    for name, pixels in (("12", rgb), ("48", large)):
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=95, subsampling=0)
        Image.fromarray((np.rint(values * 65534) + 1).astype(np.uint16)).save(folder / f"{name}.depth.png")


def ours(folder: Path, name: str, into: Path) -> tuple[dict[str, float], Pictures]:
    """Decode to PNG files with the product's own steps; seconds per step."""
    marks = [("decode", time.perf_counter())]

    def begin(stage: str, _: float = 0.0) -> None:
        if stage != marks[-1][0]:
            marks.append((stage, time.perf_counter()))

    cv2.setNumThreads(THREADS)
    photo = decode.read(os.fsencode(folder / f"{name}.jpg"), limits=LIMITS)
    begin("depth")
    reading = supplied.read(os.fsencode(folder / f"{name}.depth.png"), "disparity", photo=photo, limits=LIMITS)
    layers = layer_picture(photo.rgb, None, reading.values, reading.valid, num_layers=LAYERS, progress=begin)
    begin("png")
    pictures = Pictures(name, photo, layers, reading.provenance, "a file", None)
    write(into, png_tasks(pictures), threads=THREADS, progress=lambda _: None)
    begin("end")
    times = [at for _, at in marks]
    return {stage: after - at for (stage, at), after in zip(marks, times[1:], strict=False)}, pictures


def floor(folder: Path, name: str, pictures: Pictures) -> None:
    """Decode, encode serially, decode back."""
    photo = decode.read(os.fsencode(folder / f"{name}.jpg"), limits=LIMITS)
    layers = pictures.layers
    depth = (np.rint(layers.disparity * np.float32(65534)) + np.float32(1)).astype(np.uint16)
    files = [png.encode_rgba(rgba, photo.icc) for rgba in layers.rgba]
    files += [png.encode_grey16(depth), png.encode_rgb(layers.composite, photo.icc)]
    for number, data in enumerate(files):
        path = folder / f"floor_{number}.png"
        path.write_bytes(data)
        with Image.open(path) as image:
            image.load()


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def memory(name: str) -> int:
    """Peak resident bytes above those after the imports, of a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name if __spec__ else "tests.benchmarks.pictures.bench_pictures", "--memory", name],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(done.stdout.split()[-1])


def _peak() -> int:
    """The most this program held, in bytes; on Linux getrusage would also count what its parent held when it was started."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Print the table; fail below a bar."""
    if "--memory" in sys.argv:
        folder, before = Path(sys.argv[-1]), _peak()
        with tempfile.TemporaryDirectory() as into:
            ours(folder.parent, folder.name, Path(into))
        print(_peak() - before)
        return
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        _compare(Path(place))


def _compare(folder: Path) -> None:
    make_photos(folder)
    into = folder / "into"
    into.mkdir()
    _, pictures = ours(folder, "12", into)  # the first of each only warms caches
    ways: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(folder, "12", pictures),
        "psd": lambda: _afresh(into / "layers.psd", lambda: write(into, [format_task("psd", pictures)], **_QUIET)),
        "pages": lambda: write(into, page_tasks(pictures, []), **_QUIET),
        "plain": lambda: baseline.layers_of(folder / "12.jpg", folder / "12.depth.png", into, LAYERS),
    }
    best = dict.fromkeys(ways, float("inf"))
    rows: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        rows.append(ours(folder, "12", into)[0])
        for name, way in ways.items():
            if name != "plain" or best["plain"] == float("inf"):  # slow enough that one round is sure
                best[name] = min(best[name], seconds(way))
    best_row = min(rows, key=lambda row: sum(row.values()))
    mine = sum(best_row.values())
    large = min(sum(ours(folder, "48", into)[0].values()) for _ in range(2))
    peak = {name: memory(str(folder / name)) for name in ("12", "48")}
    for stage, took in best_row.items():
        print(f"pictures: {stage:10s} {took:6.2f} s  {took / mine:4.0%}")
    print(f"pictures: in all {mine:.2f} s; apart from it PSD {best['psd']:.2f} s, preview and sheet {best['pages']:.2f} s")
    print(f"pictures: memory above the imports {peak['12'] / 1e9:.2f} GB, at 48 megapixels {peak['48'] / 1e9:.2f} GB")
    bars = (
        ("times the floor", mine / best["floor"], FLOOR_BAR, False),
        ("times as fast as plain NumPy", best["plain"] / mine, PLAIN_BAR, True),
        ("times as long for 48 megapixels", large / mine, LARGE_BAR, False),
        ("GB of memory", peak["12"] / 1e9, MEMORY_BAR / 1e9, False),
    )
    missed = []
    for what, value, bar, more in bars:
        print(f"pictures: {value:.2f} {what} (bar {bar})")
        if value < bar if more else value > bar:
            missed.append(f"{value:.2f} {what}, the bar is {bar}")
    if missed:
        raise SystemExit("pictures: " + "; ".join(missed))


_QUIET = {"threads": THREADS, "progress": lambda _: None}


def _afresh(path: Path, work: Callable[[], object]) -> None:
    path.unlink(missing_ok=True)
    work()


if __name__ == "__main__":
    main()
