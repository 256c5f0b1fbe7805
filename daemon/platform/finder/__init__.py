"""Extended attributes of a folder, and where Finder reads tags from them."""

import sys

from daemon.platform.mounts import Mount

if sys.platform == "darwin":
    from daemon.platform.finder.macos import FINDER_IS_HERE, get_attribute, set_attribute
else:
    from daemon.platform.finder.linux import FINDER_IS_HERE, get_attribute, set_attribute

__all__ = ["FINDER_IS_HERE", "get_attribute", "holds_tags", "set_attribute"]

#: The disks of a Mac that hold extended attributes themselves. On any other (FAT, exFAT, a share) macOS would put a `._` file
#: beside every folder, for everybody else to wonder about.
_HOLDING_TYPES = frozenset({"apfs", "hfs"})


def holds_tags(mount: Mount) -> bool:
    """Whether tags on this mount stay what they are, on this machine."""
    return mount.kind in _HOLDING_TYPES and not mount.network
