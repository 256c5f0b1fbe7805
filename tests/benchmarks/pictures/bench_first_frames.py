"""How near a video's first frame is to the photo, for each encoder that this machine has, on four photos.

Run: python -m tests.benchmarks.pictures.bench_first_frames
Three measures in dB: brightness alone; RGB against the photo as 4:2:0 (averaged colour differences at half the size) carries it;
RGB against the photo, beside the most that 4:2:0 allows. An `ffmpeg` gives the samples as they are stored, and colour differences
are enlarged bilinearly. The bars are 40 dB for brightness and for what 4:2:0 carries, and with libx264 also for RGB, if 4:2:0
allows that much.
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
from skimage import data

from daemon.contract.manifest import Depth
from pipeline.depth import cues
from pipeline.export.format import Pictures
from pipeline.export.moving import encoders
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import DEFAULT, poses
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture

BAR = 40.0
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
LONG = 30
"""Frames of each video: a key frame, and enough of the others that an encoder shares its bits as in a whole one."""
BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)

Floats = NDArray[np.float64]


def frames(rgb: NDArray[np.uint8]) -> tuple[tuple[int, int], list[NDArray[np.uint8]]]:
    """The size of the frames, and the first ones of the default motion."""
    layers = layer_picture(rgb, None, cues.read(rgb, fetch=None, wanted=4).values, None, num_layers=4)
    photo = Photo(rgb, None, None, "sRGB", 8, "PNG")
    drawn = Frames(Pictures("a", photo, layers, Depth(source="file", polarity="disparity"), "a", None), DEFAULT.size)
    return drawn.size, [drawn.at(pose) for pose in islice(poses(DEFAULT, drawn.camera), LONG)]


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
    for name in PHOTOS:
        size, drawn = frames(getattr(data, name)())
        for kind in kinds:
            matrix = BT601 if kind == "vp9" else BT709
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "a.mp4"
                encoders.encode(target, drawn, size=size, fps=DEFAULT.fps, kind=kind, ffmpeg=ffmpeg)
                light, *colours = stored(ffmpeg, target, size)
            wanted, *whole = split(drawn[0], matrix)
            halves = [cv2.resize(each, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA) for each in whole]
            carried, seen = joined(wanted, *halves, matrix), joined(light, *colours, matrix)
            measured = decibels(light, wanted, 219), decibels(seen, carried), decibels(seen, drawn[0])
            limit = decibels(carried, drawn[0])
            row = "brightness {:.1f}, as 4:2:0 carries it {:.1f}, RGB {:.1f}".format(*measured)
            print(f"first_frames: {name:9} {kind:10} {row} of {limit:.1f} dB")
            below = min(measured[:2]) < BAR or (kind == "ffmpeg" and limit > BAR > measured[2])
            wrong += [f"{name} by {kind}"] if below else []
    if wrong:
        raise SystemExit(f"first_frames: below {BAR:.0f} dB: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
