"""The primitive file operations, and what each does *not* guarantee. Paths are absolute. They are bytes, as on the disk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

#: A file's blocks may exceed its length by this many bytes: blocks are rounded up, and some file systems reserve more in advance.
_SLACK = 1 << 20

Kind = Literal["file", "directory", "symlink", "other"]


@dataclass(frozen=True, slots=True)
class Stat:
    """What lstat reports for one name: `size` in bytes, `mtime_ns` in nanoseconds since 1970.

    `dev` may change when a disk is mounted again.
    """

    kind: Kind
    dev: int
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file that a name must refer to: its size in bytes, its modification time and, on local disks, its inode and device.

    On network file systems, `ino` and `dev` are None and are not compared: they may change when the share is mounted again.
    """

    size: int
    mtime_ns: int
    ino: int | None = None
    dev: int | None = None

    def matches(self, found: Stat) -> bool:
        """Whether this is the wanted file."""
        return (
            found.kind == "file"
            and (found.size, found.mtime_ns) == (self.size, self.mtime_ns)
            and self.ino in (None, found.ino)
            and self.dev in (None, found.dev)
        )


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a folder, and its kind. Symbolic links are not followed."""

    name: bytes
    kind: Kind


class HeldFolder(Protocol):
    """An open folder. Every operation acts on this very folder, even if another folder has taken its path.

    Names are single names in the folder, never paths. Links are neither followed nor entered. A method that `FileSystem` also
    has gives the same guarantees here, so `write_atomic` can write through a held folder.

    Attributes:
        dev, ino: the folder's identity.
        path: where it was when it was opened; for messages.
    """

    dev: int
    ino: int
    path: bytes

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    @property
    def fd(self) -> int:
        """The folder's descriptor, to pass this very folder to another process; OSError (EBADF) after `release`."""

    def release(self) -> None:
        """Close the folder; calling this again does nothing."""

    def enter(self, name: bytes) -> "HeldFolder":
        """Open a subfolder. NotADirectoryError for anything else, including a link to a folder."""

    def lstat(self, name: bytes) -> Stat:
        """The kind, identity, size and modification time of whatever has this name; links are not followed."""

    def scan(self) -> list[DirEntry]:
        """The names in the folder, in no particular order."""

    def read(self, name: bytes, limit: int, wanted: Wanted | None = None) -> bytes:
        """The first `limit` bytes of a regular file, or fewer. Raises OSError (ESTALE) if it is not the wanted file."""

    def ends(self, name: bytes, most: int, wanted: Wanted) -> tuple[bytes, bytes]:
        """The first and the last `most` bytes of a regular file, or all of it twice if the file is shorter.

        Raises OSError (ESTALE) if it is not the wanted file.
        """

    def digest(self, name: bytes) -> str:
        """The SHA-256 of a regular file, read in chunks."""

    def owner(self, name: bytes) -> str | None:
        """The name of the user to whom a file belongs, or the user's number; None if the disk does not say."""

    def written_elsewhere(self, name: bytes) -> bool:
        """Whether another program has the file open for writing. False if the system does not report it, or we cannot open it."""

    def removal_obstacle(self, name: bytes) -> str | None:
        """A clause that says why the file cannot be removed from the folder (permissions, a read-only disk); None if it can."""

    def move(self, name: bytes, to: "HeldFolder", new: bytes) -> None:
        """`FileSystem.rename` into another held folder of the same file system."""

    def link(self, name: bytes, to: "HeldFolder", new: bytes) -> None:
        """Give a regular file a second name in another held folder; FileExistsError if the name is taken.

        Not durable before `sync_dir`. Refuses a symbolic link. Some file systems cannot do this.
        """

    def copy(self, name: bytes, to: "HeldFolder", new: bytes, wanted: Wanted) -> str:
        """`FileSystem.copy` into another held folder. Copies nothing and raises OSError (ESTALE) if it is not the wanted file."""

    def copy_in_background(self, name: bytes, to: "HeldFolder", new: bytes, wanted: Wanted) -> Iterator[None]:
        """`copy` for callers with other work to do: yields None every few milliseconds until the copy is durable.

        The copy shares the blocks of the original if the disk can do that. The copy's name is not durable. If the caller stops
        iterating, part of the copy may remain under its new name.
        """

    def duplicate(self, name: bytes, to: "HeldFolder", new: bytes) -> None:
        """Copy a regular file into another held folder; its bytes are durable when this returns, its name is not.

        If the disk can do that, both files share their blocks until one of them is changed. If interrupted, part of the copy
        remains. Refuses links; FileExistsError if the name is taken.
        """

    def create(self, name: bytes) -> int:
        """See `FileSystem.create`."""

    def write(self, fd: int, data: bytes) -> int:
        """See `FileSystem.write`."""

    def sync(self, fd: int) -> None:
        """See `FileSystem.sync`."""

    def close(self, fd: int) -> None:
        """See `FileSystem.close`."""

    def rename(self, source: bytes, target: bytes) -> None:
        """Rename within the folder."""

    def unlink(self, path: bytes) -> None:
        """Remove a name."""

    def mkdir(self, name: bytes) -> None:
        """Create a subfolder."""

    def rmdir(self, name: bytes) -> None:
        """Remove an empty subfolder."""

    def sync_dir(self, path: bytes = b"") -> None:
        """Wait until the names in the folder are on the disk. `path` must be empty; it stands for the folder itself."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name found while walking a tree.

    Attributes:
        trail: the names of the folders that lead to it, from the top. The walker changes this list later: copy it to keep it.
        name: its own name.
        kind: what it is.
        size: the length in bytes.
        used: the space that it takes up on the disk, in bytes. It may be much larger or much smaller than `size`.
    """

    trail: Sequence[bytes]
    name: bytes
    kind: Kind
    size: int
    used: int

    @property
    def charge(self) -> int:
        """The bytes that count toward limits: a file's `size`, or `used` if that is far more. 0 for anything but a file."""
        if self.kind != "file":
            return 0
        return self.used if self.used > 2 * self.size + _SLACK else self.size

    @property
    def taken(self) -> int:
        """The bytes of the disk that it takes, as the system counts them; a file's length where the system counts none."""
        return self.used or (self.size if self.kind == "file" else 0)


class FileSystem(Protocol):
    """Everything that the daemon does with a disk. Every method raises OSError as the system reports it; none retries."""

    def publish_below(self, root: bytes) -> None:
        """From now on, follow no link below `root`: strangers may write there as well.

        An operation raises NotADirectoryError if a link is in the place of a folder.
        """

    def own_below(self, root: bytes) -> None:
        """Make `root`, and all later files and folders below it, writable for their owner alone, whatever the umask.

        The modes of everything else follow the umask.
        """

    def create(self, path: bytes) -> int:
        """Make a new, empty file and open it for writing; FileExistsError if the name exists, even as a broken link.

        Neither the file nor its name survives a power loss before `sync` and `sync_dir`.
        """

    def append(self, path: bytes) -> int:
        """Open an existing or new regular file for appending; refuses links. Other processes may append as well."""

    def write(self, fd: int, data: bytes) -> int:
        """One write. Returns how many bytes were written, possibly fewer than given. They are not on the disk before `sync`."""

    def copy(self, source: bytes, target: bytes) -> str:
        """Copy a regular file's bytes, times and extended attributes into a new file, and return the SHA-256 of what was read.

        Refuses links. The copy is durable when this returns, except for its name in the folder. If interrupted, part of
        `target` remains. The owner is not copied. Attributes that the other file system cannot hold are not copied either.
        """

    def sync(self, fd: int) -> None:
        """Wait until the file's bytes and length are on the disk.

        The file's name in the folder may not be durable yet. After an error, the state of the written bytes is unknown, and a
        second sync may wrongly succeed (fsync-gate, 2018), so callers must not retry. A disk that falsely reports its cache as
        written cannot be detected.
        """

    def close(self, fd: int) -> None:
        """Close the descriptor. This does not sync."""

    def rename(self, source: bytes, target: bytes) -> None:
        """Move within one file system. Replaces a file at `target` atomically. Not durable before `sync_dir` of both folders.

        Each folder becomes durable separately. After a power loss the file may be visible under both names. On some file
        systems it is visible under neither name until the file system has replayed its journal.
        """

    def unlink(self, path: bytes) -> None:
        """Remove a name. Not durable before `sync_dir`."""

    def mkdir(self, path: bytes) -> None:
        """Make a folder; FileExistsError if the name is taken. Not durable before `sync_dir` of its parent."""

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder."""

    def sync_dir(self, path: bytes) -> None:
        """Wait until the names in the folder are on the disk. On network file systems this may have no effect."""

    def sync_many(self, paths: Sequence[bytes]) -> None:
        """`sync_file` for the files and `sync_dir` for the folders among `paths`, at little more than the cost of one sync.

        All paths must be on one file system. If the system can only sync a whole file system, this also waits for bytes that
        other programs wrote.
        """

    def is_at(self, fd: int, path: bytes) -> bool:
        """Whether an open file is the one at this path, and not a link; False if nothing is there."""

    def sync_file(self, path: bytes) -> None:
        """`sync` for a file that another process wrote; refuses links."""

    def sync_file_in_background(self, path: bytes) -> Iterator[None]:
        """`sync_file` for callers with other work to do: yields None every few milliseconds until the file is durable."""

    def sync_tree_in_background(self, path: bytes) -> Iterator[None]:
        """Make a folder and everything in it durable; yields None until that is done, without waiting.

        The caller must have checked the tree's depth. Raises OSError (EINVAL) if there is anything but files and folders.
        """

    def side_by_side(self, calls: Sequence[Callable[[], None]]) -> list[OSError | None]:
        """Make several changes that do not depend on each other, at little more than the cost of one: their syncs run at once.

        Each call may use this file system. Returns the error of each call, in their order; None if it succeeded.
        """

    def unlink_in_background(self, path: bytes) -> Iterator[None]:
        """`unlink` for callers with other work to do: yields None every few milliseconds. Removing a large file takes long."""

    def lstat(self, path: bytes) -> Stat:
        """The kind, identity, size and modification time of whatever has this name; links are not followed."""

    def scan(self, path: bytes) -> list[DirEntry]:
        """The names in a folder, in no particular order."""

    def tree(self, path: bytes) -> Iterator[TreeEntry]:
        """Everything below a folder, at any depth. Links are not followed; files that disappear meanwhile are skipped.

        This is not a snapshot: files that are moved meanwhile may appear twice or not at all. Raises OSError (ESTALE) if a
        folder is moved while the walk is below it.
        """

    def grant_owner_access(self, path: bytes) -> None:
        """Let the owner of a folder read and change it, whatever its mode; refuses links. Nobody else gains any access."""

    def read(self, path: bytes, limit: int) -> bytes:
        """At most `limit` bytes of a regular file. Opening it follows no link and does not wait for a FIFO's writer."""

    def digest(self, path: bytes) -> str:
        """The SHA-256 of a regular file, read in chunks; refuses links."""

    def digest_in_pieces(self, path: bytes) -> Iterator[str | None]:
        """`digest` for callers with other work to do: yields None after each few megabytes, and the digest last."""

    def free_bytes(self, path: bytes) -> int:
        """How many bytes an unprivileged process can still write to the disk that holds the path."""

    def free_files(self, path: bytes) -> int | None:
        """How many more files and folders fit on the disk that holds the path (free inodes); None if it does not say."""

    def hold(self, path: bytes) -> HeldFolder:
        """Open the folder at a path and hold it.

        Links in the path are followed (except as `publish_below` says), so strangers must not be able to change the path.
        """

    def lock(self, path: bytes) -> int | None:
        """Open or create a file and lock it against other processes.

        Returns the descriptor, which holds the lock until it is closed, or None if another process holds the lock. The lock is
        advisory, and reliable only on a local disk: a network file system may grant it to two machines at once. Anybody who can
        change the folder can remove the file, and lock a new file of the same name.
        """

    def lock_folder(self, path: bytes) -> int | None:
        """`lock` for a folder, which must exist. Changes to its contents do not affect the lock."""

    def is_locked(self, path: bytes) -> bool:
        """Whether another process has locked a folder.

        The test itself holds a shared lock for an instant. During that instant, nobody else can lock the folder.
        """
