"""Paths below a folder in which strangers write: each folder of them is opened from the one above, and no link is followed."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class At:
    """A name and the open folder that it is in; none: the name is a whole path."""

    name: bytes
    folder: int | None


def names_below(root: bytes | None, path: bytes) -> list[bytes]:
    """The names that lead from a folder to a path; none if the path is not below it. `root` ends with a slash.

    Raises:
        OSError: one of them leads up again (EINVAL).
    """
    if root is None or not path.startswith(root):
        return []
    names = [name for name in path[len(root) :].split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise OSError(errno.EINVAL, "the path leads up again", path)
    return names


def descend(root: bytes, names: Sequence[bytes]) -> int:
    """Open a folder, name by name from `root` on; the caller closes it.

    Raises:
        NotADirectoryError: a link or a file is in the place of one of the folders.
        OSError: one cannot be opened.
    """
    fd = os.open(root.rstrip(b"/") or b"/", _ROOT)
    for name in names:
        try:
            fd, above = enter(fd, name), fd
        except OSError:
            os.close(fd)
            raise
        os.close(above)
    return fd


def enter(folder: int, name: bytes) -> int:
    """Open a folder in an open folder, no link; the caller closes both.

    Raises:
        NotADirectoryError: something else has the name; a link says so.
        OSError: it cannot be opened.
    """
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # systems give either answer for a link
            raise
        raise NotADirectoryError(errno.ENOTDIR, "a link or a file is in the place of this folder", name) from error


@contextlib.contextmanager
def place_below(root: bytes, names: Sequence[bytes]) -> Iterator[At]:
    """The last of the names, and its folder, which is open for as long as the block runs; raises as `descend` does."""
    folder = descend(root, names[:-1])
    try:
        yield At(names[-1], folder)
    finally:
        os.close(folder)
