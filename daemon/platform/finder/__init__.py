"""Extended attributes of a folder, and the disks on which Finder reads tags from them."""

import sys

from daemon.platform.mounts import Mount

if sys.platform == "darwin":
    from daemon.platform.finder.macos import FINDER_IS_HERE, get_attribute, set_attribute
else:
    from daemon.platform.finder.linux import FINDER_IS_HERE, get_attribute, set_attribute

__all__ = ["FINDER_IS_HERE", "get_attribute", "holds_tags", "set_attribute"]

#: Mac disks that store extended attributes themselves. On any other (FAT, exFAT, a share) macOS would put a `._` file next to
#: every folder, which puzzles everybody else.
_HOLDING_TYPES = frozenset({"apfs", "hfs"})


def holds_tags(mount: Mount) -> bool:
    """Whether this mount stores tags as attributes on this machine."""
    return mount.kind in _HOLDING_TYPES and not mount.network
