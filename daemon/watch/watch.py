"""The watch: knows when to look at the inbox, at what, and whether the inbox is there at all.

Events are hints, the scan is the truth. This object only ever says "look again"; what is seen is judged elsewhere.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from daemon.intake.model import INBOX, Hint, How, Look
from daemon.platform.files import canonical
from daemon.platform.mounts import mount_of
from daemon.watch.observer import Observing
from daemon.watch.scan import ReadControl, Scanner, sentence

MARKER = b".multiplane"
# Looking at a share costs its server: never more than a twentieth of the time.
POLL_SCAN_FACTOR = 20.0
HEALTH_SECONDS = 5.0
# A flood of events is answered by one full look a second.
OVERFLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the watch is. `degraded`: it works, but by polling alone, and `problem` says why."""

    state: Literal["ok", "degraded", "offline"]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A look, and the hints that came before it began."""

    look: Look
    hints: tuple[Hint, ...]


class Watch:
    """Watches one inbox.

    Args:
        inbox: path of the folder; its marker file `.multiplane` must be there.
        wake: called from other threads when it is worth to `look`; must be quick and raise nothing.
        read_control: see `Scanner`.
        network: whether other machines can change the inbox; asked of the mount table if None, anew when the inbox comes back.
        rescan_seconds: a full look at least so often; events can be lost without a word.
        poll_seconds: the same on a network file system, and where the system cannot watch.
        clock: monotonic seconds.

    Attributes:
        faults: what went wrong with the watching and was mended, one sentence each; whoever tells of them empties the list.
    """

    def __init__(
        self,
        inbox: bytes,
        wake: Callable[[], None],
        *,
        read_control: ReadControl,
        network: bool | None = None,
        rescan_seconds: float = 60.0,
        poll_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox = os.path.abspath(inbox)
        self._is_network = network
        self.network = mount_of(self.inbox).network if network is None else network
        self._rescan_seconds = rescan_seconds
        self._poll_seconds = poll_seconds
        self.faults: list[str] = []
        self._wake = wake
        self._clock = clock
        self._scanner = Scanner(self.inbox, network=self.network, read_control=read_control)
        self._lock = threading.Lock()
        self._hints: dict[tuple[bytes, bytes], Hint] = {}
        self._named: dict[bytes, set[bytes]] = {}
        self._folders: set[bytes] = set()
        self._overflowed = False
        self._root = self.inbox
        self._identity: tuple[int, int] | None = None
        self._observing: Observing | None = None
        self._unwatched: str | None = None
        self._full_at = clock()
        self._full_took = 0.0
        self._scanned_at = float("-inf")
        self._health = Health("offline", "not started")

    def start(self) -> Health:
        """Start the observer; the first look afterwards is a full one, so that nothing falls between the two."""
        return self.health(self._clock())

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observing is not None:
            self._observing.stop()
            self._observing = None

    @property
    def next_at(self) -> float:
        """When to look, monotonic seconds, even if nothing wakes and nothing settles."""
        return self._full_at

    def look(self, look_at: Mapping[bytes, Set[bytes]] | None = None) -> Seen | None:
        """Look at the inbox: at what was hinted and at `look_at` (names by folder), or at all of it when that is due.

        Returns:
            What was seen; None while the inbox is not there, which says nothing about what is in it.
        """
        if self._health.state == "offline":
            return None
        now = self._clock()
        with self._lock:
            hints, named, folders, overflowed = self._hints, self._named, self._folders, self._overflowed
            self._hints, self._named, self._folders, self._overflowed = {}, {}, set(), False
        if overflowed:
            self.faults.append("the system lost events of the inbox (there were too many at once); it is read in full")
            self._full_at = min(self._full_at, max(now, self._scanned_at + OVERFLOW_SECONDS))
        if now >= self._full_at:
            look = self._scanner.look(now)
            self._full_took = self._clock() - now
            self._scanned_at = now
            self._full_at = now + self._interval()
        else:
            # As they are where nothing was named beside them: of a flood they are many.
            worth = look_at or {}
            names = {**named, **{folder: named[folder] | at if folder in named else at for folder, at in worth.items()}}
            look = self._scanner.glance(now, names, folders)
        # Asked afterwards: a folder that went away meanwhile must not read as one that was emptied.
        if (self._absence() is not None or self._identity_now() != self._identity) and self.health(now).state == "offline":
            return None
        return Seen(look, tuple(hints.values()))

    def health(self, now: float) -> Health:
        """Check the inbox and the observer, and rebuild the watch where that is needed. To be asked every `HEALTH_SECONDS`.

        A folder that is away is no reason to forget anything: nothing is seen until it is back, and then everything anew.
        """
        if (absence := self._absence()) is not None:
            self.stop()
            self._identity = None
            self._health = Health("offline", absence)
            return self._health
        if self._identity is None or self._identity_now() != self._identity or not self._watching():
            self._rebuild(now)
        state: Literal["ok", "degraded"] = "ok" if self._unwatched is None else "degraded"
        self._health = Health(state, self._unwatched)
        return self._health

    def _interval(self) -> float:
        if self.network or self._observing is None:
            return max(self._poll_seconds, POLL_SCAN_FACTOR * self._full_took)
        return self._rescan_seconds

    def _watching(self) -> bool:
        """Whether the observer runs, or rightly does not."""
        return self.network or (self._observing is not None and self._observing.alive())

    def _rebuild(self, now: float) -> None:
        """A new observer first, then a full look."""
        if self._identity is not None:
            moved = self._identity_now() != self._identity
            what = "the inbox is another folder than before" if moved else "the observer of the inbox had stopped"
            self.faults.append(f"{what}; it is watched anew and read in full")
        self.stop()
        self._unwatched = None
        self._identity = self._identity_now()
        if self._is_network is None:
            self.network = self._scanner.network = mount_of(self.inbox).network
        if not self.network:
            try:
                self._root = canonical(self.inbox)
                self._observing = Observing(self._root, self._note, self._lost)
            except OSError as error:
                self._unwatched = f"{os.fsdecode(self.inbox)} cannot be watched ({error.strerror or error}); it is polled instead"
        self._full_at = now
        self._wake()

    def _absence(self) -> str | None:
        """Why the inbox counts as away, one sentence, or None."""
        try:
            with os.scandir(self.inbox):
                pass
        except OSError as error:
            return sentence(error, self.inbox)
        marker = self.inbox + b"/" + MARKER
        try:
            os.lstat(marker)
        except FileNotFoundError:
            name = os.fsdecode(self.inbox)
            return f"{name} is there, but not its marker file .multiplane: another folder, or a disk that is not mounted"
        except OSError as error:
            return sentence(error, marker)
        return None

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            st = os.stat(self.inbox)
        except OSError:
            return None
        return st.st_dev, st.st_ino

    def _lost(self) -> None:
        """Events were lost: everything has to be looked at. Called on the observer's threads."""
        with self._lock:
            self._overflowed = True
        self._wake()

    def _note(self, path: bytes, how: How, is_directory: bool) -> None:
        """Take down what an event named. Called on the observer's threads."""
        if not path.startswith(self._root + b"/"):
            self._wake()
            return
        folder, _, name = path[len(self._root) + 1 :].rpartition(b"/")
        if b"/" in folder:
            return
        with self._lock:
            self._named.setdefault(folder, set()).add(name)
            if how != "changed":
                self._hints[folder, name] = Hint(folder, name, how, self._clock())
            if is_directory and folder == INBOX:
                self._folders.add(name)
        self._wake()
