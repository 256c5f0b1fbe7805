"""Finds what is wrong with a picture before it is dropped, without decoding it."""

import os
from pathlib import Path

from daemon.cli.submitting.dropping import depth_of
from daemon.errors import DepthUnreadable, ImageTooLarge, ImageUnreadable, JobError
from daemon.intake.names import IMAGE_EXTENSIONS, classify
from daemon.intake.picture_end import END_BYTES, end_is_missing
from daemon.settings import Settings

#: The file system's 255 bytes, minus a number in case the name is taken, and the endings .yaml and .depth.tiff.
_LONGEST_NAME = 230


def picture_fault(image: Path, settings: Settings) -> tuple[str, str] | None:
    """Why a picture cannot be submitted, and a hint; None if it can, as far as can be seen without decoding it."""
    if len(os.fsencode(image.name)) > _LONGEST_NAME:
        hint = f"Names may have at most {_LONGEST_NAME} bytes, because the YAML file's name is longer."
        return f"{image.name}: the name is too long", hint
    if image.is_dir():
        hint = f"Name the pictures in it, or drop it into a folder of {settings.paths.inbox} that has a _preset.yaml."
        return f"{image} is a folder, not a picture", hint
    if not image.is_file():
        return f"{image}: no such file", "Check the name and the folder."
    if classify(os.fsencode(image.name), in_inbox=True).role not in ("image", "raw"):
        endings = f"{', '.join(IMAGE_EXTENSIONS[:-1])} or {IMAGE_EXTENSIONS[-1]}"
        return f"{image}: the name isn't a picture's", f"Pictures end in {endings}."
    for path in filter(None, (image, depth_of(image))):
        if (fault := plain_fault(path, settings)) is not None:
            return fault.message, fault.info().hint
        try:
            path.open("rb").close()
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}", "Correct its permissions."
    return None


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
