"""Finds the mount that a path is on, and whether other machines can change its files."""

import os
import re
import select
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

# Types of file systems that other machines can change without an event here, as mount(8) of macOS and Linux names them.
NETWORK_TYPES = frozenset({
    "smbfs", "afpfs", "nfs", "nfs4", "webdav", "cifs", "smb3", "smb2", "9p", "ncpfs", "afs", "ceph",
    "glusterfs", "lustre",
    "davfs", "vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "macfuse", "osxfuse", "acfs", "beegfs", "orangefs", "gpfs",
    "coda", "ftp",
})  # fmt: skip

#: How the mount table writes a space, a tab, a line break or a backslash (proc_pid_mounts(5), getmntent(3)).
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: its mount point, its type as the system names it (in lower case), and what is mounted."""

    point: bytes
    kind: str
    source: str

    @property
    def network(self) -> bool:
        """Whether other machines may change its files without an event here. Any FUSE file system but fuseblk may be remote."""
        return self.kind in NETWORK_TYPES or self.kind == "fuse" or self.kind.startswith(("fuse.", "fusefs"))


class MountTable:
    """The mounted file systems. An idle daemon asks often, and they hardly ever change, so they are only listed after a change.

    On Linux, an open mount table reports each change once, as an exceptional condition (proc_pid_mounts(5)). Other systems have
    no such file; there the file systems are listed each time, which takes one system call.
    """

    def __init__(self) -> None:
        self._listed: tuple[Mount, ...] | None = None
        self._changes: select.poll | None = None
        if sys.platform == "linux":
            try:
                table = os.open("/proc/self/mounts", os.O_RDONLY)  # stays open as long as the process lives
            except OSError:
                return  # without /proc, or without a descriptor left: list them each time
            self._changes = select.poll()
            self._changes.register(table, select.POLLPRI)

    def mounts(self) -> tuple[Mount, ...]:
        """What is mounted now, in the order in which it was mounted."""
        # Ask for changes first: a change during the listing must be noticed at the next call.
        if self._has_changed() or self._listed is None:
            self._listed = tuple(_of_linux() if sys.platform == "linux" else _of_system())
        return self._listed

    def _has_changed(self) -> bool:
        return self._changes is None or bool(self._changes.poll(0))


def _of_linux() -> Iterator[Mount]:
    """What is mounted in the namespace of this process."""
    with open("/proc/self/mounts", "rb") as table:
        for line in table:
            source, point, kind = (_ESCAPED.sub(lambda found: bytes((int(found[1], 8),)), part) for part in line.split(b" ")[:3])
            yield Mount(point, os.fsdecode(kind).lower(), os.fsdecode(source))


def _of_system() -> Iterator[Mount]:
    # Every verb asks for mounts, and on Linux none of those that only look needs psutil for it.
    import psutil

    for part in psutil.disk_partitions(all=True):
        yield Mount(os.fsencode(part.mountpoint), part.fstype.lower(), part.device)


@cache
def _table() -> MountTable:
    """The table of this process."""
    return MountTable()


def mount_of(path: bytes, name: bytes = b"") -> Mount:
    """The mount that holds a path or, if `name` is given, its subfolder of that name. The path need not exist.

    This only reads the mount table and resolves links in `path`. Only resolving links can block if a server does not answer.
    `name` is not resolved, because a stranger may turn it into a link at any moment.
    """
    real = os.path.realpath(path)
    return innermost(os.path.join(real, name) if name else real, _table().mounts())


def innermost(real: bytes, mounts: Iterable[Mount]) -> Mount:
    """The one of these mounts, in the order in which they were mounted, that holds a path without links."""
    best = Mount(b"/", "unknown", "unknown")
    for mount in mounts:
        inside = real == mount.point or real.startswith(mount.point.rstrip(b"/") + b"/")
        # If several are mounted at one point, the last one hides the others.
        if inside and len(mount.point) >= len(best.point):
            best = mount
    return best


def is_mount_point(path: bytes) -> bool:
    """Whether something is mounted on a folder, by the mount table. Device numbers do not tell a bind mount from a folder."""
    real = os.path.realpath(path)
    return any(mount.point == real for mount in _table().mounts())
