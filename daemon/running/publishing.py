"""Checks the results that workers have made, makes them durable and publishes them.

The order at the end of a job, and why:

1. Check the worker's files against what it reported, and make them durable. Nothing is visible yet.
2. Record `publishing`, with everything that status.json will say about the result. If a crash follows, recovery completes
   the publishing.
3. Rename the folder to `result/`, and sync. If only the sync fails, the job stays at this step, and the sync is retried: what
   `ended` says must stay true. (Retrying is safe for names. After a failed sync of a file, the system may drop its bytes; but a
   file system that cannot write its own structures becomes read-only.)
4. Record `ended`. The job is over.
5. Write `status.json` durably, so that whoever reads `completed` finds the files. Then remove the attempt's folder.

A result may have 20 GB, so step 1 may take long. It is done in pieces, a few milliseconds in each pass of the daemon's loop, and
the job can be cancelled meanwhile. The job's time limit covers only the worker, not this step. After a crash or a stop before
step 2, the job runs again.

The results whose step 1 has ended in the same pass take the other steps together: each record is one write and one sync for all
of them, and their folders are synced side by side. The steps of one job stay in their order; the jobs share no file.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from daemon.contract.messages import Result
from daemon.contract.records import AnyRecord, Ended, Job, Publishing
from daemon.errors import DiskFull, Internal, JobError, WorkerCrashed
from daemon.fs import FileSystem
from daemon.jobs import decide
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import NotDurableError, Outbox, checking_result
from daemon.running.failures import FailureHandler
from daemon.supervisor import Completed, Failed
from daemon.troubles import Troubles

#: Seconds that each pass of the loop spends on the waiting results: too short to notice, long enough for hashing to be fast.
_SLICE = 0.02
#: At most so many results are published together: the jobs that can start meanwhile wait for them.
_TOGETHER = 8
#: Seconds for the checks that are left when the daemon stops: enough for usual results.
_LAST_SECONDS = 2.0
#: Seconds between two looks whether the disk has synced what is left, when the daemon stops.
_PAUSE = 0.01
#: A check that takes longer than this many seconds is shown as the job's stage.
_SHOWN_AFTER = 0.5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: The hint while a finished result cannot be published.
KEPT_HINT = "It is finished and kept, and appears automatically as soon as possible."


@dataclass
class _Made:
    """A result in step 1.

    Attributes:
        job_id: its job.
        result: what the worker reported.
        seconds: how long the worker took.
        check: what is left of step 1.
        since: when step 1 began, in monotonic seconds.
        syncing: whether only the disk is still at work.
        shown: whether the check is already shown as the job's stage.
    """

    job_id: str
    result: Result
    seconds: float
    check: Generator[bool]
    since: float
    syncing: bool = False
    shown: bool = False


@dataclass
class Results:
    """The results that are not published yet. In the journal, their jobs are processing.

    `end` writes records that end attempts or jobs, together. `checking` is called with the id of a job whose check takes long.
    """

    fs: FileSystem
    max_bytes: int
    ledger: Ledger
    outbox: Outbox
    failure_handler: FailureHandler
    end: Callable[[Sequence[tuple[Job, AnyRecord]]], None]
    checking: Callable[[str], None]
    clock: Callable[[], float]
    _made: deque[_Made] = field(default_factory=deque)
    #: The results whose step 1 has ended in this pass.
    _checked: list[_Made] = field(default_factory=list)
    #: Why checked results cannot be published, by job.
    _troubles: Troubles = field(default_factory=Troubles)

    def __len__(self) -> int:
        """How many results still have to be checked."""
        return len(self._made)

    @property
    def only_sync(self) -> bool:
        """Whether nothing is left to do for the results but to wait for the disk, for a few milliseconds."""
        return bool(self._made) and all(made.syncing for made in self._made)

    @property
    def kept(self) -> str | None:
        """A clause that says why a finished result is not published yet; None if all are."""
        return self._troubles.first

    def add(self, job_id: str, made: Completed) -> None:
        """Add the result of a worker that has finished. `continue_checks` checks and publishes it."""
        job = self.ledger.jobs.live[job_id]
        if job.attempt is None:
            raise AssertionError(f"{job_id} was completed without an attempt")
        check = self._check(job.attempt.folder, made.result)
        self._made.append(_Made(job_id, made.result, made.seconds, check, self.clock()))

    def _check(self, attempt: str, result: Result) -> Generator[bool]:
        """Do step 1. Yields every few milliseconds whether only the disk is still at work."""
        for _ in checking_result(self.fs, self.outbox.attempt(attempt), result, max_bytes=self.max_bytes):
            yield False
        for _ in self.outbox.making_durable(attempt):
            yield True

    def continue_checks(self) -> bool:
        """Check and publish results for some milliseconds. Returns whether there was anything to do.

        Large results take turns with each other and with small ones.
        """
        there_was = bool(self._made)
        until = self.clock() + _SLICE
        for _ in range(len(self._made)):
            made = self._made.popleft()
            if not self._advance(made, until):
                self._made.append(made)
            if self.clock() > until or len(self._checked) == _TOGETHER:
                break
        checked, self._checked = self._checked, []
        self._publish_checked(checked)
        return there_was

    def stop(self) -> None:
        """Finish what can be finished in `_LAST_SECONDS`, because the daemon stops. Attempts not finished do not count."""
        until = self.clock() + _LAST_SECONDS
        while self._made and self.clock() <= until:
            self.continue_checks()
            if self.only_sync:
                time.sleep(_PAUSE)
        while self._made:
            made = self._made.popleft()
            made.check.close()
            job = self.ledger.jobs.live[made.job_id]
            self.end([(job, decide.interrupted(job))])

    def _advance(self, made: _Made, until: float) -> bool:
        """Continue with one result until the time `until`. Returns False if its check is not finished."""
        job = self.ledger.jobs.live[made.job_id]
        if job.cancel_requested:
            made.check.close()
            self.end([(job, decide.cancelled(job, seconds=made.seconds))])
            return True
        try:
            for syncing in made.check:
                made.syncing = syncing
                if syncing or self.clock() > until:
                    self._show(made)
                    return False
        except JobError as error:
            self.failure_handler.failed(job.job_id, Failed(error.info(), error.retryable, made.seconds, made.result.source))
            return True
        except OSError as error:
            # After a failed sync nobody knows what is on the disk, so the job runs again.
            trouble = disk_trouble(error)
            failed = Failed(trouble.info(), trouble.retryable, made.seconds, made.result.source)
            self.failure_handler.failed(
                job.job_id, failed, disk=None if error.errno in _NO_ROOM else error.strerror or str(error)
            )
            return True
        self._checked.append(made)
        return True

    def _show(self, made: _Made) -> None:
        if not made.shown and self.clock() >= made.since + _SHOWN_AFTER:
            made.shown = True
            self.checking(made.job_id)

    def _publish_checked(self, checked: Sequence[_Made]) -> None:
        """Do steps 2 to 5 for results that are checked and durable."""
        if not checked:
            return
        try:
            self.ledger.record(*map(self._publishing, checked))
        except UnreplayableError as error:
            if len(checked) > 1:  # only one of them is at fault
                for made in checked:
                    self._publish_checked([made])
                return
            trouble = unrecordable(error)
            self.failure_handler.failed(checked[0].job_id, Failed(trouble.info(), trouble.retryable, checked[0].seconds))
            return
        self.publish(*(self.ledger.jobs.live[made.job_id] for made in checked))

    def _publishing(self, made: _Made) -> Publishing:
        job, result = self.ledger.jobs.live[made.job_id], made.result
        if job.attempt is None:
            raise AssertionError(f"{job.job_id} was completed without an attempt")
        return Publishing(
            job=job.job_id,
            attempt=job.attempt.folder,
            source=result.source,
            outputs=result.outputs,
            manifest=result.manifest,
            warnings=result.warnings,
            timings=result.timings,
            processing_seconds=round(made.seconds, 3),
            depth_source=result.depth_source,
            filled_layers=result.filled_layers,
        )

    def publish(self, *jobs: Job) -> None:
        """Do steps 3 to 5 for jobs for which `publishing` is recorded. Recovery calls this as well."""
        owed = [(job, _publishing_of(job)) for job in jobs]
        troubles = self.outbox.publish_all([(job.job_id, publishing.attempt) for job, publishing in owed])
        published = list[tuple[Job, AnyRecord]]()
        for (job, publishing), trouble in zip(owed, troubles, strict=True):
            if isinstance(trouble, NotDurableError):
                self._troubles.tell(job.job_id, f"the result of {job.job_id} cannot be made durable: {trouble.strerror}")
            elif trouble is not None:
                self._not_shown(job, publishing, trouble)
            else:
                published.append((job, _completed(job, publishing)))
        self.end(published)

    def _not_shown(self, job: Job, publishing: Publishing, error: OSError) -> None:
        """Handle a checked result that cannot be renamed: keep it for another try, unless it is cancelled or gone."""
        if job.cancel_requested:
            self.end([(job, decide.cancelled(job, seconds=publishing.processing_seconds))])
            return
        if self._is_gone(job.job_id, publishing.attempt):
            gone = WorkerCrashed("The worker's files were removed from .work in the outbox.")
            self.failure_handler.charge(job, Failed(gone.info(), True, publishing.processing_seconds or 0.0))
            return
        self._troubles.tell(job.job_id, f"the result of {job.job_id} cannot be shown: {error.strerror}")
        self.failure_handler.doubt_disk()

    def _is_gone(self, job_id: str, attempt: str) -> bool:
        """Whether a finished result is certainly gone although its job's folder is there."""
        try:
            return self.outbox.surely_has(job_id) and not self.outbox.has_attempt(attempt)
        except OSError:
            return False

    def forget(self, job_id: str) -> None:
        """Forget a job whose result was published or is no longer needed."""
        self._troubles.over(job_id)


def _publishing_of(job: Job) -> Publishing:
    publishing = job.attempt.publishing if job.attempt else None
    if publishing is None:
        raise AssertionError(f"{job.job_id} has nothing to publish")
    return publishing


def _completed(job: Job, publishing: Publishing) -> Ended:
    return Ended(
        job=job.job_id,
        state="completed",
        source=publishing.source,
        warnings=job.accepted.warnings + publishing.warnings,
        processing_seconds=publishing.processing_seconds,
    )


def unrecordable(error: UnreplayableError) -> JobError:
    """The error if a worker sent texts that could not be read back from the journal."""
    return WorkerCrashed(f"What the worker reported cannot be recorded: {error}.")


def disk_trouble(error: OSError) -> JobError:
    """The error if the daemon's own disk refused to take a result."""
    if error.errno in _NO_ROOM:
        return DiskFull("the disk of the outbox is full; the result could not be written")
    return Internal(f"the result could not be written: {error.strerror}")
