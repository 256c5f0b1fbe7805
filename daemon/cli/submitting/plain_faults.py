"""Finds what is wrong with a picture before it is dropped, without decoding it."""

import os
from pathlib import Path

from daemon.catalogues.file_kinds import HEAD_BYTES, PICTURES, not_read, sniff
from daemon.cli.submitting.dropping import depth_of
from daemon.cli.submitting.unreadable_files import file_fault, read_fault
from daemon.errors import DepthUnreadable, ImageTooLarge, ImageType, ImageUnreadable, JobError
from daemon.intake.kinds.unread import kind_in_words
from daemon.intake.names import IMAGE_EXTENSIONS, classify, key_of
from daemon.intake.picture_end import END_BYTES, end_is_missing
from daemon.settings import Settings

#: The file system's 255 bytes, minus a number in case the name is taken, and the endings .yaml and .depth.tiff.
_LONGEST_NAME = 230


def picture_fault(image: Path, settings: Settings) -> JobError | None:
    """Why a picture cannot be submitted; None if it can, as far as can be seen without decoding it."""
    if len(os.fsencode(image.name)) > _LONGEST_NAME:
        hint = f"Names may have at most {_LONGEST_NAME} bytes, because the YAML file's name is longer."
        return ImageType(f"{image.name}: the name is too long", hint=hint)
    if (fault := file_fault(image, settings.paths.inbox)) is not None:
        return fault
    if classify(os.fsencode(image.name), in_inbox=True).role not in ("image", "raw"):
        endings = f"{', '.join(IMAGE_EXTENSIONS[:-1])} or {IMAGE_EXTENSIONS[-1]}"
        known = kind_in_words(key_of(os.fsencode(image.name)))
        if known is not None:
            return ImageType(f"{image} is not a supported picture: {known}", hint=f"Pictures end in {endings}.")
        return ImageType(f"{image}: the name isn't a picture's", hint=f"Pictures end in {endings}.")
    depth = depth_of(image)
    return plain_fault(image, settings) or (plain_fault(depth, settings) if depth else None)


def plain_fault(picture: Path, settings: Settings) -> JobError | None:
    """What is wrong with a picture or depth picture that can be seen without decoding it; None if that is nothing.

    It cannot be read, is empty, too large, of a kind that is not read, or its end is missing. The fault of a depth picture has
    the code that the worker gives it.
    """
    if classify(os.fsencode(picture.name), in_inbox=False).role != "depth":
        return file_fault(picture, settings.paths.inbox) or _fault(picture, picture.name, settings)
    if (fault := file_fault(picture, settings.paths.inbox)) is not None:
        return DepthUnreadable(f"the depth picture {fault.message}", hint="Correct that, or take the depth picture away.")
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
    except OSError as error:
        return read_fault(picture, error)
    if size == 0:
        return ImageUnreadable(f"{name} is empty.", hint=ImageUnreadable.hint_if_empty)
    if size > most:
        return ImageTooLarge.in_bytes(name, size, most)
    if end_is_missing(head, tail, size):
        return ImageUnreadable(f"{name} is incomplete: its end is missing.")
    kind = sniff(head[:HEAD_BYTES])
    if kind in PICTURES:
        return None
    message, hint = not_read(name, kind)
    return ImageType(message, hint=hint)
