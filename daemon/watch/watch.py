"""The watch: decides when to scan the inbox and what to scan, and checks whether the inbox is there at all.

Events only say which names to scan. What counts is what the scan finds, and other packages judge that.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from daemon.intake.model import Hint, How, Scan
from daemon.platform.mounts import Mount, mount_of
from daemon.watch.coverage import Coverage, Identity, Polled
from daemon.watch.scan import ReadControl, Scanner, sentence, unmarked

MARKER = b".multiplane"
# Scanning a share is work for its server, so after a scan, pause for at least this many times as long as it took.
POLL_SCAN_FACTOR = 20.0
HEALTH_SECONDS = 5.0
# Lost events lead to at most one full scan in this time.
OVERFLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the watch. `degraded`: it works, but polls something that it should watch; `problem` says what and why."""

    state: Literal["ok", "degraded", "offline"]
    problem: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A scan, and the hints that arrived before it began."""

    scan: Scan
    hints: tuple[Hint, ...]


class Watch:
    """Watches one inbox.

    Args:
        inbox: path of the folder; it must contain its marker file `.multiplane`.
        wake: called from other threads when there is a reason to `scan`; must be quick and must not raise.
        read_control: see `Scanner`.
        rescan_seconds: the longest time between two full scans, because events can be lost without notice.
        poll_seconds: the shortest time between two scans of what is polled.
        mount_of: see `Coverage`; called again when the inbox, or a folder in it, is replaced.
        clock: returns monotonic seconds.

    Attributes:
        faults: sentences about failures of the watch that were repaired. The caller reports them and empties the list.
    """

    def __init__(
        self,
        inbox: bytes,
        wake: Callable[[], None],
        *,
        read_control: ReadControl,
        rescan_seconds: float = 60.0,
        poll_seconds: float = 5.0,
        mount_of: Callable[[bytes, bytes], Mount] = mount_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox = os.path.abspath(inbox)
        self._rescan_seconds = rescan_seconds
        self._poll_seconds = poll_seconds
        self.faults: list[str] = []
        self._wake = wake
        self._clock = clock
        self._coverage = Coverage(self.inbox, self._note, self._lost, mount_of)
        self._scanner = Scanner(self.inbox, network=self._coverage.network, read_control=read_control, enter=self._coverage.enter)
        self._lock = threading.Lock()
        self._hints: dict[tuple[bytes, bytes], Hint] = {}
        self._named: dict[bytes, set[bytes]] = {}
        self._folders: set[bytes] = set()
        self._overflowed = False
        self._events_lost = False
        self._identity: Identity | None = None
        self._full_at = clock()
        self._poll_at = float("inf")
        self._full_took = 0.0
        self._scanned_at = float("-inf")
        self._health = Health("offline", "not started")

    def start(self) -> Health:
        """Start the observer. The first scan afterwards is a full one, so that nothing is missed in between."""
        return self.health(self._clock())

    def stop(self) -> None:
        """End the observer's threads."""
        self._coverage.stop()

    @property
    def next_at(self) -> float:
        """When to call `scan`, in monotonic seconds, even if nothing wakes the loop and no file is settling."""
        return min(self._full_at, self._poll_at)

    @property
    def polled(self) -> tuple[Polled, ...]:
        """See `Coverage.polled_folders`."""
        return self._coverage.polled_folders()

    def scan(self, due: Mapping[bytes, Set[bytes]] | None = None) -> Seen | None:
        """Scan the names that events reported and those in `due` (names by folder), or the whole inbox if it is time for that.

        Returns:
            The scan and the hints; None if the inbox is not there, so that nothing can be said about its contents.
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
            self._events_lost = True
        if now >= self._full_at:
            if self._events_lost:
                self._coverage.renew()
                self._events_lost = False
            scan = self._scanner.scan(now)
            self._full_took = self._clock() - now
            self._scanned_at = now
            self._full_at = now + self._interval()
            self._poll_at = now + self._pause(self._full_took)
        else:
            polled = self._coverage.polled if now >= self._poll_at else frozenset[bytes]()
            # The sets in `due` are used as they are unless events named more: when many files settle, the sets are large.
            worth = due or {}
            names = {**named, **{folder: named[folder] | at if folder in named else at for folder, at in worth.items()}}
            scan = self._scanner.scan_names(now, names, folders | polled)
            if polled:
                self._poll_at = now + self._pause(self._clock() - now)
        self._coverage.keep({folder.name for folder in scan.folders})
        if not self._coverage.polled:
            self._poll_at = float("inf")
        elif self._poll_at == float("inf"):
            self._poll_at = now + self._poll_seconds
        # Check only now: an inbox that disappeared during the scan must not look like one that was emptied.
        absence, identity = self._presence()
        if (absence is not None or identity != self._identity) and self.health(now).state == "offline":
            return None
        return Seen(scan, tuple(hints.values()))

    def health(self, now: float) -> Health:
        """Check the inbox and the observer, and rebuild the watch if needed. Call this every `HEALTH_SECONDS`.

        While the inbox is away, nothing is scanned, and nothing is forgotten. When it is back, all of it is scanned again.
        """
        absence, identity = self._presence()
        if absence is not None:
            self.stop()
            self._identity = None
            self._health = Health("offline", absence)
            return self._health
        if identity is not None and identity != self._identity:
            self._begin(identity, now)
        elif not self._coverage.is_alive:
            self._observe_again(now)
        if mended := self._coverage.try_again() | self._scanner.exchanged():
            with self._lock:
                self._folders |= mended
            self._wake()
        problem = self._coverage.problem()
        self._health = Health("ok") if problem is None else Health("degraded", *problem)
        return self._health

    def _pause(self, took: float) -> float:
        """Seconds between two polls of something that takes `took` seconds to scan."""
        return max(self._poll_seconds, POLL_SCAN_FACTOR * took)

    def _interval(self) -> float:
        return self._rescan_seconds if self._coverage.is_native else self._pause(self._full_took)

    def _begin(self, identity: Identity, now: float) -> None:
        """Watch the inbox that is there now: first start a new observer, then make a full scan due."""
        if self._identity is not None:
            self.faults.append("the inbox is another folder than before; it is watched again and read in full")
        self._identity = identity
        self._coverage.begin(identity)
        self._scanner.begin(network=self._coverage.network)
        self._full_at = now
        self._wake()

    def _observe_again(self, now: float) -> None:
        """Replace an observer that died, or start the one that the system could not supply before."""
        died = self._coverage.is_native
        self._coverage.observe()
        if died:
            self.faults.append("the observer of the inbox had stopped; it is watched again and read in full")
        if died or self._coverage.is_native:
            self._full_at = now
            self._wake()

    def _presence(self) -> tuple[str | None, Identity | None]:
        """Why the inbox counts as away (a sentence; None if it is there), and its device and inode (None if unreadable)."""
        try:
            fd = os.open(self.inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return sentence(error, self.inbox), None
        try:
            found = os.fstat(fd)
            with os.scandir(fd):
                pass
        except OSError as error:
            return sentence(error, self.inbox), None
        else:
            return self._unmarked(fd), (found.st_dev, found.st_ino)
        finally:
            os.close(fd)

    def _unmarked(self, fd: int) -> str | None:
        """A sentence that says why an open folder without the marker file is not the inbox; None if it has the marker."""
        try:
            os.stat(MARKER, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return unmarked(self.inbox)
        except OSError as error:
            return sentence(error, self.inbox + b"/" + MARKER)
        return None

    def _lost(self) -> None:
        """Note that events were lost, so that everything is scanned. Called on the observer's threads."""
        with self._lock:
            self._overflowed = True
        self._wake()

    def _note(self, folder: bytes, name: bytes, how: How, is_directory: bool) -> None:
        """Note the name in an event. Called on the observer's threads."""
        with self._lock:
            self._named.setdefault(folder, set()).add(name)
            if how != "changed":
                self._hints[folder, name] = Hint(folder, name, how, self._clock())
            if is_directory:
                self._folders.add(os.path.join(folder, name))
        self._wake()
