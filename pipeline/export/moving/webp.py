"""Writes `motion.webp`: the loop as an animated picture, for pages and messages. It repeats for ever."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.moving.frames import Frames
from pipeline.export.moving.motion import Pose, poses

_FILE = "motion.webp"
_LONGER, _FPS = 720, 15
"""Most pixels and frames per second: programs load an animated picture as a whole, and each frame costs as much as a photo."""
_QUALITY, _EFFORT = 78, 2  # WebP; effort 4, the default, takes twice as long for 5 % fewer bytes


class Loop(Image.Image):
    """All frames as one picture, in the way of Pillow's own pictures with several frames: each is drawn when it is sought."""

    def __init__(self, frames: Frames, path: Sequence[Pose], progress: Progress) -> None:
        super().__init__()
        self._frames, self._path, self._progress = frames, path, progress
        self._mode, self._size = "RGB", frames.size
        self.n_frames = len(path)
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Draw a frame."""
        self.im = Image.fromarray(self._frames.at(self._path[frame])).im
        self._number = frame
        self._progress(frame / self.n_frames)

    def tell(self) -> int:
        """The number of the frame that was drawn last."""
        return self._number


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    motion = pictures.motion
    motion = replace(motion, fps=min(motion.fps, _FPS), size=min(motion.size, _LONGER))
    frames = Frames(pictures, motion.size)
    loop = Loop(frames, tuple(poses(motion, frames.camera)), progress)
    with (folder / _FILE).open("xb") as file:
        loop.save(file, "WEBP", save_all=True, duration=1000.0 / motion.fps, loop=0, quality=_QUALITY, method=_EFFORT)
    return [_FILE]


#: The cost was measured on photos of 12 megapixels with four layers.
FORMAT = Format(title="Loop", cost=6.0, file=lambda _: _FILE, write=_write)
