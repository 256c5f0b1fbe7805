"""Finds the mount that a path is on, and whether other machines can change its files."""

import os
from dataclasses import dataclass

import psutil

# Types of file systems that other machines can change without an event here, as mount(8) of macOS and Linux names them.
NETWORK_TYPES = frozenset({
    "smbfs", "afpfs", "nfs", "nfs4", "webdav", "cifs", "smb3", "smb2", "9p", "ncpfs", "afs", "ceph",
    "glusterfs", "lustre",
    "davfs", "vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "macfuse", "osxfuse", "acfs", "beegfs", "orangefs", "gpfs",
    "coda", "ftp",
})  # fmt: skip


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


def mount_of(path: bytes, name: bytes = b"") -> Mount:
    """The mount that holds a path or, if `name` is given, its subfolder of that name. The path need not exist.

    This only reads the mount table and resolves links in `path`. Only resolving links can block if a server does not answer.
    `name` is not resolved, because a stranger may turn it into a link at any moment.
    """
    real = os.path.realpath(path)
    real = os.path.join(real, name) if name else real
    best = Mount(b"/", "unknown", "unknown")
    for part in psutil.disk_partitions(all=True):
        point = os.fsencode(part.mountpoint)
        inside = real == point or real.startswith(point.rstrip(b"/") + b"/")
        # If several are mounted at one point, the last one hides the others.
        if inside and len(point) >= len(best.point):
            best = Mount(point, part.fstype.lower(), part.device)
    return best
