"""The folders of the inbox, each opened once and held open while pairs in it are taken.

Anybody who can write to the inbox can swap a folder for a link at any moment. So from the check to the rename, every operation
goes through the open folder, which is not a link. If a folder has to be opened again, it must be the same folder as before.
"""

import errno
from collections.abc import Callable

from daemon.fs import FileSystem, HeldFolder, Wanted
from daemon.intake.model import INBOX, Entry
from daemon.intake.names import folder_above

#: How many folders are held open at once: enough for one group, few enough for the 256 descriptors of a process on macOS.
_MAX_HELD = 32


class ExchangedError(FileNotFoundError):
    """The folder that was checked is gone, and another one has its name."""


class InboxFolders:
    """Holds folders of the inbox open until `release`.

    Args:
        fs: the disk.
        inbox: path of the inbox. Links in this path are followed: only the owner can make them.
        is_local: returns whether the inbox is on a local disk, where inodes identify files. On network file systems they may
            change when the share is mounted again.
    """

    def __init__(self, fs: FileSystem, inbox: bytes, is_local: Callable[[], bool] = lambda: True) -> None:
        self._fs = fs
        self._inbox = inbox
        self._is_local = is_local
        self._local: bool | None = None
        self._held: dict[bytes, HeldFolder] = {}
        self._known: dict[bytes, tuple[int, int]] = {}

    @property
    def local(self) -> bool:
        """Whether the inbox is on a local disk. The answer is kept until `release`."""
        if self._local is None:
            self._local = self._is_local()
        return self._local

    def open(self, name: bytes, ino: int = 0) -> HeldFolder:
        """Open a folder of the inbox, a folder in such a folder, or the inbox itself (an empty name).

        It is held open until `release`, or until too many are open.

        Args:
            name: its path from the inbox.
            ino: the inode that the folder must have, if it was recorded before; 0 if unknown. Checked only on local disks.

        Raises:
            ExchangedError: the name now belongs to another folder.
            OSError: the folder is missing, is something else (a link, for instance), or cannot be opened.
        """
        held = self._held.get(name) or self._open(name)
        if ino and self.local and held.ino != ino:
            raise ExchangedError(errno.ENOENT, "another folder has this name now", held.path)
        return held

    def _open(self, name: bytes) -> HeldFolder:
        above = folder_above(name)
        held = self._fs.hold(self._inbox) if above is None else self.open(above).enter(name.rpartition(b"/")[2])
        identity = held.dev, held.ino
        if self._known.setdefault(name, identity) != identity:
            held.release()
            raise ExchangedError(errno.ENOENT, "another folder has this name now", held.path)
        if len(self._held) >= _MAX_HELD:
            oldest = next(other for other in self._held if other != INBOX)
            self._held.pop(oldest).release()
        self._held[name] = held
        return held

    def wanted(self, entry: Entry) -> Wanted:
        """The size and time that a checked file must still have when it is opened; on local disks, its inode and device too."""
        return Wanted(entry.size, entry.mtime_ns, *((entry.ino, entry.dev) if self.local else ()))

    def release(self) -> None:
        """Close all folders that are held open."""
        for held in self._held.values():
            held.release()
        self._held.clear()
        self._known.clear()
        self._local = None
