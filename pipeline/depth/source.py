"""Defines what a depth source is. `daemon.contract.registry` lists the sources; each has its own module."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from daemon.contract.messages import JobCommand
from daemon.contract.names import to_bytes
from pipeline.depth.depth_map import DepthMap
from pipeline.image.decode import Photo

Progress = Callable[[float], None]


class PassedOver(Exception):
    """Raised by a source with unusable depth, to make `auto` try the next source. The message becomes a warning of the job."""


def nothing(_picture: Photo, _job: JobCommand, _progress: Progress) -> None:
    """The `find` of a source that `auto` never uses: always None."""


@dataclass(frozen=True)
class Source:
    """How to get depth from one source.

    Attributes:
        in_words: what the preview page says about it.
        read: returns the depth of a picture, for a job that asks for this source. Raises a JobError if there is none.
        find: the same for `auto`; returns None if this source has no depth for the picture. If its depth is unusable, raises a
            JobError, or `PassedOver` if nobody chose the source.
        packages: the installed packages that the source uses besides numpy, OpenCV and Pillow, for the manifest.
    """

    in_words: str
    read: Callable[[Photo, JobCommand, Progress], DepthMap]
    find: Callable[[Photo, JobCommand, Progress], DepthMap | None] = nothing
    packages: tuple[str, ...] = ()


def path_of(job: JobCommand, name: str) -> bytes:
    """The path of a file in the job's source folder."""
    return os.path.join(os.fsencode(job.source), to_bytes(name))
