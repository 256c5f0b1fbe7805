"""Finds out why a file that was named on the command line cannot be read: it is not there, is no file, or may not be read."""

import errno
import os
import stat
from pathlib import Path

from daemon.errors import ImageType, JobError, SourceMissing

#: What is no file, by its type: what it is called, and what to do about it.
_NO_FILES = {
    stat.S_IFIFO: ("a pipe", "Save its content as a file first, and name that."),
    stat.S_IFSOCK: ("a socket", "Name a picture."),
    stat.S_IFCHR: ("a device", "Name a picture."),
    stat.S_IFBLK: ("a device", "Name a picture."),
}
_CHECK_NAME = "Check the name and the folder."


def file_fault(path: Path, inbox: Path) -> JobError | None:
    """Why nothing can be read from a path; None if it is a file, or a link to one, and may be read.

    Only a file is opened, so a pipe does not keep anybody waiting. `inbox`: where a folder of pictures can be dropped.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind == stat.S_IFREG:
            path.open("rb").close()
            return None
    except OSError as error:
        return read_fault(path, error)
    if kind == stat.S_IFDIR:
        hint = f"Name the pictures in it, or drop it into a folder of {inbox} that has a _preset.yaml."
        return ImageType(f"{path} is a folder, not a picture", hint=hint)
    what, hint = _NO_FILES.get(kind, ("no file", "Name a picture."))
    return ImageType(f"{path} is {what}, not a picture", hint=hint)


def read_fault(path: Path, error: OSError) -> JobError:
    """The fault of a file that cannot be found, opened or read because of this error."""
    if error.errno == errno.ELOOP:
        return SourceMissing(f"{path}: the links lead in a circle", hint="Name the picture itself, or correct the links.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if os.path.islink(path):
            hint = "Name the picture itself, or correct the link."
            return SourceMissing(f"{path} is a link to {os.path.realpath(path)}, which is not there", hint=hint)
        return SourceMissing(f"{path}: no such file", hint=_CHECK_NAME)
    hint = _CHECK_NAME
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "Correct its permissions, or those of its folder."
    elif error.errno == errno.EIO:
        hint = "Check the disk that it is on."
    return SourceMissing(f"{path} cannot be read: {error.strerror}", hint=hint)
