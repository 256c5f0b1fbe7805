"""A folder on the real disk that is held open, and access to the files in it. No path is resolved twice; no link is followed."""

import contextlib
import errno
import functools
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from functools import partial
from typing import Self

from daemon.fs.background import LARGE, run_in_thread
from daemon.fs.modes import SHARED, Modes
from daemon.fs.protocol import DirEntry, HeldFolder, Kind, Stat, Wanted
from daemon.fs.removable import folder_obstacle, name_obstacle
from daemon.fs.untrusted_paths import enter
from daemon.fs.walk import kind_of
from daemon.platform.durability import full_sync
from daemon.platform.files import clone, copy_attributes, is_fixed, open_for_writing_elsewhere

_CHUNK = 1 << 20
#: Flags that open a name without following a link, and without waiting for the other end of a FIFO.
SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOT_CHECKED = "not checked yet"


def as_stat(found: os.stat_result) -> Stat:
    """Convert the result of lstat or fstat."""
    return Stat(kind_of(found.st_mode), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def entry_kind(entry: os.DirEntry[bytes] | os.DirEntry[str]) -> Kind:
    """The kind of an entry from `scandir`."""
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


@contextlib.contextmanager
def open_regular(path: bytes, *, folder: int | None = None, wanted: Wanted | None = None) -> Iterator[int]:
    """Open a regular file for reading while the block runs. Yields its descriptor.

    Args:
        path: the file's path; relative to `folder` if that is given.
        folder: descriptor of an open folder.
        wanted: the file that must have this name; None allows any regular file.

    Raises:
        OSError: it cannot be opened, is not a regular file (EINVAL), or is not the wanted file (ESTALE).
    """
    fd = os.open(path, os.O_RDONLY | SAFE, dir_fd=folder)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        if wanted and not wanted.matches(as_stat(found)):
            raise OSError(errno.ESTALE, "it is no longer the file that was checked", path)
        yield fd
    finally:
        os.close(fd)


def read_at(folder: int, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
    """At most `limit` bytes of a regular file in an open folder. Raises the same OSErrors as `open_regular`."""
    with open_regular(name, folder=folder, wanted=wanted) as fd, os.fdopen(os.dup(fd), "rb") as file:
        return file.read(limit)


def copy_open(reading: int, writing: int) -> str:
    """Copy bytes, attributes and times between open files, durably; closes `writing`. Returns the SHA-256 of what was read."""
    digest = hashlib.sha256()
    with contextlib.ExitStack() as held:
        held.callback(os.close, writing)
        times = os.fstat(reading)
        while chunk := os.read(reading, _CHUNK):
            digest.update(chunk)
            while chunk:
                chunk = chunk[os.write(writing, chunk) :]
        _finish_copy(reading, writing, times)
    return digest.hexdigest()


def _finish_copy(reading: int, writing: int, times: os.stat_result) -> None:
    """Give a copy the attributes and times of the original, and make it durable."""
    copy_attributes(reading, writing)
    os.utime(writing, ns=(times.st_atime_ns, times.st_mtime_ns))
    full_sync(writing)


def _copying(reading: int, folder: "LocalFolder", new: bytes) -> Iterator[None]:
    """Copy an open file into a folder, durably, except for the name; closes `reading`. Yields while a large copy is made.

    If the disk can do this, the copy shares the blocks of the original.
    """
    with contextlib.ExitStack() as held:
        held.callback(os.close, reading)
        if folder.clone(reading, new):
            return
        writing = folder.create(new)
        if os.fstat(reading).st_size < LARGE:
            copy_open(reading, writing)
            return
        held.pop_all()
    yield from run_in_thread(partial(_copy_and_close, reading, writing))


def _copy_and_close(reading: int, writing: int) -> None:
    try:
        copy_open(reading, writing)
    finally:
        os.close(reading)


def sync_folder(fd: int) -> None:
    """Wait until the names in an open folder are on the disk."""
    try:
        full_sync(fd)
    except OSError as error:
        # SMB and some FUSE file systems have no fsync for folders and answer with these errors. There is nothing better to do.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


@functools.lru_cache(maxsize=64)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class LocalFolder:
    """`HeldFolder` on the real disk."""

    def __init__(self, fd: int, path: bytes, modes: Modes = SHARED) -> None:
        """Take ownership of `fd`, the descriptor of an open folder. `path` is used only in messages.

        `modes`: of what is made in it.
        """
        found = os.fstat(fd)
        self.dev, self.ino, self.path = found.st_dev, found.st_ino, path
        self._fd: int | None = fd
        self._modes = modes
        self._folder_obstacle: str | None = _NOT_CHECKED

    @property
    def fd(self) -> int:
        """The descriptor; raises an error once the folder has been released."""
        if self._fd is None:
            raise OSError(errno.EBADF, "the folder is no longer open", self.path)
        return self._fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Close the folder; calling this again does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def enter(self, name: bytes) -> Self:
        """Open a subfolder; refuses links."""
        return type(self)(enter(self.fd, name), os.path.join(self.path, name), self._modes)

    def lstat(self, name: bytes) -> Stat:
        """The kind, identity, size and modification time of whatever has this name."""
        return as_stat(os.stat(name, dir_fd=self.fd, follow_symlinks=False))

    def scan(self) -> list[DirEntry]:
        """The names in the folder."""
        with os.scandir(self.fd) as found:
            return [DirEntry(os.fsencode(entry.name), entry_kind(entry)) for entry in found]

    def read(self, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
        """At most `limit` bytes of the wanted file."""
        return read_at(self.fd, name, limit, wanted)

    def ends(self, name: bytes, most: int, wanted: Wanted) -> tuple[bytes, bytes]:
        """The first and the last `most` bytes of the wanted file, or all of it twice if the file is shorter."""
        with open_regular(name, folder=self.fd, wanted=wanted) as fd:
            head = os.pread(fd, most, 0)
            return head, head if wanted.size <= most else os.pread(fd, most, wanted.size - most)

    def digest(self, name: bytes) -> str:
        """The SHA-256 of a regular file."""
        with open_regular(name, folder=self.fd) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def owner(self, name: bytes) -> str | None:
        """The name or the number of the user to whom a file belongs."""
        return _user(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_uid)

    def written_elsewhere(self, name: bytes) -> bool:
        """Whether another program has the file open for writing."""
        try:
            with open_regular(name, folder=self.fd) as fd:
                return open_for_writing_elsewhere(fd)
        except OSError:
            return False  # other checks report why it cannot be opened

    def removal_obstacle(self, name: bytes) -> str | None:
        """Why the file cannot be removed from the folder; None if it can."""
        if self._folder_obstacle == _NOT_CHECKED:
            self._folder_obstacle = folder_obstacle(self.fd)
        if self._folder_obstacle is None:
            with contextlib.suppress(OSError), open_regular(name, folder=self.fd) as fd:
                if is_fixed(fd):
                    return "it is locked against every change: unlock it (chattr -ia, or in Finder)"
        return self._folder_obstacle or name_obstacle(self.fd, name)

    def move(self, name: bytes, to: HeldFolder, new: bytes) -> None:
        """Move a file to another held folder."""
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=_local(to).fd)

    def link(self, name: bytes, to: HeldFolder, new: bytes) -> None:
        """Give a file a second name in another held folder."""
        if self.lstat(name).kind != "file":
            raise OSError(errno.EINVAL, "not a regular file", name)
        os.link(name, new, src_dir_fd=self.fd, dst_dir_fd=_local(to).fd, follow_symlinks=False)

    def copy(self, name: bytes, to: HeldFolder, new: bytes, wanted: Wanted) -> str:
        """Copy the wanted file into another held folder."""
        with open_regular(name, folder=self.fd, wanted=wanted) as reading:
            return copy_open(reading, to.create(new))

    def copy_in_background(self, name: bytes, to: HeldFolder, new: bytes, wanted: Wanted) -> Iterator[None]:
        """Copy the wanted file into another held folder without holding up the caller."""
        target = _local(to)
        with open_regular(name, folder=self.fd, wanted=wanted) as found:
            reading = os.dup(found)
        yield from _copying(reading, target, new)

    def clone(self, source: int, name: bytes) -> bool:
        """Make a durable copy of an open file that shares its blocks. Returns False, and makes nothing, if the disk cannot."""
        if not clone(source, self.fd, name, self._modes.file):
            return False
        writing = os.open(name, os.O_WRONLY | SAFE, dir_fd=self.fd)
        try:
            _finish_copy(source, writing, os.fstat(source))
        finally:
            os.close(writing)
        return True

    def duplicate(self, name: bytes, to: HeldFolder, new: bytes) -> None:
        """Make a durable copy of a file in another held folder. It shares the file's blocks if the disk can do that."""
        target = _local(to)
        with open_regular(name, folder=self.fd) as reading:
            if not target.clone(reading, new):
                copy_open(reading, target.create(new))

    def create(self, name: bytes) -> int:
        """Make a new, empty file and open it for writing."""
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE, self._modes.file, dir_fd=self.fd)

    def write(self, fd: int, data: bytes) -> int:
        """One write, possibly of fewer bytes than given. Returns how many."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Wait until the file's bytes are on the disk."""
        full_sync(fd)

    def close(self, fd: int) -> None:
        """Close a file's descriptor."""
        os.close(fd)

    def rename(self, source: bytes, target: bytes) -> None:
        """Rename within the folder."""
        os.rename(source, target, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def unlink(self, path: bytes) -> None:
        """Remove a name."""
        os.unlink(path, dir_fd=self.fd)

    def mkdir(self, name: bytes) -> None:
        """Create a subfolder."""
        os.mkdir(name, self._modes.folder, dir_fd=self.fd)

    def rmdir(self, name: bytes) -> None:
        """Remove an empty subfolder."""
        os.rmdir(name, dir_fd=self.fd)

    def sync_dir(self, path: bytes = b"") -> None:
        """Wait until the names in the folder are on the disk."""
        if path:
            raise ValueError("a held folder syncs itself only")
        sync_folder(self.fd)


def _local(folder: HeldFolder) -> "LocalFolder":
    if not isinstance(folder, LocalFolder):
        raise TypeError("both folders must be on the real disk")
    return folder
