"""Writes `motion.mp4`: the loop as a video."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.moving import encoders
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import poses

_FILE = "motion.mp4"
_VP9_LONGER = 1280
"""Most pixels on the longer side of a VP9 video by OpenCV, whose encoder takes half a second for such a frame on one core."""
_ENLARGED = 2
"""How many times as large as the photo its frames may be. Every video stores colour differences at half the size of its frames
(4:2:0). In frames twice as large as the photo, that is the photo's own size: for eight photos of 0.14 to 0.31 megapixels, it then
allows the first frame 41 to 58 dB in RGB, instead of 33 to 54 dB.
"""
_NO_H264 = (
    "motion.mp4 is in VP9{0}, because no encoder for H.264 was found: browsers and VLC play it, QuickTime and older programs do "
    "not. Install ffmpeg with libx264 to get H.264."
)
REMARKS = {"ffmpeg-vp9": _NO_H264.format(""), "vp9": _NO_H264.format(f" and at most {_VP9_LONGER} pixels large")}


def frames_for(kind: encoders.Kind, pictures: Pictures) -> Frames:
    """What draws the frames, in the size in which this encoder gets them."""
    size = pictures.motion.size
    return Frames(pictures, min(size, _VP9_LONGER) if kind == "vp9" else size, _ENLARGED)


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    motion, kind = pictures.motion, encoders.choose(pictures.ffmpeg)
    frames = frames_for(kind, pictures)

    def drawn() -> Iterator[NDArray[np.uint8]]:
        for number, pose in enumerate(poses(motion, frames.camera)):
            progress(number / motion.frames)
            yield frames.at(pose)

    encoders.encode(folder / _FILE, drawn(), size=frames.size, fps=motion.fps, kind=kind, ffmpeg=pictures.ffmpeg)
    return [_FILE]


def _programs(pictures: Pictures) -> dict[str, str]:
    return encoders.programs(pictures.ffmpeg)


def _remarks(pictures: Pictures) -> tuple[str, ...]:
    kind = encoders.choose(pictures.ffmpeg)
    return (REMARKS[kind],) if kind in REMARKS else ()


#: The cost was measured on photos of 12 megapixels with four layers.
FORMAT = Format(title="Video", cost=10.0, file=lambda _: _FILE, write=_write, remarks=_remarks, programs=_programs)
