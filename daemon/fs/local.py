"""The file operations on the real disk, through the system's calls."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence

from daemon.fs.held import SAFE, LocalFolder, as_stat, copy_open, entry_kind, regular, sync_folder
from daemon.fs.modes import readable
from daemon.fs.protocol import Below, DirEntry, HeldFolder, Stat
from daemon.fs.walk import walk
from daemon.platform.durability import full_sync, sync_together

#: So few are synced one by one: a sync of the whole disk would also wait for what others are writing.
_FEW = 8
_CHUNK = 1 << 20


class LocalFiles:
    """`FileSystem` on the real disk; see there for what each operation does not guarantee."""

    _published: bytes | None = None

    def publish_below(self, root: bytes) -> None:
        """What is made below this folder is for everybody who may enter it."""
        self._published = root + b"/"

    def _is_published(self, path: bytes) -> bool:
        return self._published is not None and os.path.join(path, b"").startswith(self._published)

    def create(self, path: bytes) -> int:
        """Make a new, empty file and open it for writing."""
        with readable(self._is_published(path)):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE, 0o644)

    def append(self, path: bytes) -> int:
        """Open an existing or new regular file for appending."""
        with readable(self._is_published(path)):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | SAFE, 0o644)

    def write(self, fd: int, data: bytes) -> int:
        """One write; may be short."""
        return os.write(fd, data)

    def copy(self, source: bytes, target: bytes) -> str:
        """Copy a regular file's bytes, attributes and times; durable, its name excepted. Returns the SHA-256 of what was read."""
        with regular(source) as reading:
            return copy_open(reading, self.create(target))

    def sync(self, fd: int) -> None:
        """Wait until the file's bytes are on the disk."""
        full_sync(fd)

    def close(self, fd: int) -> None:
        """Close the descriptor."""
        os.close(fd)

    def rename(self, source: bytes, target: bytes) -> None:
        """Move within one file system."""
        os.rename(source, target)

    def unlink(self, path: bytes) -> None:
        """Remove a name."""
        os.unlink(path)

    def mkdir(self, path: bytes) -> None:
        """Make a folder."""
        with readable(self._is_published(path)):
            os.mkdir(path, 0o755)

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""
        os.rmdir(path)

    def sync_dir(self, path: bytes) -> None:
        """Wait until the names in the folder are on the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_folder(fd)
        finally:
            os.close(fd)

    def sync_many(self, paths: Sequence[bytes]) -> None:
        """Wait until these files and the names in these folders are on the disk."""
        if len(paths) > _FEW and sync_together(paths):
            return
        for path in paths:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                self.sync_dir(path)
            else:
                self.sync_file(path)

    def sync_file(self, path: bytes) -> None:
        """Wait until a file that another process wrote is on the disk."""
        with regular(path) as fd:
            full_sync(fd)

    def lstat(self, path: bytes) -> Stat:
        """What is at the name, links not followed."""
        return as_stat(os.lstat(path))

    def scan(self, path: bytes) -> list[DirEntry]:
        """The names in a folder, in no order."""
        with os.scandir(path) as found:
            return [DirEntry(entry.name, entry_kind(entry)) for entry in found]

    def tree(self, path: bytes) -> Iterator[Below]:
        """Everything below a folder, however deep."""
        return walk(path)

    def open_up(self, path: bytes) -> None:
        """Let the owner of a folder read and change it."""
        if not hasattr(os, "O_PATH"):
            os.chmod(path, stat.S_IRWXU, follow_symlinks=False)
            return
        # Linux opens a folder that may not be read, and changes its mode, by no other way that follows no link.
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.chmod(b"/proc/self/fd/%d" % fd, stat.S_IRWXU)
        finally:
            os.close(fd)

    def read(self, path: bytes, limit: int) -> bytes:
        """At most `limit` bytes of a regular file."""
        with regular(path) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return file.read(limit)

    def digest(self, path: bytes) -> str:
        """The SHA-256 of a regular file."""
        with regular(path) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def digest_in_pieces(self, path: bytes) -> Iterator[str | None]:
        """The SHA-256 of a regular file, after a None for each piece."""
        digest = hashlib.sha256()
        with regular(path) as fd:
            while piece := os.read(fd, _CHUNK):
                digest.update(piece)
                yield None
        yield digest.hexdigest()

    def free_bytes(self, path: bytes) -> int:
        """How much can still be written."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def free_files(self, path: bytes) -> int | None:
        """How many more files it can hold; btrfs and some servers say 0 of 0."""
        found = os.statvfs(path)
        return found.f_favail if found.f_files else None

    def hold(self, path: bytes) -> HeldFolder:
        """Open the folder at a path and hold it open."""
        return LocalFolder(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path, self._is_published(path))

    def lock(self, path: bytes) -> int | None:
        """Open or make a file and lock it; none if another process has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | SAFE, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd
