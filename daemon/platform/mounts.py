"""Which mount a path is on, and whether that is another machine's disk."""

import os
from dataclasses import dataclass

import psutil

# File systems that other machines can change without an event here; types as in mount(8) of macOS and Linux.
NETWORK_TYPES = frozenset({
    "smbfs", "afpfs", "nfs", "nfs4", "webdav", "cifs", "smb3", "smb2", "9p", "ncpfs", "afs", "ceph",
    "glusterfs", "lustre",
    "davfs", "vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "macfuse", "osxfuse", "acfs", "beegfs", "orangefs", "gpfs",
    "coda", "ftp",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system. `kind`: its type as the system names it; `source`: what is mounted."""

    point: bytes
    kind: str
    source: str

    @property
    def network(self) -> bool:
        """Whether files can change elsewhere without an event. Any FUSE file system but fuseblk may have a server behind it."""
        return self.kind in NETWORK_TYPES or self.kind == "fuse" or self.kind.startswith(("fuse.", "fusefs"))


def mount_of(path: bytes, name: bytes = b"") -> Mount:
    """The mount that holds a path, or the folder `name` in it; neither need exist.

    This reads only the mount table. A server that does not answer can block nothing but the resolving of links in the path.
    `name` itself is not resolved, because a stranger may turn it into a link at any moment.
    """
    real = os.path.realpath(path)
    real = os.path.join(real, name) if name else real
    best = Mount(b"/", "unknown", "unknown")
    for part in psutil.disk_partitions(all=True):
        point = os.fsencode(part.mountpoint)
        inside = real == point or real.startswith(point.rstrip(b"/") + b"/")
        # Of several mounts at one point, the last one covers the others.
        if inside and len(point) >= len(best.point):
            best = Mount(point, part.fstype.lower(), part.device)
    return best
