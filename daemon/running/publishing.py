"""What workers have made, until it is shown: checked, made durable, published.

The order at the end of a job, and why:

1. The worker's files are checked against its word and made durable. Nothing is visible yet.
2. `publishing`: all that status.json will say of the result. From here a crash is rolled forward.
3. One rename to `result/`, synced. The result is there, whole. If it is there and the sync fails, the job stays at this step
   and the sync is tried again: what `ended` says must be true for good. (Unlike a file's bytes, a folder's names are not
   dropped after a failed sync: a file system that cannot write its own records goes read-only.)
4. `ended`. The job is over.
5. `status.json`, durable: whoever reads `completed` finds the files. Then the attempt's folder goes.

Step 1 takes as long as the result is large: 20 GB are allowed. So it is done piece by piece, a few milliseconds in each round of
the daemon's loop, and the job can be cancelled meanwhile. Its time limit is the worker's, and does not run here. A crash or a
stop before 2 runs the job again.
"""

import errno
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from daemon.contract.messages import Result
from daemon.contract.records import AnyRecord, Ended, Job, Publishing
from daemon.errors import DiskFull, Internal, JobError, WorkerCrashed
from daemon.fs import FileSystem
from daemon.jobs import decide
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import NotDurableError, Outbox, checking_result
from daemon.running.blame import Blame
from daemon.running.troubles import Troubles
from daemon.supervisor import Completed, Failed

#: What a round of the loop gives to the results that wait, in seconds: nobody notices, and hashing loses next to nothing by it.
_SLICE = 0.02
#: What a check that is under way gets when the daemon stops: enough for what workers usually make.
_LAST_SECONDS = 2.0
#: A check that takes longer than that is shown as the job's stage.
_SHOWN_AFTER = 0.5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: What a person is told while a result that is made cannot be shown.
KEPT_HINT = "It is finished and kept, and appears automatically as soon as possible."


@dataclass
class _Made:
    """What a worker made. `check` is what is left of step 1; `since` on the monotonic clock."""

    job_id: str
    result: Result
    seconds: float
    check: Generator[None]
    since: float
    shown: bool = False


@dataclass
class Results:
    """The results that are not shown yet; in the journal their jobs are processing.

    `end` records what became of a job; `checking` is told the id of a job whose check takes a while.
    """

    fs: FileSystem
    max_bytes: int
    ledger: Ledger
    outbox: Outbox
    blame: Blame
    end: Callable[[Job, AnyRecord], None]
    checking: Callable[[str], None]
    clock: Callable[[], float]
    _made: deque[_Made] = field(default_factory=deque)
    #: Why results that are checked cannot be shown, by job.
    _troubles: Troubles = field(default_factory=Troubles)

    def __len__(self) -> int:
        """How many are still to be checked."""
        return len(self._made)

    @property
    def kept(self) -> str | None:
        """Why a finished result is not shown yet, a clause; none if all are."""
        return self._troubles.first

    def take(self, job_id: str, made: Completed) -> None:
        """A worker is done with a job; `go_on` does the rest."""
        job = self.ledger.jobs.live[job_id]
        if job.attempt is None:
            raise AssertionError(f"{job_id} was completed without an attempt")
        check = self._check(job.attempt.folder, made.result)
        self._made.append(_Made(job_id, made.result, made.seconds, check, self.clock()))

    def _check(self, attempt: str, result: Result) -> Generator[None]:
        """Step 1, with a pause every few milliseconds and after each file."""
        yield from checking_result(self.fs, self.outbox.attempt(attempt), result, max_bytes=self.max_bytes)
        yield from self.outbox.making_durable(attempt)

    def go_on(self) -> bool:
        """Check and publish what workers have made, for some milliseconds; whether there was something.

        Large results take turns with each other and with small ones.
        """
        there_was = bool(self._made)
        until = self.clock() + _SLICE
        for _ in range(len(self._made)):
            made = self._made.popleft()
            if not self._advance(made, until):
                self._made.append(made)
            if self.clock() > until:
                break
        return there_was

    def stop(self) -> None:
        """The daemon stops: what cannot be checked in a moment was no attempt."""
        until = self.clock() + _LAST_SECONDS
        while self._made and self.clock() <= until:
            self.go_on()
        while self._made:
            made = self._made.popleft()
            made.check.close()
            job = self.ledger.jobs.live[made.job_id]
            self.end(job, decide.interrupted(job))

    def _advance(self, made: _Made, until: float) -> bool:
        """Go on with one of them; false if it is not through yet."""
        job = self.ledger.jobs.live[made.job_id]
        if job.cancel_requested:
            made.check.close()
            self.end(job, decide.cancelled(job, seconds=made.seconds))
            return True
        try:
            for _ in made.check:
                if self.clock() > until:
                    self._show(made)
                    return False
        except JobError as error:
            self.blame.failed(job.job_id, Failed(error.info(), error.retryable, made.seconds, made.result.source))
            return True
        except OSError as error:
            # After a failed sync nobody knows what of the result is on the disk: it is made anew.
            trouble = _disk_trouble(error)
            failed = Failed(trouble.info(), trouble.retryable, made.seconds, made.result.source)
            self.blame.failed(job.job_id, failed, disk=None if error.errno in _NO_ROOM else error.strerror or str(error))
            return True
        self._checked(job, made.result, made.seconds)
        return True

    def _show(self, made: _Made) -> None:
        if not made.shown and self.clock() >= made.since + _SHOWN_AFTER:
            made.shown = True
            self.checking(made.job_id)

    def _checked(self, job: Job, result: Result, seconds: float) -> None:
        """Steps 2 to 5 of a result that is checked and durable."""
        if job.attempt is None:
            raise AssertionError(f"{job.job_id} was completed without an attempt")
        publishing = Publishing(
            job=job.job_id,
            attempt=job.attempt.folder,
            source=result.source,
            outputs=result.outputs,
            manifest=result.manifest,
            warnings=result.warnings,
            timings=result.timings,
            processing_seconds=round(seconds, 3),
            depth_source=result.depth_source,
        )
        try:
            self.ledger.record(publishing)
        except UnreplayableError as error:
            trouble = unrecordable(error)
            self.blame.failed(job.job_id, Failed(trouble.info(), trouble.retryable, seconds))
            return
        self.publish(self.ledger.jobs.live[job.job_id])

    def publish(self, job: Job) -> None:
        """Let a checked result appear and end the job; also the way a half-done publication is rolled forward."""
        publishing = job.attempt.publishing if job.attempt else None
        if publishing is None:
            raise AssertionError(f"{job.job_id} has nothing to publish")
        try:
            self.outbox.publish(job.job_id, publishing.attempt)
        except NotDurableError as error:
            self._troubles.tell(job.job_id, f"the result of {job.job_id} cannot be made durable: {error.strerror}")
            return
        except OSError as error:
            self._not_shown(job, publishing, error)
            return
        self.end(
            job,
            Ended(
                job=job.job_id,
                state="completed",
                source=publishing.source,
                warnings=job.accepted.warnings + publishing.warnings,
                processing_seconds=publishing.processing_seconds,
            ),
        )

    def _not_shown(self, job: Job, publishing: Publishing, error: OSError) -> None:
        """It is made, and checked: all it lacks is a name. Whatever keeps it from that, it is kept, and tried again."""
        if job.cancel_requested:
            self.end(job, decide.cancelled(job, seconds=publishing.processing_seconds))
            return
        if self._is_gone(job.job_id, publishing.attempt):
            gone = WorkerCrashed("The worker's files were removed from .work in the outbox.")
            self.blame.charge(job, Failed(gone.info(), True, publishing.processing_seconds or 0.0))
            return
        self._troubles.tell(job.job_id, f"the result of {job.job_id} cannot be shown: {error.strerror}")
        self.blame.doubt_disk()

    def _is_gone(self, job_id: str, attempt: str) -> bool:
        """Whether a finished result is certainly not there any more, while its job is."""
        try:
            return self.outbox.surely_has(job_id) and not self.outbox.has_attempt(attempt)
        except OSError:
            return False

    def forget(self, job_id: str) -> None:
        """It appeared, or nobody waits for it any more."""
        self._troubles.over(job_id)


def unrecordable(error: UnreplayableError) -> JobError:
    """What is said of a job whose worker used words that no journal holds."""
    return WorkerCrashed(f"What the worker reported cannot be recorded: {error}.")


def _disk_trouble(error: OSError) -> JobError:
    if error.errno in _NO_ROOM:
        return DiskFull("the disk of the outbox is full; the result could not be written")
    return Internal(f"the result could not be written: {error.strerror}")
