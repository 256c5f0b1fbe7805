"""What a depth source is. `daemon.contract.registry` lists the sources; each is a module of its own."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from daemon.contract.messages import JobCommand
from daemon.contract.names import to_bytes
from pipeline.depth.depth_map import DepthMap
from pipeline.image.decode import Photo

Progress = Callable[[float], None]


class PassedOver(Exception):
    """`auto` goes on to the next source although this one has something; the sentence becomes a warning of the job."""


def nothing(_picture: Photo, _job: JobCommand, _progress: Progress) -> None:
    """For a source that `auto` never takes."""


@dataclass(frozen=True)
class Source:
    """How depth is got from one source.

    Attributes:
        in_words: what the preview page says of it.
        read: the depth of a picture, for a job that asks for this source. Raises a JobError where there is none.
        find: the same for `auto`; None where this source has nothing for the picture. What there is but cannot be used is a
            JobError, or `PassedOver` if nobody chose it.
        packages: installed packages that had a part in it, for the manifest, beside numpy, OpenCV and Pillow.
        is_guess: the preview page shows the first warning.
    """

    in_words: str
    read: Callable[[Photo, JobCommand, Progress], DepthMap]
    find: Callable[[Photo, JobCommand, Progress], DepthMap | None] = nothing
    packages: tuple[str, ...] = ()
    is_guess: bool = False


def path_of(job: JobCommand, name: str) -> bytes:
    """A file of the job's source folder."""
    return os.path.join(os.fsencode(job.source), to_bytes(name))
