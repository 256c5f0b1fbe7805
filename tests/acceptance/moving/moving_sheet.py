"""The pictures of what moves: python -m tests.acceptance.moving.moving_sheet.

Frames of each motion, at rest and at its extremes, into reference_motion.jpg; the loop in README.md into reference_motion.webp.
To be made again, and looked at, whenever the frames change.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from daemon.contract.manifest import Depth
from daemon.contract.spec import MotionName
from pipeline.export.format import Pictures
from pipeline.export.moving import webp
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import Motion, pose
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture

HERE = Path(__file__).parents[1]
SHEET, LOOP = HERE / "reference_motion.jpg", HERE / "reference_motion.webp"
TIMES = (0.0, 1 / 5, 1 / 3, 1 / 2, 2 / 3)
SIDE, GAP, TEXT = 320, 10, 24
MOST_BYTES = 1_500_000


def portrait() -> Pictures:
    """The portrait in README.md, with the depth painted by hand, in four layers."""
    rgb = data.astronaut()
    values = np.asarray(Image.open(HERE / "astronaut.depth.png")).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    layers = layer_picture(rgb, None, values, None, num_layers=4)
    photo = Photo(rgb, None, None, "sRGB", 8, "PNG")
    return Pictures("astronaut", photo, layers, Depth(source="file", polarity="disparity"), "a file", None)


def sheet(pictures: Pictures) -> Image.Image:
    """A row for each motion."""
    frames, names = Frames(pictures, 640), get_args(MotionName)
    out = Image.new("RGB", (len(TIMES) * (SIDE + GAP) + GAP, len(names) * (SIDE + TEXT + GAP) + GAP), (26, 26, 28))
    pen, font = ImageDraw.Draw(out), ImageFont.load_default(16)
    for row, name in enumerate(names):
        for column, time in enumerate(TIMES):
            seen = frames.at(pose(Motion(name), frames.camera, time))
            x, y = GAP + column * (SIDE + GAP), GAP + row * (SIDE + TEXT + GAP)
            out.paste(Image.fromarray(cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA)), (x, y))
            pen.text((x, y + SIDE + 3), f"{name}, {time:.0%} of the loop", (225, 225, 225), font)
    return out


def main() -> None:
    """Draw and save."""
    pictures = portrait()
    sheet(pictures).save(SHEET, quality=85)
    LOOP.unlink(missing_ok=True)
    (name,) = webp.FORMAT.write(HERE, replace(pictures, motion=Motion("orbit", seconds=4.0, fps=15, size=400)), lambda _: None)
    (HERE / name).rename(LOOP)
    if LOOP.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{LOOP.name} has {LOOP.stat().st_size} bytes; README.md should not load more than {MOST_BYTES}")


if __name__ == "__main__":
    main()
