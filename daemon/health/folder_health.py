"""Checks whether inbox and outbox are there, and are the right folders. If not, the daemon pauses all work."""

import os
from collections.abc import Callable, Iterable
from itertools import islice

from loguru import logger

from daemon.contract.names import to_bytes
from daemon.contract.records import Job
from daemon.fs import FileSystem
from daemon.health.folder_identities import FolderIdentities
from daemon.health.inbox_replacement import InboxReplacement
from daemon.health.shipped_presets import ShippedPresets
from daemon.outbox import Outbox
from daemon.outbox.ownership import Ownership, remedy_for_stranger, said_of_stranger
from daemon.settings import Settings
from daemon.troubles import Troubles
from daemon.watch import HEALTH_SECONDS, MARKER, Health, Polled, Watch, reason, remedy
from daemon.watch.folder_watch import FolderWatch
from daemon.watch.scan import sentence, unmarked

#: How many of the last jobs are tried. If the picture of one of them is there, this is the outbox.
_MAX_JOBS = 50
OFFLINE_HINT = (
    "Nothing is lost; work resumes as soon as the folder is back. If this is a new folder that you want to use from now on, "
    "put an empty file named .multiplane into it."
)


class FolderHealth:
    """Creates inbox and outbox, and checks whether they are there.

    Args:
        fs: the disk.
        settings: the home's settings.
        outbox: the outbox.
        known: returns jobs whose folders should be in the outbox, the most certain ones first.
        ownership: tells whether the folders belong to another home, and marks them as this home's.
    """

    def __init__(
        self, fs: FileSystem, settings: Settings, outbox: Outbox, known: Callable[[], Iterable[Job]], ownership: Ownership
    ) -> None:
        self._fs = fs
        self._inbox = settings.paths.inbox_bytes
        self._outbox = outbox
        self._inbox_replacement = InboxReplacement(self._inbox)
        self._presets = ShippedPresets(fs, settings.paths)
        self._identities = FolderIdentities(fs, os.path.join(settings.paths.state_bytes, b"folders.json"))
        self._known = known
        self._ownership = ownership
        self._shares: set[Polled] = set()
        self._troubles = Troubles()
        #: What cannot be watched, although work continues, and what a person can do about it; one sentence each, or None.
        self.degraded: str | None = None
        self.hint: str | None = None
        #: What a person can do about the folder that `absence` found missing.
        self.absence_hint = OFFLINE_HINT

    def prepare(self) -> None:
        """Create the folders, with their markers and the shipped presets. Call this only on the first start.

        Later, a missing folder may mean that a disk is not mounted, and creating it would hide that.
        """
        self._presets.put_at_first_start()
        self._mark_inbox()
        self._outbox.prepare()

    def _mark_inbox(self) -> None:
        self._ownership.take(self._inbox, durable=True)

    def absence(self, watch: Watch, request_watch: FolderWatch, now: float) -> str | None:
        """A sentence that says which folder, inbox or outbox, is missing; None if neither is. `now` is monotonic seconds.

        A folder that belongs to another home counts as missing. This also rebuilds the watches, puts removed markers back where
        that is safe, marks both folders as this home's, gives a checkout's inbox its presets, and updates `degraded`, `hint` and
        `absence_hint`.
        """
        self.absence_hint = OFFLINE_HINT
        error = request_watch.ensure_watching()
        health = watch.health(now)
        if health.state == "offline" and self._inbox_replacement.is_made_by_person():
            logger.warning("the inbox was deleted and recreated; {} is the inbox from now on", os.fsdecode(self._inbox))
            self._mark_inbox()
            health = watch.health(now)
        elif health.state == "offline" and self._is_the_same("inbox", self._inbox) and self._put_back("inbox", self._mark_inbox):
            health = watch.health(now)
        if health.state == "offline":
            self.absence_hint = self._remedy("inbox", self._inbox)
            return health.problem
        if (taken := self._taken("inbox", self._inbox)) is not None:
            return taken
        self._inbox_replacement.seen_complete()
        self._identities.remember("inbox", self._inbox)
        self._presets.put_into_checkout()
        self._report(health, error)
        self._report_shares(watch)
        root = self._outbox.root
        if (taken := self._taken("outbox", root)) is not None:
            return taken
        if not self._outbox.is_healthy():
            if self._is_the_same("outbox", root) and self._has_its_jobs():
                self._put_back("outbox", self._outbox.prepare)
            if not self._outbox.is_healthy():
                self.absence_hint = self._remedy("outbox", root)
                return self._why_away(root)
        self._identities.remember("outbox", root)
        return None

    def _why_away(self, outbox: bytes) -> str:
        """A clause that says why a folder cannot be the outbox."""
        try:
            with self._fs.hold(outbox) as held:
                try:
                    held.lstat(MARKER)
                except FileNotFoundError:
                    return unmarked(outbox)
            self._ownership.stranger(outbox)
        except OSError as error:
            return sentence(error, outbox)
        return f"{os.fsdecode(outbox)} could not be used"  # it was back a moment later

    def _remedy(self, name: str, folder: bytes) -> str:
        """What a person can do about a folder that is missing. `name`: "inbox" or "outbox"."""
        if os.path.exists(folder) and not os.path.isdir(folder):
            return f"Nothing is lost. Name a folder in the settings (folders.{name}), or move what is in its place away."
        return OFFLINE_HINT

    def _taken(self, name: str, folder: bytes) -> str | None:
        """A clause that says that a folder belongs to another home; None if it does not. Then it is marked as this home's."""
        try:
            owner = self._ownership.stranger(folder)
        except OSError:
            return None  # it is not there, or cannot be read: other checks find that
        if owner is not None:
            self.absence_hint = remedy_for_stranger(name)
            return said_of_stranger(name, folder, owner)
        try:
            self._ownership.take(folder)
        except OSError as error:
            self._troubles.tell(f"owner of {name}", f"the {name} cannot be marked as this home's: {error.strerror}")
            return None
        self._troubles.over(f"owner of {name}")
        return None

    def _is_the_same(self, name: str, folder: bytes) -> bool:
        """Whether a folder without its marker is nevertheless known to be the right one."""
        try:
            with self._fs.hold(folder) as held:
                held.lstat(MARKER)
        except FileNotFoundError:
            return self._identities.recognises(name, folder)
        except OSError:
            return False
        return False

    def _has_its_jobs(self) -> bool:
        """Whether the outbox contains the unchanged picture of one of the last jobs. Also True if there are no jobs.

        This is needed because a new folder may get the inode of a deleted one. A folder without the jobs is not the outbox.
        """
        jobs = [job for job in islice(self._known(), _MAX_JOBS) if job.claimed]
        return not jobs or any(self._has(job) for job in jobs)

    def _has(self, job: Job) -> bool:
        try:
            found = self._fs.lstat(self._outbox.job(job.job_id, b"source", to_bytes(job.image.to)))
        except OSError:
            return False
        return (found.kind, found.size, found.mtime_ns) == ("file", job.image.size, job.image.mtime_ns)

    def _put_back(self, name: str, mark: Callable[[], None]) -> bool:
        """Put the marker back into a folder; False if the disk does not allow it."""
        try:
            mark()
        except OSError as error:
            self._troubles.tell(name, f"the marker file .multiplane of the {name} cannot be put back: {error.strerror}")
            return False
        self._troubles.over(name)
        logger.warning("the marker file .multiplane of the {} had been removed; the folder is the same, so it was put back", name)
        return True

    def _report(self, health: Health, error: OSError | None) -> None:
        """Note which folders are polled although they should be watched, and log each change."""
        sentences = [health.problem] if health.problem else []
        if error is not None:
            sentences.append(
                f"the folder of requests cannot be watched ({reason(error)}); commands are noticed within {HEALTH_SECONDS:.0f} s"
            )
        degraded = "; ".join(sentences) or None
        if degraded != self.degraded:
            logger.warning("{}", degraded or "everything is watched again")
        self.degraded = degraded
        self.hint = health.hint or (remedy(error) if error else None)

    def _report_shares(self, watch: Watch) -> None:
        """Log once for each folder that it is on a network file system."""
        shares = {polled for polled in watch.polled if polled.share}
        for polled in sorted(shares - self._shares, key=lambda polled: polled.folder):
            name = os.fsdecode(os.path.join(self._inbox, polled.folder)).rstrip("/")
            logger.info("{} is on a network share ({}): it is polled, and files in it settle for longer", name, polled.share)
        self._shares = shares
