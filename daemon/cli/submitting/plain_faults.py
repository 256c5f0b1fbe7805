"""Finds what is wrong with a picture before it is dropped, without decoding it."""

import os
from pathlib import Path

from daemon.errors import DepthUnreadable, ImageTooLarge, ImageUnreadable, JobError
from daemon.intake.names import classify
from daemon.intake.picture_end import END_BYTES, end_is_missing
from daemon.settings import Settings


def plain_fault(picture: Path, settings: Settings) -> JobError | None:
    """What is wrong with a picture or depth picture that can be seen without decoding it; None if that is nothing.

    It is empty, too large, or its end is missing. A file that cannot be read has no such fault. The fault of a depth picture has
    the code that the worker gives it.
    """
    if classify(os.fsencode(picture.name), in_inbox=False).role != "depth":
        return _fault(picture, picture.name, settings)
    fault = _fault(picture, f"The depth picture {picture.name}", settings)
    return fault and DepthUnreadable(fault.message)


def _fault(picture: Path, name: str, settings: Settings) -> JobError | None:
    most = settings.limits.max_image_bytes
    try:
        with open(picture, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(END_BYTES)
            file.seek(max(0, size - END_BYTES))
            tail = file.read(END_BYTES)
    except OSError:
        return None
    if size == 0:
        return ImageUnreadable(f"{name} is empty.", hint=ImageUnreadable.hint_if_empty)
    if size > most:
        return ImageTooLarge.in_bytes(name, size, most)
    return ImageUnreadable(f"{name} is incomplete: its end is missing.") if end_is_missing(head, tail, size) else None
