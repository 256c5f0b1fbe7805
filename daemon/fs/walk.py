"""Walks a tree of any depth that somebody else made, with one open descriptor at a time.

No path is ever passed to the system, because it cannot open a path longer than its limit (4,096 bytes on Linux). Files below
that depth take up space as well, so they must be found.
"""

import errno
import os
import stat
from collections.abc import Iterator

from daemon.fs.protocol import Kind, TreeEntry

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def kind_of(mode: int) -> Kind:
    """The kind of file that a mode stands for."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def walk(folder: int) -> Iterator[TreeEntry]:
    """Everything below an open folder. Closes the folder's descriptor. See `FileSystem.tree`."""
    walker = _Walker(folder)
    try:
        yield from walker.entries()
        while walker.advance():
            yield from walker.entries()
    finally:
        os.close(walker.fd)


class _Walker:
    """Visits one folder at a time. It holds a descriptor for that folder only, and returns to the parent through `..`."""

    def __init__(self, folder: int) -> None:
        self.fd = folder
        self._trail: list[bytes] = []
        self._above: list[tuple[tuple[int, int], list[bytes]]] = []
        self._folders: list[bytes] = []

    def entries(self) -> Iterator[TreeEntry]:
        """Everything in the current folder."""
        with os.scandir(self.fd) as found:
            for entry in found:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                child = TreeEntry(self._trail, os.fsencode(entry.name), kind_of(seen.st_mode), seen.st_size, seen.st_blocks * 512)
                if child.kind == "directory":
                    self._folders.append(child.name)
                yield child

    def advance(self) -> bool:
        """Go to the next folder in depth-first order. False if all folders have been visited."""
        while True:
            while self._folders:
                if self._enter(self._folders.pop()):
                    return True
            if not self._above:
                return False
            self._exchange(os.open(b"..", _FOLDER, dir_fd=self.fd))
            self._trail.pop()
            identity, self._folders = self._above.pop()
            if self._identity() != identity:
                raise OSError(errno.ESTALE, "a folder was moved while it was read")

    def _enter(self, name: bytes) -> bool:
        try:
            child = os.open(name, _FOLDER, dir_fd=self.fd)
        except (FileNotFoundError, NotADirectoryError):
            return False  # it is gone, or is something else now
        self._above.append((self._identity(), self._folders))
        self._trail.append(name)
        self._folders = []
        self._exchange(child)
        return True

    def _exchange(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd

    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self.fd)
        return found.st_dev, found.st_ino
