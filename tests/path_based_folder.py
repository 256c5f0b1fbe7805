"""A `HeldFolder` for the tests' disks: it calls the disk's own operations with paths.

So a disk that counts, records or fails operations does the same for those on held folders. The folder is not really held:
folders that are exchanged by others are tested on a real disk.
"""

import errno
import os
from collections.abc import Iterator

from daemon.fs import DirEntry, FileSystem, Stat, Wanted


class ByPath:
    """`HeldFolder` over any `FileSystem`."""

    def __init__(self, fs: FileSystem, path: bytes) -> None:
        found = fs.lstat(path)
        if found.kind != "directory":
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        self.fs, self.path, self.dev, self.ino = fs, path, found.dev, found.ino
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """A descriptor of the folder on a real disk, for handing it to a process."""
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        return self._fd

    def __enter__(self) -> "ByPath":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _at(self, name: bytes) -> bytes:
        assert b"/" not in name
        return os.path.join(self.path, name)

    def enter(self, name: bytes) -> "ByPath":
        return ByPath(self.fs, self._at(name))

    def lstat(self, name: bytes) -> Stat:
        return self.fs.lstat(self._at(name))

    def scan(self) -> list[DirEntry]:
        return self.fs.scan(self.path)

    def _check(self, name: bytes, wanted: Wanted | None) -> None:
        if wanted and not wanted.matches(self.lstat(name)):
            raise OSError(errno.ESTALE, "it is no longer the file that was checked", self._at(name))

    def read(self, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
        self._check(name, wanted)
        return self.fs.read(self._at(name), limit)

    def ends(self, name: bytes, most: int, wanted: Wanted) -> tuple[bytes, bytes]:
        data = self.read(name, wanted.size, wanted)
        return data[:most], data[-most:]

    def digest(self, name: bytes) -> str:
        return self.fs.digest(self._at(name))

    def owner(self, name: bytes) -> str | None:
        return None

    def written_elsewhere(self, name: bytes) -> bool:
        return False

    def removal_obstacle(self, name: bytes) -> str | None:
        return None

    def move(self, name: bytes, to: "ByPath", new: bytes) -> None:
        self.fs.rename(self._at(name), to._at(new))

    def link(self, name: bytes, to: "ByPath", new: bytes) -> None:
        self.fs.link(self._at(name), to._at(new))

    def copy(self, name: bytes, to: "ByPath", new: bytes, wanted: Wanted) -> str:
        self._check(name, wanted)
        return self.fs.copy(self._at(name), to._at(new))

    def copy_in_background(self, name: bytes, to: "ByPath", new: bytes, wanted: Wanted) -> Iterator[None]:
        self.copy(name, to, new, wanted)
        yield

    def duplicate(self, name: bytes, to: "ByPath", new: bytes) -> None:
        self.fs.copy(self._at(name), to._at(new))

    def create(self, name: bytes) -> int:
        return self.fs.create(self._at(name))

    def write(self, fd: int, data: bytes) -> int:
        return self.fs.write(fd, data)

    def sync(self, fd: int) -> None:
        self.fs.sync(fd)

    def close(self, fd: int) -> None:
        self.fs.close(fd)

    def rename(self, source: bytes, target: bytes) -> None:
        self.fs.rename(self._at(source), self._at(target))

    def unlink(self, path: bytes) -> None:
        self.fs.unlink(self._at(path))

    def mkdir(self, name: bytes) -> None:
        self.fs.mkdir(self._at(name))

    def rmdir(self, name: bytes) -> None:
        self.fs.rmdir(self._at(name))

    def sync_dir(self, path: bytes = b"") -> None:
        assert not path
        self.fs.sync_dir(self.path)
