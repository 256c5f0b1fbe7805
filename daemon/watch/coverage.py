"""Decides for each folder of the inbox whether it is watched (the system reports changes) or polled (scanned regularly).

A local folder is watched. If the system has no watch left for it, the folder is polled, and watching is tried again. A folder
that another machine can change, such as a share mounted inside the inbox, is polled, and files in it settle for longer.
"""

import errno
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from daemon.intake.model import INBOX, Entry
from daemon.platform.files import canonical
from daemon.platform.mounts import Mount
from daemon.watch.observer import Note, Observing

Identity = tuple[int, int]

# Errors of a folder itself. The waiting list reports them, so `problem` leaves them out.
_THE_FOLDERS_OWN = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM)
_REMEDIES = {
    errno.EMFILE: (
        "Raise the limit: sudo sysctl fs.inotify.max_user_instances=1024; or close programs that watch many folders (editors, "
        "Docker, Syncthing). Watching then resumes automatically."
    ),
    errno.ENOSPC: (
        "Raise the limit: sudo sysctl fs.inotify.max_user_watches=1048576; or close programs that watch many folders (editors, "
        "Docker, Syncthing). Watching then resumes automatically."
    ),
}


def remedy(error: OSError) -> str | None:
    """What a person can do if the system cannot watch a folder because of this error; None if that is not known."""
    return _REMEDIES.get(error.errno or 0)


def reason(error: OSError) -> str:
    """A few words that say why the system cannot watch a folder."""
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class Polled:
    """A folder that is polled instead of watched.

    Attributes:
        folder: its name in the inbox; empty for the inbox itself.
        share: the type of its file system if other machines can change it; otherwise None.
        trouble: why the system cannot watch it; None if it is polled only because it is a share.
    """

    folder: bytes
    share: str | None
    trouble: str | None = None


@dataclass(slots=True)
class _Place:
    """A folder of the inbox; the attributes are as in `Polled`, but `trouble` is the error itself."""

    share: str | None
    trouble: OSError | None = None


class Coverage:
    """The folders of one inbox: which are watched, and which are polled.

    Args:
        inbox: absolute path.
        note: receives every event (folder, name, how, is_directory); called on the observer's threads.
        lost: called when events were lost.
        mount_of: called with a path and a name; returns the mount that holds the subfolder of this name, or the path itself if
            the name is empty.

    Attributes:
        network: whether the inbox itself is on a network file system, so that all of it is polled.
        trouble: why the inbox itself cannot be watched, so that all of it is polled; None if it can.
        polled: names of the subfolders that are polled while the inbox itself is watched.
    """

    def __init__(self, inbox: bytes, note: Note, lost: Callable[[], None], mount_of: Callable[[bytes, bytes], Mount]) -> None:
        self._inbox = inbox
        self._note = note
        self._lost = lost
        self._mount_of = mount_of
        self._device = -1
        self._mount = mount_of(inbox, INBOX)
        self._places: dict[bytes, _Place] = {}
        self._observing: Observing | None = None
        self.network = self._mount.network
        self.trouble: OSError | None = None
        self.polled: set[bytes] = set()

    def begin(self, identity: Identity) -> None:
        """Watch the inbox, which may be a different folder now, and forget what is known about its subfolders.

        `identity`: device and inode of the inbox.
        """
        self.stop()
        self._device = identity[0]
        self._mount = self._mount_of(self._inbox, INBOX)
        self.network = self._mount.network
        self._places, self.polled = {}, set()
        self.observe()

    def observe(self) -> None:
        """Start a new observer for all known folders, unless the inbox is on a network file system."""
        self.stop()
        self.trouble = None
        if self.network:
            return
        try:
            self._observing = Observing(canonical(self._inbox), self._note, self._lost)
        except OSError as error:
            self.trouble = error
        for name, place in self._places.items():
            self._cover(name, place)

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observing is not None:
            self._observing.stop()
            self._observing = None

    @property
    def is_native(self) -> bool:
        """Whether an observer was started. It may have died since."""
        return self._observing is not None

    @property
    def is_alive(self) -> bool:
        """Whether the observer runs, or is not needed because the inbox is on a network file system."""
        return self.network or (self._observing is not None and self._observing.alive())

    def enter(self, name: bytes, entry: Entry) -> bool:
        """Make sure that a folder is watched or polled. Call this before its first listing, and again after it was replaced.

        Returns:
            Whether it is on a network file system.
        """
        mount = self._mount if entry.dev == self._device else self._mount_of(self._inbox, name)
        place = self._places[name] = _Place(mount.kind if mount.network else None)
        self._cover(name, place)
        return mount.network

    def keep(self, names: Collection[bytes]) -> None:
        """Forget all folders but these."""
        for name in self._places.keys() - names:
            del self._places[name]
            self.polled.discard(name)
            if self._observing is not None:
                self._observing.uncover(name)

    def renew(self) -> None:
        """Watch every folder again, after events were lost: a lost event may have reported that a folder was replaced."""
        for name, place in self._places.items():
            self._cover(name, place)

    def try_again(self) -> set[bytes]:
        """Try again to watch the folders that should be watched but are not. Returns the names for which this worked."""
        if self._observing is None:
            return set()
        mended = set()
        for name, place in self._places.items():
            if place.share is None and not self._observing.covers(name):
                self._cover(name, place)
                if place.trouble is None:
                    mended.add(name)
                elif place.trouble.errno == errno.ENOSPC:
                    break  # the system has no watch for the others, either
        return mended

    def problem(self) -> tuple[str, str | None] | None:
        """A sentence that says what cannot be watched, and a remedy (None if unknown); None if everything is watched."""
        if self.trouble is not None:
            inbox = os.fsdecode(self._inbox)
            return f"{inbox} cannot be watched ({reason(self.trouble)}); it is polled instead", remedy(self.trouble)
        troubled = [(name, place.trouble) for name, place in self._places.items() if place.trouble is not None]
        limits = [(name, trouble) for name, trouble in troubled if trouble.errno not in _THE_FOLDERS_OWN]
        if not limits:
            return None
        name, trouble = limits[0]
        first = os.fsdecode(os.path.join(self._inbox, name))
        several = first if len(limits) == 1 else f"{first} and {len(limits) - 1:,} more folders of the inbox"
        are = "it is" if len(limits) == 1 else "they are"
        return f"{several} cannot be watched ({reason(trouble)}); {are} polled instead", remedy(trouble)

    def polled_folders(self) -> tuple[Polled, ...]:
        """The folders that are polled. If the inbox itself is polled, it is the only entry and stands for all its subfolders."""
        if self.network:
            return (Polled(INBOX, self._mount.kind),)
        if self.trouble is not None:
            return (Polled(INBOX, None, reason(self.trouble)),)
        places = ((name, self._places[name]) for name in sorted(self.polled))
        return tuple(Polled(name, place.share, reason(place.trouble) if place.trouble else None) for name, place in places)

    def _cover(self, name: bytes, place: _Place) -> None:
        place.trouble = None
        if self._observing is not None:
            try:
                if place.share is None:
                    self._observing.cover(name)
                else:
                    self._observing.uncover(name)
            except OSError as error:
                place.trouble = error
        # If nothing in the inbox is watched, all of it is polled anyway.
        if self._observing is not None and (place.share is not None or place.trouble is not None):
            self.polled.add(name)
        else:
            self.polled.discard(name)
