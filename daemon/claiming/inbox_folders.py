"""The folders of the inbox, each opened once and held while pairs of it are taken.

Whoever may write to the inbox may exchange a folder for a link at any moment. So between the look and the rename no path is
walked twice: everything is done through the folder that was opened, which is no link, and a folder that has to be opened once
more must be the same one.
"""

import errno
from collections.abc import Callable

from daemon.fs import FileSystem, HeldFolder, Wanted
from daemon.intake.model import INBOX, Entry

#: Folders held at once: enough for those of one group, few enough for the 256 descriptors that a process has on macOS.
_MAX_HELD = 32


class ExchangedError(FileNotFoundError):
    """The folder that was looked at is not there any more; another one has its name."""


class InboxFolders:
    """Holds folders of the inbox until `release`.

    Args:
        fs: the disk.
        inbox: path of the inbox; links in it are the owner's own.
        is_local: whether inodes say which file it is; on network file systems they may change over a remount.
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
        """Whether the inbox is on a local disk, asked once until `release`."""
        if self._local is None:
            self._local = self._is_local()
        return self._local

    def open(self, name: bytes, ino: int = 0) -> HeldFolder:
        """A folder of the inbox, or the inbox itself (an empty name); held until others have pushed it out, or `release`.

        Args:
            name: of the folder.
            ino: which folder it must be, if that is known from before a restart; asked on local disks only.

        Raises:
            ExchangedError: the name stands for another folder than before.
            OSError: it is not there, is no folder (a link, for instance), or cannot be opened.
        """
        held = self._held.get(name) or self._open(name)
        if ino and self.local and held.ino != ino:
            raise ExchangedError(errno.ENOENT, "another folder has its name by now", held.path)
        return held

    def _open(self, name: bytes) -> HeldFolder:
        held = self.open(INBOX).enter(name) if name else self._fs.hold(self._inbox)
        identity = held.dev, held.ino
        if self._known.setdefault(name, identity) != identity:
            held.release()
            raise ExchangedError(errno.ENOENT, "another folder has its name by now", held.path)
        if len(self._held) >= _MAX_HELD:
            oldest = next(other for other in self._held if other != INBOX)
            self._held.pop(oldest).release()
        self._held[name] = held
        return held

    def wanted(self, entry: Entry) -> Wanted:
        """The file that was looked at, for who opens it."""
        return Wanted(entry.size, entry.mtime_ns, *((entry.ino, entry.dev) if self.local else ()))

    def release(self) -> None:
        """Hold none of them any longer."""
        for held in self._held.values():
            held.release()
        self._held.clear()
        self._known.clear()
        self._local = None
