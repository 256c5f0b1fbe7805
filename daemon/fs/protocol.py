"""The primitive file operations and what each does *not* guarantee. Paths are absolute and bytes, as the disk has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

#: Blocks are rounded up, and some file systems reserve more of them in advance.
_SLACK = 1 << 20

Kind = Literal["file", "directory", "symlink", "other"]


@dataclass(frozen=True, slots=True)
class Stat:
    """What lstat says of one name. `mtime_ns` since 1970; `dev` may change over a remount."""

    kind: Kind
    dev: int
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a folder and what it is; symbolic links are not followed."""

    name: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class Below:
    """Something in a tree that is walked: `trail` are the names of the folders that lead to it, the walker's own list.

    `size` is a file's length, `used` what it takes on the disk, both in bytes: either may be the larger one by far.
    """

    trail: Sequence[bytes]
    name: bytes
    kind: Kind
    size: int
    used: int

    @property
    def charge(self) -> int:
        """What a file counts for: its length, or its blocks where they are far more than the length asks for."""
        if self.kind != "file":
            return 0
        return self.used if self.used > 2 * self.size + _SLACK else self.size


class FileSystem(Protocol):
    """What the daemon may do to a disk. Every method raises OSError as the system gives it; none retries."""

    def create(self, path: bytes) -> int:
        """Make a new, empty file and open it for writing; FileExistsError if the name is there, even as a broken link.

        Neither the file nor its name survives a power loss before `sync` and `sync_dir`.
        """

    def append(self, path: bytes) -> int:
        """Open an existing or new regular file for appending; links are refused. Appends of other processes may interleave."""

    def write(self, fd: int, data: bytes) -> int:
        """One write; returns how many bytes were taken, which may be fewer than given. Not on the disk before `sync`."""

    def copy(self, source: bytes, target: bytes) -> str:
        """Copy a regular file's bytes, times and extended attributes into a new file and return the SHA-256 of what was read.

        Links are refused. Durable when it returns, its name in the folder excepted. Interrupted, part of `target` stays. Owners
        are not copied, nor attributes that the other file system cannot hold.
        """

    def sync(self, fd: int) -> None:
        """Wait until the file's bytes and length are on the disk.

        Says nothing of its name in the folder. After an error the state of the written bytes is unknown and a second sync
        may wrongly succeed (fsync-gate, 2018), so callers must not retry. A disk that lies about its cache is believed.
        """

    def close(self, fd: int) -> None:
        """Close the descriptor. Writes nothing through."""

    def rename(self, source: bytes, target: bytes) -> None:
        """Move within one file system; a file at `target` is replaced atomically. Not durable before both folders' `sync_dir`.

        Durability of the two folders is independent: after a power loss the file may be seen under both names or, on some
        file systems, under neither until the journal of the file system is replayed.
        """

    def unlink(self, path: bytes) -> None:
        """Remove a name. Not durable before `sync_dir`."""

    def mkdir(self, path: bytes) -> None:
        """Make a folder; FileExistsError if anything has the name. Not durable before `sync_dir` of the parent."""

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""

    def sync_dir(self, path: bytes) -> None:
        """Wait until the names in the folder are on the disk; on network file systems this may mean nothing."""

    def sync_many(self, paths: Sequence[bytes]) -> None:
        """`sync_file` for files and `sync_dir` for folders, all of one file system, for little more than the price of one.

        Where the system can only sync a whole file system at once, bytes that other programs wrote are waited for as well.
        """

    def sync_file(self, path: bytes) -> None:
        """`sync` for a file another process wrote; links are refused."""

    def lstat(self, path: bytes) -> Stat:
        """What is at the name, links not followed."""

    def scan(self, path: bytes) -> list[DirEntry]:
        """The names in a folder, in no order."""

    def tree(self, path: bytes) -> Iterator[Below]:
        """Everything below a folder, however deep, links not followed; what vanishes meanwhile is passed over.

        No moment in time: what is moved meanwhile may be told twice or not at all (OSError, ESTALE, where the way back is lost).
        """

    def open_up(self, path: bytes) -> None:
        """Let the owner of a folder read and change it, whatever its mode; links are refused. Nobody else gains a right."""

    def read(self, path: bytes, limit: int) -> bytes:
        """At most `limit` bytes of a regular file, opened without following a link and without waiting for a FIFO's writer."""

    def digest(self, path: bytes) -> str:
        """The SHA-256 of a regular file, links refused, read piece by piece."""

    def digest_in_pieces(self, path: bytes) -> Iterator[str | None]:
        """`digest`, with a None after each few megabytes for whoever has other things to do; what comes last is the digest."""

    def free_bytes(self, path: bytes) -> int:
        """How much an unprivileged process can still write to the disk that holds the path."""

    def lock(self, path: bytes) -> int | None:
        """Open or make a file and lock it against other processes until it is closed; none if another one has it.

        Advisory, and only on a local disk: a network file system may grant it to two machines at once.
        """
