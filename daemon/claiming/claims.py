"""Claims the pairs that intake calls ready: records them first, then moves the files.

The order, and why:

1. Check that each file is still what intake saw (`daemon.claiming.claim_checks`). A file that changed keeps waiting. So does a
   new picture whose end is missing: a writer that opens the name again must find it there.
2. Read the sidecar; decide on spec and id (`daemon.claiming.acceptance`). Nothing has changed yet.
3. Record `accepted`, with one sync for all. Now each pair is a job, whatever happens.
4. Make the job's folder (which must not exist yet) and `source/`, and sync them. A power loss that undid a folder would lose
   everything in it.
5. Rename the image, depth picture, twins and, last, the sidecar. After a crash some files may be in either folder. The record
   names them all, so recovery completes the claim.
6. Sync `source/`, then the inbox. Until then a power loss may undo the renames, but the record remains and the files are whole.
7. Record `claimed`, with one sync for all. Now the names in the inbox are free: whatever appears there is a new job.
8. Write `status.json`, a view.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loguru import logger

from daemon.claiming.acceptance import Acceptance
from daemon.claiming.batches import Batches
from daemon.claiming.claim_checks import DENIED, ClaimChecks, NotClaimed
from daemon.claiming.moving import Moved, Mover, NameTakenError
from daemon.contract.names import to_text
from daemon.contract.records import Accepted, AnyRecord, Claimed, Job, Retaken, Withdrawn
from daemon.fs import FileSystem
from daemon.intake.model import Ready
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.troubles import Troubles

#: If an error that only a person can fix prevents the files of an accepted job from being moved, the job is given up after this
#: many seconds, and its picture waits in the inbox again. That is long enough to set the permissions of a share, and short enough
#: for people to see the reason soon.
_STUCK_SECONDS = 60.0
#: How many pairs share one sync: enough that the syncs hardly cost anything, few enough that the loop stays responsive.
GROUP = 256
#: Names for `Troubles` of the steps that concern several jobs. They cannot be job ids, because those contain no space.
_CLAIMS, _FOLDERS = "the claims", "the folders"


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """The outcome of an attempt to claim pairs: those that became jobs, and those that did not."""

    done: tuple[Ready, ...]
    dropped: tuple[NotClaimed, ...]


class Claims:
    """Claims pairs: makes them jobs, and moves their files out of the inbox."""

    def __init__(
        self,
        fs: FileSystem,
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        mover: Mover,
        batches: Batches,
        known: Callable[[str], Job | None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known` finds a job by id even if it ended long ago; `clock` returns the current time with its time zone."""
        self._monotonic = monotonic
        self._ledger = ledger
        self._mover = mover
        self._folders = mover.folders
        self._checks = ClaimChecks(mover.folders, outbox, settings.limits.max_image_bytes, clock, monotonic)
        self._acceptance = Acceptance(settings, ledger, outbox, batches, known, clock, mover.folders, monotonic)
        #: Why accepted jobs are not in the outbox yet, by job id.
        self.held: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._turn = 0
        self._troubles = Troubles()

    def claim(self, ready: Sequence[Ready]) -> ClaimOutcome:
        """Accept and claim the first `GROUP` pairs. A pair that is no longer as intake saw it stays in the inbox.

        Raises:
            JournalError: the process must stop.
        """
        try:
            return self._claim(ready)
        finally:
            self._folders.release()

    def _claim(self, ready: Sequence[Ready]) -> ClaimOutcome:
        reserved, batches = set[str](), dict[bytes, str]()
        under_way = {(job.accepted.folder, job.image.name): job for job in self._ledger.jobs.unclaimed.values()}
        accepted: list[tuple[Ready, Accepted | Retaken]] = []
        dropped: list[NotClaimed] = []
        for pair in ready[:GROUP]:
            why = self._is_held(pair, under_way) or self._checks.reason_to_wait(pair)
            if why is None:
                about = to_text(os.path.join(pair.folder, pair.image.name))
                try:
                    accepted.append((pair, self._acceptance.record_for(pair, reserved, batches)))
                    self._troubles.over(about)
                    continue
                except OSError as error:
                    self._troubles.tell(about, f"cannot read what belongs to {about} yet: {error}")
                    why = NotClaimed(pair, f"it cannot be read now: {error.strerror}")
            dropped.append(why)
        accepted, unrecorded = self._record(accepted)
        dropped += unrecorded
        if accepted:
            self._finish([self._ledger.jobs.live[record.job] for _, record in accepted], again=False)
        live = self._ledger.jobs.live
        dropped += [NotClaimed(pair, "its picture was taken back") for pair, record in accepted if record.job not in live]
        return ClaimOutcome(tuple(pair for pair, record in accepted if record.job in live), tuple(dropped))

    def _record(
        self, accepted: list[tuple[Ready, Accepted | Retaken]]
    ) -> tuple[list[tuple[Ready, Accepted | Retaken]], list[NotClaimed]]:
        """Record these pairs with one sync. A pair is left out if no reader of the journal would accept its record.

        Returns the recorded pairs, and those left out.
        """
        try:
            if accepted:
                self._ledger.record(*(record for _, record in accepted))
        except UnreplayableError as error:
            # Nothing was recorded. Recording them one by one shows which of them was refused.
            if len(accepted) == 1:
                [(pair, record)] = accepted
                logger.error("{} cannot be recorded: {}", record.job, error)
                return [], [NotClaimed(pair, f"it cannot be taken: {error}", for_a_person=True)]
        else:
            return accepted, []
        recorded: list[tuple[Ready, Accepted | Retaken]] = []
        dropped: list[NotClaimed] = []
        for one in accepted:
            good, bad = self._record([one])
            recorded += good
            dropped += bad
        return recorded, dropped

    def try_again(self) -> None:
        """Retry claims that could not be completed: those of all cancelled jobs, and those of the next `GROUP` other jobs.

        Raises:
            JournalError: the process must stop.
        """
        several = list(self._ledger.jobs.unclaimed.values())
        self._turn = self._turn if self._turn < len(several) else 0
        chosen = [job for job in several if job.cancel_requested][:GROUP]
        chosen += [job for job in several[self._turn : self._turn + GROUP] if not job.cancel_requested]
        self._turn += GROUP
        self.finish(chosen, again=True)

    def finish(self, jobs: Sequence[Job], *, again: bool) -> None:
        """Move the files of accepted jobs. A job whose files cannot be moved now stays accepted and is retried later.

        `again`: this was tried before, perhaps by an earlier process.

        Raises:
            JournalError: the process must stop.
        """
        try:
            self._finish(jobs, again=again)
        finally:
            self._folders.release()

    def _finish(self, jobs: Sequence[Job], *, again: bool) -> None:
        if not jobs:
            return
        prepared, occupied, stuck = self._make_job_folders(jobs, again=again)
        whole: list[Job] = []
        gone: list[Job] = []
        for job in prepared:
            try:
                (whole if self._mover.move(job) is Moved.WHOLE else gone).append(job)
            except (OSError, NameTakenError) as error:
                stuck.append((job, error))
        given_up = [job for job, error in stuck if self._hold(job, error)]
        try:
            self._mover.make_durable(whole)
            self._troubles.over(_CLAIMS)
        except OSError as error:
            self._troubles.tell(_CLAIMS, f"claims cannot be made durable yet: {error}")
            whole = []
        records: list[AnyRecord] = [Claimed(job=job.job_id) for job in whole]
        records += [Withdrawn(job=job.job_id) for job in (*gone, *occupied, *given_up)]
        if records:
            self._ledger.record(*records)
        for job in (*whole, *gone, *occupied, *given_up):
            self.held.pop(job.job_id, None)
            self._since.pop(job.job_id, None)
        for job in gone:
            logger.info("{} was taken back before it could be claimed", job.job_id)

    def _hold(self, job: Job, error: Exception) -> bool:
        """Note that the files of an accepted job cannot be moved now. The job is logged once, listed, and retried later.

        The job is given up instead if somebody cancelled it, or if only a person can remove the obstacle. This requires that
        all its files are still in the inbox. Returns whether the job was given up.
        """
        since = self._since.setdefault(job.job_id, self._monotonic())
        hopeless = getattr(error, "errno", None) in DENIED and self._monotonic() - since >= _STUCK_SECONDS
        if (job.cancel_requested or hopeless) and self._withdraw(job):
            logger.warning("{} is given up and waits in the inbox: {}", job.job_id, error)
            return True
        why = str(getattr(error, "strerror", None) or error)
        if self.held.get(job.job_id) != why:
            logger.warning("cannot take {} yet: {}", job.job_id, error)
        self.held[job.job_id] = why
        return False

    def _withdraw(self, job: Job) -> bool:
        try:
            return self._mover.withdraw(job)
        except OSError as error:
            logger.debug("{} cannot be given up yet: {}", job.job_id, error)
            return False

    def _make_job_folders(
        self, jobs: Sequence[Job], *, again: bool
    ) -> tuple[list[Job], list[Job], list[tuple[Job, OSError | NameTakenError]]]:
        """Make the folders of jobs. Returns the jobs whose folders are now durable, those whose name is taken, and the failures.

        If the sync fails, every job waits for the next attempt: the first list is empty.
        """
        prepared: list[Job] = []
        occupied: list[Job] = []
        stuck: list[tuple[Job, OSError | NameTakenError]] = []
        for job in jobs:
            try:
                self._mover.make_job_folder(job, again=again or job.back is not None)
                prepared.append(job)
            except NameTakenError:
                logger.warning("{} is already in the outbox but is none of our jobs; its picture gets another id", job.job_id)
                occupied.append(job)
            except OSError as error:
                stuck.append((job, error))
        try:
            self._mover.sync_job_folders(prepared)
            self._troubles.over(_FOLDERS)
        except OSError as error:
            self._troubles.tell(_FOLDERS, f"the folders of accepted pictures cannot be made durable yet: {error}")
            prepared = []
        return prepared, occupied, stuck

    def _is_held(self, pair: Ready, under_way: dict[tuple[str, str], Job]) -> NotClaimed | None:
        """The reason to wait if the picture belongs to an accepted job whose files could not be moved yet; otherwise None."""
        job = under_way.get((to_text(pair.folder), to_text(pair.image.name)))
        if job is None or (job.image.size, job.image.mtime_ns) != (pair.image.size, pair.image.mtime_ns):
            return None
        return NotClaimed(pair, f"it cannot be moved yet: {self.held.get(job.job_id, 'its folder is being made')}")
