"""Finds what is wrong with a picture before it is dropped, without decoding it."""

import os
from pathlib import Path

from daemon.errors import DepthUnreadable, ImageTooLarge, ImageUnreadable, JobError
from daemon.intake.names import classify
from daemon.intake.picture_end import END_BYTES, end_is_missing
from daemon.settings import Settings


def plain_fault(picture: Path, settings: Settings) -> JobError | None:
    """What is wrong with a picture or depth picture that can be seen without decoding it; None if that is nothing.

    It is empty, too large, or its end is missing. A file that cannot be read has no such fault.
    """
    is_depth = classify(os.fsencode(picture.name), in_inbox=True).role == "depth"
    unreadable = DepthUnreadable if is_depth else ImageUnreadable
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
        return unreadable(f"{picture.name} is empty.")
    if size > most:
        return ImageTooLarge.in_bytes(picture.name, size, most)
    return unreadable(f"{picture.name} is incomplete: its end is missing.") if end_is_missing(head, tail, size) else None
