"""Judges a new folder in place of the inbox: did a person create it, or is it the empty mount point of an unmounted disk?"""

import os
import stat

from daemon.platform.mounts import is_mount_point

Identity = tuple[int, int]


class InboxReplacement:
    """Decides whether a folder without our marker, in the inbox's place, should become the inbox.

    People tidy up: they throw the inbox away and create a new folder with that name, which lacks the hidden marker. Work must
    continue with the new folder. But an unmounted disk or share also leaves an empty folder in its place. That folder must not
    become the inbox: files dropped there would disappear from view when the disk comes back.

    If the inbox or a folder above it was mounted or unmounted, then either the parent is a different folder than before, or the
    inbox is or was a mount point. So a person created the new folder if, and only if,

    - this process has seen the inbox with its marker, in the same parent folder (device and inode) as now,
    - the inbox was not a mount point then, by the mount table (device numbers do not tell a bind mount from a folder), and
    - the new one is a real folder (not a link) on the parent's device, and is not a mount point either.

    The new folder need not be empty: the files in it were put there to be taken. A process that has never seen the inbox with its
    marker cannot decide this. Then the answer is no, and a person must put an empty file `.multiplane` into the folder.
    """

    def __init__(self, inbox: bytes) -> None:
        self._inbox = os.path.abspath(inbox)
        self._parent: Identity | None = None

    def seen_complete(self) -> None:
        """Note that the inbox is there with its marker."""
        self._parent = None if is_mount_point(self._inbox) else identity(os.path.dirname(self._inbox))

    def is_made_by_person(self) -> bool:
        """Whether a person created the folder that is there now, without a marker, as the new inbox."""
        if self._parent is None or identity(os.path.dirname(self._inbox)) != self._parent or is_mount_point(self._inbox):
            return False
        found = identity(self._inbox)
        return found is not None and found[0] == self._parent[0] and not os.path.islink(self._inbox)


def identity(path: bytes) -> Identity | None:
    """Device and inode of a folder; None if there is no folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
