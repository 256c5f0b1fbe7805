"""Resolves paths in a folder where strangers can write: opens each folder from its parent, and follows no link."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Location:
    """A file's name and the descriptor of its open folder. If `folder` is None, `name` is a whole path.

    As a context manager, it closes the folder when the block ends.
    """

    name: bytes
    folder: int | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            os.close(self.folder)


def names_below(root: bytes | None, path: bytes) -> list[bytes]:
    """The names on the way from `root` to `path`. Empty if `root` is None, or if the path is not below it.

    `root` must end with a slash.

    Raises:
        OSError: one of the names is `..` (EINVAL).
    """
    if root is None or not path.startswith(root):
        return []
    names = [name for name in path[len(root) :].split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise OSError(errno.EINVAL, "the path leads up again", path)
    return names


def descend(root: bytes, names: Sequence[bytes]) -> int:
    """Open a folder, name by name from `root`; the caller closes it.

    Raises:
        NotADirectoryError: there is a link or a file in the place of a folder.
        OSError: a folder cannot be opened.
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
    """Open a folder (not a link) in an open folder; the caller closes both.

    Raises:
        NotADirectoryError: the name belongs to something else, such as a link.
        OSError: the folder cannot be opened.
    """
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # for a link, systems report one or the other
            raise
        shown = name.decode(errors="replace")
        raise NotADirectoryError(errno.ENOTDIR, f"a link or a file is in the place of the folder {shown}", name) from error


def locate_below(root: bytes, names: Sequence[bytes]) -> Location:
    """Locate the last of these names in its folder, which the caller closes. Raises the same errors as `descend`."""
    return Location(names[-1], descend(root, names[:-1]))
