"""The file operations on the real disk, through system calls.

Strangers may write below the folder given to `publish_below`, and may swap a folder there for a link at any moment. So only that
folder is opened by its path. Each folder below it is opened from its parent, and links are refused
(`daemon.fs.untrusted_paths`).
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from daemon.fs.background import LARGE, run_in_thread, run_side_by_side
from daemon.fs.compose import sync_tree
from daemon.fs.held import SAFE, LocalFolder, as_stat, copy_open, entry_kind, open_regular, sync_folder
from daemon.fs.modes import OWN, SHARED, Modes
from daemon.fs.protocol import DirEntry, HeldFolder, Stat, TreeEntry
from daemon.fs.untrusted_paths import Location, descend, locate_below, names_below
from daemon.fs.walk import walk
from daemon.platform.durability import full_sync, sync_together

#: Up to this many files are synced one by one. More are synced with the whole disk, which also waits for what other programs
#: are writing.
_FEW = 8
_CHUNK = 1 << 20


class LocalFiles:
    """`FileSystem` on the real disk. The protocol says what each operation does not guarantee."""

    _published: bytes | None = None
    _own: bytes | None = None

    def publish_below(self, root: bytes) -> None:
        """From now on, follow no link below `root`."""
        self._published = root + b"/"

    def own_below(self, root: bytes) -> None:
        """Make `root`, and all later files and folders below it, writable for their owner alone, whatever the umask."""
        self._own = root + b"/"

    def _modes(self, path: bytes) -> Modes:
        return OWN if self._own is not None and os.path.join(path, b"").startswith(self._own) else SHARED

    def _locate(self, path: bytes) -> Location:
        """How to reach a path: below the published folder, by a name in its open parent folder; elsewhere, by the whole path.

        The caller closes the location, by using it as a context manager.
        """
        names = names_below(self._published, path)
        return locate_below(self._published, names) if names and self._published is not None else Location(path, None)

    def create(self, path: bytes) -> int:
        """Make a new, empty file and open it for writing."""
        with self._locate(path) as location:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE
            return os.open(location.name, flags, self._modes(path).file, dir_fd=location.folder)

    def append(self, path: bytes) -> int:
        """Open an existing or new regular file for appending."""
        with self._locate(path) as location:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | SAFE
            fd = os.open(location.name, flags, self._modes(path).file, dir_fd=location.folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        """One write, possibly of fewer bytes than given. Returns how many."""
        return os.write(fd, data)

    def copy(self, source: bytes, target: bytes) -> str:
        """Copy a regular file's bytes, attributes and times. These are durable when this returns, but the new file's name is not.

        Returns the SHA-256 of what was read.
        """
        with self._open_regular(source) as reading:
            return copy_open(reading, self.create(target))

    @contextlib.contextmanager
    def _open_regular(self, path: bytes) -> Iterator[int]:
        with self._locate(path) as location, open_regular(location.name, folder=location.folder) as fd:
            yield fd

    def sync(self, fd: int) -> None:
        """Wait until the file's bytes are on the disk."""
        full_sync(fd)

    def close(self, fd: int) -> None:
        """Close the descriptor."""
        os.close(fd)

    def rename(self, source: bytes, target: bytes) -> None:
        """Move within one file system."""
        with self._locate(source) as old, self._locate(target) as new:
            os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)

    def unlink(self, path: bytes) -> None:
        """Remove a name."""
        with self._locate(path) as location:
            os.unlink(location.name, dir_fd=location.folder)

    def mkdir(self, path: bytes) -> None:
        """Make a folder."""
        with self._locate(path) as location:
            os.mkdir(location.name, self._modes(path).folder, dir_fd=location.folder)

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        with self._locate(path) as location:
            os.rmdir(location.name, dir_fd=location.folder)

    def sync_dir(self, path: bytes) -> None:
        """Wait until the names in the folder are on the disk."""
        with self._folder(path) as fd:
            sync_folder(fd)

    @contextlib.contextmanager
    def _folder(self, path: bytes) -> Iterator[int]:
        """Open a folder while the block runs."""
        fd = self._open_folder(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_folder(self, path: bytes) -> int:
        names = names_below(self._published, path)
        if names and self._published is not None:
            return descend(self._published, names)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync_many(self, paths: Sequence[bytes]) -> None:
        """Wait until these files, and the names in these folders, are on the disk."""
        if len(paths) > _FEW and sync_together(paths, self._open_any):
            return
        for path in paths:
            if self.lstat(path).kind == "directory":
                self.sync_dir(path)
            else:
                self.sync_file(path)

    @contextlib.contextmanager
    def _open_any(self, path: bytes) -> Iterator[int]:
        """Open a file or folder (not a link) while the block runs."""
        with self._locate(path) as location:
            fd = os.open(location.name, os.O_RDONLY | SAFE, dir_fd=location.folder)
        try:
            yield fd
        finally:
            os.close(fd)

    def is_at(self, fd: int, path: bytes) -> bool:
        """Whether an open file is the one at this path."""
        try:
            there = self.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        found = os.fstat(fd)
        return (there.dev, there.ino) == (found.st_dev, found.st_ino)

    def sync_file(self, path: bytes) -> None:
        """Wait until a file that another process wrote is on the disk."""
        with self._open_regular(path) as fd:
            full_sync(fd)

    def sync_file_in_background(self, path: bytes) -> Iterator[None]:
        """Wait until a file is on the disk; yields None while waiting."""
        yield from self._in_background(path, partial(self.sync_file, path))

    def sync_tree_in_background(self, path: bytes) -> Iterator[None]:
        """Make a folder and everything in it durable; yields None while waiting."""
        yield from run_in_thread(partial(sync_tree, self, path), wait=0.0)

    def side_by_side(self, calls: Sequence[Callable[[], None]]) -> list[OSError | None]:
        """Run calls that do not depend on each other, several at once. Returns their errors."""
        return run_side_by_side(calls)

    def unlink_in_background(self, path: bytes) -> Iterator[None]:
        """Remove a name; yields None while waiting."""
        yield from self._in_background(path, partial(self.unlink, path))

    def _in_background(self, path: bytes, do: Callable[[], None]) -> Iterator[None]:
        """Run `do`, which acts on the file at `path`. If the file is large, `do` runs in a separate thread."""
        if self.lstat(path).size < LARGE:
            do()
        else:
            yield from run_in_thread(do)

    def lstat(self, path: bytes) -> Stat:
        """The kind, identity, size and modification time of whatever has this name; links are not followed."""
        with self._locate(path) as location:
            return as_stat(os.stat(location.name, dir_fd=location.folder, follow_symlinks=False))

    def scan(self, path: bytes) -> list[DirEntry]:
        """The names in a folder, in arbitrary order."""
        with self._folder(path) as fd, os.scandir(fd) as found:
            return [DirEntry(os.fsencode(entry.name), entry_kind(entry)) for entry in found]

    def tree(self, path: bytes) -> Iterator[TreeEntry]:
        """Everything below a folder, however deep."""
        with self._locate(path) as location:
            fd = os.open(location.name, os.O_RDONLY | os.O_DIRECTORY | SAFE, dir_fd=location.folder)
        yield from walk(fd)

    def grant_owner_access(self, path: bytes) -> None:
        """Give the owner of a folder the right to read and change it."""
        with self._locate(path) as location:
            if not hasattr(os, "O_PATH"):
                os.chmod(location.name, stat.S_IRWXU, dir_fd=location.folder, follow_symlinks=False)
                return
            # On Linux, O_PATH is the only way to change the mode of an unreadable folder without following a link.
            fd = os.open(location.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=location.folder)
        try:
            os.chmod(b"/proc/self/fd/%d" % fd, stat.S_IRWXU)
        finally:
            os.close(fd)

    def read(self, path: bytes, limit: int) -> bytes:
        """At most `limit` bytes of a regular file."""
        with self._open_regular(path) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return file.read(limit)

    def digest(self, path: bytes) -> str:
        """The SHA-256 of a regular file."""
        with self._open_regular(path) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def digest_in_pieces(self, path: bytes) -> Iterator[str | None]:
        """The SHA-256 of a regular file; yields None after each chunk, and the digest last."""
        digest = hashlib.sha256()
        with self._open_regular(path) as fd:
            while piece := os.read(fd, _CHUNK):
                digest.update(piece)
                yield None
        yield digest.hexdigest()

    def free_bytes(self, path: bytes) -> int:
        """How many bytes can still be written to the disk."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def free_files(self, path: bytes) -> int | None:
        """How many more files the disk can hold; None if it does not say (btrfs and some servers report 0 of 0)."""
        found = os.statvfs(path)
        return found.f_favail if found.f_files else None

    def hold(self, path: bytes) -> HeldFolder:
        """Open the folder at a path and hold it open."""
        return LocalFolder(self._open_folder(path), path, self._modes(path))

    def lock(self, path: bytes) -> int | None:
        """Open or create a file and lock it; None if another process holds the lock."""
        return _locked(os.open(path, os.O_RDWR | os.O_CREAT | SAFE, OWN.file))

    def lock_folder(self, path: bytes) -> int | None:
        """Lock a folder; None if another process holds the lock."""
        return _locked(self._open_folder(path))

    def is_locked(self, path: bytes) -> bool:
        """Whether another process has locked a folder."""
        # A shared lock, so that two processes that test at the same time do not take each other for the holder.
        fd = _locked(self._open_folder(path), fcntl.LOCK_SH)
        if fd is None:
            return True
        os.close(fd)
        return False


def _locked(fd: int, how: int = fcntl.LOCK_EX) -> int | None:
    """Lock an open file or folder; if another process holds the lock, close it and return None."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd
