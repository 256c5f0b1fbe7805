"""How near a video's first frame is to the photo, for each encoder that this machine has, on small photos, which suffer most.

Run: python -m tests.benchmarks.pictures.bench_first_frames
Four measures in dB: brightness alone; RGB against the photo as 4:2:0 (averaged colour differences at half the size) carries it;
RGB against the photo as it was drawn in the size of the frames, beside the most that 4:2:0 allows; the frame reduced to the size
of the photo, against the photo itself. An `ffmpeg` gives the samples as they are stored, and colour differences are enlarged
bilinearly. The bar is 40 dB for the first three.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from daemon.contract.manifest import Depth
from pipeline.depth import cues
from pipeline.export.format import Pictures
from pipeline.export.moving import encoders, video
from pipeline.export.moving.motion import DEFAULT, poses
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture
from tests.unit.pictures import SAMPLES

BAR = 40.0
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
DESK = SAMPLES / "tum_desk_rgb.png"
"""The most colourful detail of all sample pictures. It is beside the project, not everywhere."""
LONG = 30
"""Frames of each video: a key frame, and enough of the others that an encoder shares its bits as in a whole one."""
BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)

Floats = NDArray[np.float64]


def photos() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and photos, uint8 (H, W, 3)."""
    for name in PHOTOS:
        yield name, getattr(data, name)()
    if DESK.is_file():
        yield "desk", np.asarray(Image.open(DESK).convert("RGB"))


def layered(rgb: NDArray[np.uint8]) -> Pictures:
    """The photo in four layers."""
    layers = layer_picture(rgb, None, cues.read(rgb, fetch=None, wanted=4).values, None, num_layers=4)
    return Pictures("a", Photo(rgb, None, None, "sRGB", 8, "PNG"), layers, Depth(source="file", polarity="disparity"), "a", None)


def split(rgb: NDArray[np.uint8], matrix: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
    """Brightness and colour differences, in video levels but not rounded."""
    red, blue = matrix
    light = rgb @ np.array([red, 1 - red - blue, blue])
    return (
        16 + light * 219 / 255,
        128 + (rgb[..., 2] - light) / (2 - 2 * blue) * 224 / 255,
        128 + (rgb[..., 0] - light) / (2 - 2 * red) * 224 / 255,
    )


def joined(light: Floats, blues: Floats, reds: Floats, matrix: tuple[float, float]) -> Floats:
    """RGB (H, W, 3), 0 to 255, with the colour differences (H / 2, W / 2) enlarged."""
    red, blue = matrix
    size = light.shape[1], light.shape[0]
    b, r = ((cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) - 128) * 255 / 224 for each in (blues, reds))
    y = (light - 16) * 255 / 219
    r, b = y + (2 - 2 * red) * r, y + (2 - 2 * blue) * b
    return np.clip(np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1), 0, 255)


def stored(ffmpeg: str, video: Path, size: tuple[int, int]) -> Iterator[Floats]:
    """The three planes of the first frame."""
    command = [ffmpeg, "-v", "error", "-i", video, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    samples = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).astype(np.float64)
    width, height = size
    for plane, divided in zip(np.split(samples, [width * height, width * height * 5 // 4]), (1, 2, 2), strict=True):
        yield plane.reshape(height // divided, width // divided)


def decibels(seen: Floats, wanted: Floats | NDArray[np.uint8], peak: float = 255.0) -> float:
    return float(10 * np.log10(peak**2 / max(np.mean((seen - wanted) ** 2), 1e-9)))


def main() -> None:
    """Print the table; fail below the bars."""
    ffmpeg, wrong = shutil.which("ffmpeg"), []
    if ffmpeg is None:
        print("first_frames: there is no ffmpeg here to read videos with")
        return
    said = subprocess.run([ffmpeg, "-hide_banner", "-encoders"], capture_output=True, check=True).stdout
    kinds: list[encoders.Kind] = ["vp9"]
    kinds += ["ffmpeg-vp9"] if b" libvpx-vp9 " in said else []
    kinds += ["ffmpeg"] if b" libx264 " in said else []
    for name, rgb in photos():
        pictures = layered(rgb)
        for kind in kinds:
            frames = video.frames_for(kind, pictures)
            drawn = [frames.at(pose) for pose in islice(poses(DEFAULT, frames.camera), LONG)]
            size, matrix = frames.size, BT601 if kind == "vp9" else BT709
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "a.mp4"
                encoders.encode(target, drawn, size=size, fps=DEFAULT.fps, kind=kind, ffmpeg=ffmpeg)
                light, *colours = stored(ffmpeg, target, size)
            wanted, *whole = split(drawn[0], matrix)
            halves = [cv2.resize(each, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA) for each in whole]
            carried, seen = joined(wanted, *halves, matrix), joined(light, *colours, matrix)
            measured = decibels(light, wanted, 219), decibels(seen, carried), decibels(seen, drawn[0])
            limit = decibels(carried, drawn[0])
            reduced = decibels(cv2.resize(seen, rgb.shape[1::-1], interpolation=cv2.INTER_AREA), rgb)
            row = "brightness {:.1f}, as 4:2:0 carries it {:.1f}, RGB {:.1f}".format(*measured)
            print(f"first_frames: {name:9} {kind:10} {row} of {limit:.1f}, reduced {reduced:.1f} dB", flush=True)
            wrong += [f"{name} by {kind}"] if min(measured) < BAR else []
    if wrong:
        raise SystemExit(f"first_frames: below {BAR:.0f} dB: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
