"""A new inbox in place of the old one: the person's own, or the hole that an unmounted disk left?"""

import os

from daemon.platform.mounts import mount_of

Identity = tuple[int, int]


class InboxReplacement:
    """Decides whether a folder without our marker, where the inbox was, is to be the inbox.

    People tidy up: they throw the inbox away and make a new folder of that name, which then lacks the hidden marker. Work must
    go on with it. An unmounted share or disk looks much the same, an empty folder, and must not be taken for the inbox: what is
    dropped there would vanish from sight when the disk comes back.

    What tells them apart: where the inbox itself was mounted, or anything above it came or went, the folder above it is another
    one than before, or the inbox was a mount point. So the new folder is the person's if, and only if,

    - the inbox was seen whole by this process, in the same parent folder (device and inode) as now,
    - it was not a mount point then, by the mount table (device numbers do not tell a bind mount from a folder), and
    - the new one is a real folder, no link, on the parent's device, and no mount point either.

    A process that started without having seen the inbox whole cannot know, unless it is the very folder of before (`proof`), and
    says so; to make the folder its inbox, put the empty file `.multiplane` into it. Whether the new folder is empty does not
    matter: what is in it was put there to be taken.
    """

    def __init__(self, inbox: bytes) -> None:
        self._inbox = os.path.abspath(inbox)
        self._parent: Identity | None = None

    def seen_whole(self) -> None:
        """The inbox is there, marker and all."""
        self._parent = None if is_mount_point(self._inbox) else identity(os.path.dirname(self._inbox))

    def is_the_persons(self) -> bool:
        """Whether the folder that is there now, without a marker, is a person's new inbox."""
        if self._parent is None or identity(os.path.dirname(self._inbox)) != self._parent or is_mount_point(self._inbox):
            return False
        found = identity(self._inbox)
        return found is not None and found[0] == self._parent[0] and not os.path.islink(self._inbox)


def is_mount_point(path: bytes) -> bool:
    """Whether something is mounted at a folder, by the mount table: device numbers do not tell a bind mount from a folder."""
    return mount_of(path).point == os.path.realpath(path)


def identity(path: bytes) -> Identity | None:
    """Device and inode of a folder; none if there is no folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if os.path.isdir(path) else None
