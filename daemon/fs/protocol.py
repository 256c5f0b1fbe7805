"""The primitive file operations and what each does *not* guarantee. Paths are absolute and bytes, as the disk has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

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
class Wanted:
    """The file that a name must stand for: its size and time and, where they are given, its inode and device.

    They are given on local disks only: a network file system may number its files anew over a remount.
    """

    size: int
    mtime_ns: int
    ino: int | None = None
    dev: int | None = None

    def is_it(self, found: Stat) -> bool:
        """Whether this is that file."""
        return (
            found.kind == "file"
            and (found.size, found.mtime_ns) == (self.size, self.mtime_ns)
            and self.ino in (None, found.ino)
            and self.dev in (None, found.dev)
        )


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a folder and what it is; symbolic links are not followed."""

    name: bytes
    kind: Kind


class HeldFolder(Protocol):
    """A folder that is held open. What is done through it is done in this very folder, wherever its path leads by now.

    Names are single names in the folder, never paths. Links are neither followed nor entered. The methods that `FileSystem` has
    as well guarantee as much as there, so `write_atomic` can write through it.

    Attributes:
        dev, ino: which folder it is.
        path: where it was when it was opened; for messages.
    """

    dev: int
    ino: int
    path: bytes

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    @property
    def fd(self) -> int:
        """Its descriptor, for a process that is to get this very folder; OSError (EBADF) if it is not held any more."""

    def release(self) -> None:
        """Hold it no longer; may be called again."""

    def enter(self, name: bytes) -> "HeldFolder":
        """Open a folder in it; NotADirectoryError for anything else, a link to a folder included."""

    def lstat(self, name: bytes) -> Stat:
        """What is at the name, links not followed."""

    def scan(self) -> list[DirEntry]:
        """The names in the folder, in no order."""

    def read(self, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
        """At most `limit` bytes of a regular file; OSError (ESTALE) before a byte of it is read if it is not the wanted one."""

    def ends(self, name: bytes, most: int, wanted: Wanted) -> tuple[bytes, bytes]:
        """At most `most` bytes from either end of a regular file; OSError (ESTALE) before one is read if it is another file."""

    def digest(self, name: bytes) -> str:
        """The SHA-256 of a regular file, read piece by piece."""

    def written_elsewhere(self, name: bytes) -> bool:
        """Whether another program has the file open for writing, as far as the system tells; False if it cannot be opened."""

    def keeps(self, name: bytes) -> str | None:
        """Why the name cannot be taken out of the folder (rights, a disk that is read-only), one clause; none if it can."""

    def move(self, name: bytes, to: "HeldFolder", new: bytes) -> None:
        """`FileSystem.rename` into another held folder of the same file system."""

    def link(self, name: bytes, to: "HeldFolder", new: bytes) -> None:
        """Give a regular file a second name in another held folder; FileExistsError if anything has it.

        Not durable before `sync_dir`. A symbolic link is refused. Not every file system can do it.
        """

    def copy(self, name: bytes, to: "HeldFolder", new: bytes, wanted: Wanted) -> str:
        """`FileSystem.copy` into another held folder; OSError (ESTALE) before a byte is copied if it is not the wanted file."""

    def create(self, name: bytes) -> int:
        """See `FileSystem.create`."""

    def write(self, fd: int, data: bytes) -> int:
        """See `FileSystem.write`."""

    def sync(self, fd: int) -> None:
        """See `FileSystem.sync`."""

    def close(self, fd: int) -> None:
        """See `FileSystem.close`."""

    def rename(self, source: bytes, target: bytes) -> None:
        """Give a name in the folder another name in it."""

    def unlink(self, path: bytes) -> None:
        """Remove a name."""

    def mkdir(self, name: bytes) -> None:
        """Make a folder in it."""

    def rmdir(self, name: bytes) -> None:
        """Remove an empty folder in it."""

    def sync_dir(self, path: bytes = b"") -> None:
        """Wait until the names in the folder are on the disk. `path` is empty: the folder itself."""


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

    def publish_below(self, root: bytes) -> None:
        """Make files and folders below this one readable for everybody who may enter it (0644, 0755), whatever the umask.

        It holds from now on, and not for the folder itself. What is made elsewhere follows the umask.

        Strangers may write in it as well. So from now on no operation follows a link below it, wherever in a path the link is:
        NotADirectoryError where one is in the place of a folder.
        """

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

    def is_at(self, fd: int, path: bytes) -> bool:
        """Whether an open file is the one at this path, no link; false where nothing is there any more."""

    def sync_file(self, path: bytes) -> None:
        """`sync` for a file another process wrote; links are refused."""

    def sync_file_aside(self, path: bytes) -> Iterator[None]:
        """`sync_file`, with a None every few milliseconds for whoever has other things to do; durable when it ends."""

    def unlink_aside(self, path: bytes) -> Iterator[None]:
        """`unlink`, likewise: the room of a large file takes long to give back."""

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

    def free_files(self, path: bytes) -> int | None:
        """How many more files and folders that disk can hold (its free inodes); none if it does not count them."""

    def hold(self, path: bytes) -> HeldFolder:
        """Open the folder at a path and hold it. Links in the path are followed: it must be one that no stranger can change."""

    def lock(self, path: bytes) -> int | None:
        """Open or make a file and lock it against other processes until it is closed; none if another one has it.

        Advisory, and only on a local disk: a network file system may grant it to two machines at once. Whoever may change the
        folder can remove the file, and lock another one under its name.
        """

    def lock_folder(self, path: bytes) -> int | None:
        """`lock` for a folder, which must be there. Nothing that happens to what is in it changes anything about the lock."""

    def is_locked(self, path: bytes) -> bool:
        """Whether another process has a folder locked. To ask, the lock is shared for an instant, in which nobody can get it."""
