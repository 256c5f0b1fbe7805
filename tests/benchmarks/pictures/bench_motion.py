"""How long the formats that move take, how large they are, and how much memory they need.

Run: python -m tests.benchmarks.pictures.bench_motion
A photo of 12 megapixels in four layers; a video of 6 s with 30 frames of 1920 × 1080 a second. The bars are 20 s for the video on
two cores, and 1 GB above what the process held before. Beside it: the same frames drawn with OpenCV's warps of whole layers,
float blending and the same encoder, as a script would. Processor time is that of all threads and of the encoder.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
from skimage import data

from daemon.contract.manifest import Depth
from pipeline.export.format import Format, Pictures
from pipeline.export.moving import encoders, stereo, video, webp
from pipeline.export.moving.frames import frame_size
from pipeline.export.moving.motion import DEFAULT, poses
from pipeline.image.decode import Photo
from pipeline.image.filters import resize
from pipeline.layers.layering import layer_picture

WIDTH, HEIGHT = 4608, 2592
BAR_SECONDS, BAR_BYTES = 20.0, 1_000_000_000
_LOOK_SECONDS = 0.02


def picture() -> Pictures:
    """A photo at 12 megapixels, with grain, whose depth steps back in four waves."""
    photo = cv2.resize(data.astronaut()[100:388], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    photo = np.clip(photo + np.random.default_rng(0).normal(0, 1.5, photo.shape).round().astype(np.int16), 0, 255).astype(
        np.uint8
    )
    ramp = np.linspace(0, 4, HEIGHT // 8)[:, None] + 0.3 * np.sin(np.linspace(0, 9, WIDTH // 8))[None]
    values = (np.clip(np.floor(ramp), 0, 3) / 3).astype(np.float32)
    layers = layer_picture(photo, None, values, None, num_layers=4)
    made = Pictures(
        "a", Photo(photo, None, None, "sRGB", 8, "PNG"), layers, Depth(source="file", polarity="disparity"), "a", None
    )
    return replace(made, ffmpeg=shutil.which("ffmpeg"))


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Measures the memory of this process and its children; yields a function that returns the peak so far, above the start."""
    ours, held, stop = psutil.Process(), [0], threading.Event()
    before = ours.memory_info().rss

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            tree = [ours, *ours.children(recursive=True)]
            held.append(sum(process.memory_info().rss for process in tree if process.is_running()))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield lambda: max(held) - before
    finally:
        stop.set()
        watching.join()


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def plainly(folder: Path, pictures: Pictures) -> None:
    """The same video as a script would make it: each layer at the frames' size, warped as a whole, blended in floats."""
    camera, size = pictures.camera, frame_size(WIDTH, HEIGHT, DEFAULT.size)
    width, height = size
    layers = [resize(rgba, (height, width), cv2.INTER_AREA).astype(np.float32) / 255 for rgba in pictures.layers.rgba]
    planes = [np.dstack([layer[..., :3] * layer[..., 3:], layer[..., 3]]) for layer in layers]

    def frames() -> Iterator[np.ndarray]:
        for pose in poses(DEFAULT, camera):
            seen = np.zeros((height, width, 3), np.float32)
            for plane, at in zip(planes, camera.planes, strict=True):
                across = pose.zoom * at.travel * pose.aside * width + (1 - pose.zoom) * width / 2
                down = (1 - pose.zoom) * height / 2
                moved = cv2.warpAffine(plane, np.float32([[pose.zoom, 0, across], [0, pose.zoom, down]]), size)
                seen = seen * (1 - moved[..., 3:]) + moved[..., :3]
            yield (seen * 255 + 0.5).astype(np.uint8)

    kind = encoders.choose(pictures.ffmpeg)
    encoders.encode(folder / "plain.mp4", frames(), size=size, fps=DEFAULT.fps, kind=kind, ffmpeg=pictures.ffmpeg)


def main() -> None:
    """Print the table; fail if the video takes longer, or any format more memory, than the bars say."""
    cv2.setNumThreads(os.cpu_count() or 1)
    pictures, wrong = picture(), []
    formats: dict[str, Format] = {"video": video.FORMAT, "webp": webp.FORMAT, "stereo": stereo.FORMAT}
    if encoders.choose(pictures.ffmpeg) == "vp9":
        print("motion: there is no encoder for H.264 here; VP9 has no bar")
    with tempfile.TemporaryDirectory() as made:
        for name, known in formats.items():
            with peak() as held:
                began, busy = time.perf_counter(), processor_seconds()
                files = known.write(Path(made), pictures, lambda _: None)
                took, busy, most = time.perf_counter() - began, processor_seconds() - busy, held()
            size = sum((Path(made) / file).stat().st_size for file in files)
            times = f"{took:6.1f} s, {busy:5.1f} s of processor time"
            print(f"motion: {name:7} {times}, {size / 1e6:5.1f} MB, {most / 1e6:5.0f} MB of memory")
            if most > BAR_BYTES:
                wrong.append(f"{name} needs {most / 1e6:.0f} MB of memory, the bar is {BAR_BYTES / 1e6:.0f}")
            if name == "video" and took > BAR_SECONDS and encoders.choose(pictures.ffmpeg) != "vp9":
                wrong.append(f"the video takes {took:.1f} s, the bar is {BAR_SECONDS}")
        began, busy = time.perf_counter(), processor_seconds()
        plainly(Path(made), pictures)
        took, busy = time.perf_counter() - began, processor_seconds() - busy
        print(f"motion: plain   {took:6.1f} s, {busy:5.1f} s of processor time: the same frames by plain warps of whole layers")
    if wrong:
        raise SystemExit("; ".join(wrong))


if __name__ == "__main__":
    main()
