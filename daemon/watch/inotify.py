"""Native watching on Linux: one inotify instance and one thread for a folder and its subfolders, through watchdog 7.1's reader.

Each folder has its own watch, so we know for which folders the system reports events. watchdog's own recursive watch goes down
to any depth, and does not tell for which folders the system had no watch left.
"""

import contextlib
import errno
import itertools
import os
from collections.abc import Callable

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from daemon.intake.model import INBOX, How

#: note(folder, name, how, is_directory)
Note = Callable[[bytes, bytes, How, bool], None]

# Reads are left out, because our own reads would cause events. So are writes in progress, because a slow copy would cause a
# flood of them.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
)
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class _Reader(InotifyFD):
    """The inotify descriptor, which also reports overflows.

    Raises:
        OSError: the system has no inotify instance, descriptor or thread left.
    """

    def __init__(self, overflow: Callable[[], None]) -> None:
        try:
            super().__init__()
        except OSError:
            # watchdog opens the inotify instance first. If a later step failed, that instance is still open.
            if (opened := getattr(self, "_inotify_fd", -1)) >= 0:
                os.close(opened)
            raise
        self._overflow = overflow
        try:
            self.start()
        except RuntimeError as error:
            self._close_resources()
            raise OSError(errno.EAGAIN, "no thread can be started") from error

    def handle_event(self, event: InotifyEvent) -> None:
        super().handle_event(event)
        if event.is_queue_overflow:
            self._overflow()


class _Folder:
    """Receives the reader's calls for one watched folder."""

    def __init__(self, name: bytes, note: Note, key: CallbackId) -> None:
        self._name = name
        self._note = note
        self.key = key
        self.descriptor = WatchDescriptor(-1)
        #: The system removed the watch: the folder was deleted, or its disk unmounted.
        self.gone = False

    def on_event(self, event: InotifyEvent) -> None:
        if not event.name:
            return
        how: How = "renamed_in" if event.is_moved_to else "closed" if event.is_close_write else "changed"
        self._note(self._name, event.name, how, bool(event.mask & InotifyConstants.IN_ISDIR))

    def on_watch_deleted(self, _wd: WatchDescriptor) -> None:
        self.gone = True
        if self._name != INBOX:
            above, _, name = self._name.rpartition(b"/")
            self._note(above, name, "changed", True)

    def on_queue_overflow(self) -> None:
        """Do nothing: the reader reports an overflow once for all folders."""


class Observing:
    """A running observer of one folder, and of each subfolder for which `cover` was called.

    Args:
        path: the folder's path.
        note: receives every event; called on the observer's thread.
        overflow: called when events were lost.

    Raises:
        OSError: the folder cannot be watched (inotify limits, no such folder).
    """

    def __init__(self, path: bytes, note: Note, overflow: Callable[[], None]) -> None:
        self._path = path
        self._note = note
        self._keys = itertools.count()
        self._folders: dict[bytes, _Folder] = {}
        self._reader = _Reader(overflow)
        try:
            self.cover(INBOX)
        except BaseException:
            self.stop()
            raise

    def cover(self, name: bytes) -> None:
        """Watch the folder with that name, or the observed folder itself (an empty name). Replaces an earlier watch.

        Raises:
            OSError: the system cannot watch it, or it is a link.
        """
        self.uncover(name)
        folder = _Folder(name, self._note, CallbackId(next(self._keys)))
        with contextlib.ExitStack() as held:
            path = _held(held, self._path, name)
            folder.descriptor = self._reader.add_callback(path, _MASK, folder, folder.key)
        if folder.descriptor < 0:
            # watchdog would treat an unreadable folder as watched.
            self._reader.remove_callbacks([(folder.descriptor, folder.key)])
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), name)
        self._folders[name] = folder

    def uncover(self, name: bytes) -> None:
        """Stop watching a folder, if it was watched."""
        folder = self._folders.pop(name, None)
        if folder is not None and not folder.gone:
            self._reader.remove_callbacks([(folder.descriptor, folder.key)])

    def covers(self, name: bytes) -> bool:
        """Whether the system reports what happens in the folder with that name."""
        folder = self._folders.get(name)
        return folder is not None and not folder.gone

    def alive(self) -> bool:
        """Whether the thread runs and the folder itself is still watched."""
        return self._reader.is_alive() and self.covers(INBOX)

    def stop(self) -> None:
        """End the thread."""
        self._reader.stop()
        if self._reader.is_alive():
            self._reader.join()


def _held(held: contextlib.ExitStack, path: bytes, name: bytes) -> bytes:
    """Open the folder `name` below `path`, and return a path that leads to it while `held` keeps it open.

    If `name` is empty, return `path`. inotify takes only paths, not descriptors. Strangers can swap the name for a link, but not
    a folder that is open.
    """
    if not name:
        return path
    fd = os.open(path, _FOLDER)
    held.callback(os.close, fd)
    for part in name.split(b"/"):
        fd = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
        held.callback(os.close, fd)
    return b"/proc/self/fd/%d" % fd
