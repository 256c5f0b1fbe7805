"""Which folders of the inbox the system reports changes for, and which must be polled, depending on each folder's file system.

A local folder is watched natively. If the system has no watch left for it, it is polled, and watching is tried again. A folder
that another machine can change, such as a share mounted inside the inbox, is polled and uses the settle time for networks.
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

# The waiting list says what is wrong with a folder itself; these remedies are only about the system's limits.
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
    """What to do about a folder that the system does not watch, if known."""
    return _REMEDIES.get(error.errno or 0)


def reason(error: OSError) -> str:
    """A few words on why the system does not watch a folder."""
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class Polled:
    """A folder that is polled instead of watched.

    Attributes:
        folder: its name in the inbox; empty for the inbox itself.
        share: its file system, if that is another machine's.
        trouble: why the system does not watch it, if it should.
    """

    folder: bytes
    share: str | None
    trouble: str | None = None


@dataclass(slots=True)
class _Place:
    """A folder of the inbox. `share`: its file system if that is another machine's. `trouble`: why it is not watched."""

    share: str | None
    trouble: OSError | None = None


class Coverage:
    """What is watched natively in one inbox, and what is polled.

    Args:
        inbox: absolute path.
        note: receives every event (folder, name, how, is_directory); called on the observer's threads.
        lost: called when events were lost.
        mount_of: returns the mount that holds a path, or the folder with that name in it.

    Attributes:
        network: whether the inbox itself is on another machine.
        trouble: why the inbox itself cannot be watched, if so.
        polled: names of the folders in it that are polled.
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
        """Watch the inbox, which may be another folder than before. What is known about its folders is forgotten."""
        self.stop()
        self._device = identity[0]
        self._mount = self._mount_of(self._inbox, INBOX)
        self.network = self._mount.network
        self._places, self.polled = {}, set()
        self.observe()

    def observe(self) -> None:
        """Start a new observer, if this inbox can have one, for all known folders."""
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
        """Whether there is an observer; it may have died."""
        return self._observing is not None

    @property
    def is_alive(self) -> bool:
        """Whether the observer runs, or is rightly absent."""
        return self.network or (self._observing is not None and self._observing.alive())

    def enter(self, name: bytes, entry: Entry) -> bool:
        """A folder is about to be listed for the first time, or is another one than before: make sure that it is watched.

        Returns:
            Whether other machines can change it.
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
        """Watch every folder again: events were lost, perhaps one that replaced a folder."""
        for name, place in self._places.items():
            self._cover(name, place)

    def try_again(self) -> set[bytes]:
        """Try to watch what could not be watched, or no longer is. Returns the names of the folders for which this worked."""
        if self._observing is None:
            return set()
        mended = set()
        for name, place in self._places.items():
            if place.share is None and not self._observing.covers(name):
                self._cover(name, place)
                if place.trouble is None:
                    mended.add(name)
                elif place.trouble.errno == errno.ENOSPC:
                    break  # there is no watch for the others, either
        return mended

    def problem(self) -> tuple[str, str | None] | None:
        """A sentence about what is not watched although it should be, and what to do if known; None if all is well."""
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
        """The folders that are polled; all others are watched, or are covered by the inbox."""
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
