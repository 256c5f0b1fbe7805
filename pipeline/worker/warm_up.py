"""The recipe up to its files, run once in advance on a tiny picture by a warm worker that waits for its job.

Whatever Python, OpenCV and Pillow load, build or set up when it is first used is then there when the job comes: measured, a
tenth of the work on a small photo, for as much time in advance. Files would cost more in advance than they save later. Nothing
of the rehearsal is kept, and no result depends on whether there was one.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from pipeline.run import run

#: Every step has something to do at this size; what grows with the picture is not worth the wait.
_HEIGHT, _WIDTH = 48, 64


class _Enough(Exception):
    """The job is there, or there is nothing more to be gained."""


def rehearse(called: Callable[[], bool]) -> None:
    """Take a small photo apart, and throw it away.

    Args:
        called: whether a job waits. It is asked between the steps, each of which takes some hundredths of a second; where it
            says so the rehearsal ends.

    Raises:
        OSError: the temporary folder cannot be written.
        JobError: the recipe cannot be done; the job itself will say so with its own words.
    """

    def go_on(stage: str, _share: float) -> None:
        if stage == "export" or called():
            raise _Enough

    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as folder:
        try:
            go_on("", 0.0)
            run(_stamp(Path(folder)), go_on)
        except _Enough:
            return


def _stamp(folder: Path) -> JobCommand:
    """Write a floor that comes nearer with a disc on it, and its depth; returns the command for them."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    disc = (x - _WIDTH / 2) ** 2 + (y - _HEIGHT / 2) ** 2 < (_HEIGHT / 4) ** 2
    rgb = np.stack([4 * x, 5 * y, np.where(disc, 220, 30)], axis=2).astype(np.uint8)
    depth = np.where(disc, 0.9, y / _HEIGHT * 0.7)
    photo = folder / "photo.jpg"
    Image.fromarray(rgb).save(photo, "JPEG")
    Image.fromarray((depth * 65535).astype(np.uint16)).save(folder / "depth.png", "PNG")
    found = photo.stat()
    return JobCommand(
        job_id="rehearsal",
        attempt=os.fspath(folder),
        source=os.fspath(folder),
        image=photo.name,
        image_bytes=found.st_size,
        image_mtime_ns=found.st_mtime_ns,
        depth_picture="depth.png",
        spec=JobSpec(depth="file"),
        limits=Limits(max_bytes=1 << 20, max_pixels=_HEIGHT * _WIDTH),
        models=os.fspath(folder),
        threads=1,
    )
