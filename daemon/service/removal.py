"""Removes ended jobs: whole, or only their results. Each step can be repeated after a crash."""

import os
from dataclasses import dataclass
from datetime import datetime

from daemon.contract.ended.pruning import Pruned
from daemon.contract.records import Job, Removed
from daemon.jobs import decide
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox


@dataclass(frozen=True)
class Removal:
    """Removes jobs of one home."""

    ledger: Ledger
    outbox: Outbox

    def remove(self, job: Job) -> decide.Answer:
        """Remove a job with its folder, as somebody requested.

        Raises:
            OSError: the folder cannot be moved away; nothing has changed.
            JournalError: the process must stop.
        """
        answer = self._unless_needed(job) or decide.may_remove(job)
        return self._remove(job, Removed(job=job.job_id), answer) if answer.accepted else answer

    def prune(self, job: Job, *, before: datetime | None, keep_source: bool) -> decide.Answer:
        """Remove an old job with its folder, or only its result.

        Args:
            job: an ended job.
            before: it must have ended before this time; None keeps every job.
            keep_source: whether its folder stays, with source/ and status.json.

        Raises:
            OSError, JournalError: as `remove`.
        """
        answer = decide.may_prune(job, before=before, owes=self.ledger.jobs.follow_ups.is_owed(job.job_id))
        if not answer.accepted:
            return answer
        if not keep_source:
            return self._unless_needed(job) or self._remove(job, Removed(job=job.job_id, pruned=True), answer)
        if job.pruned_at is not None and not self.outbox.has_result(job.job_id):
            return decide.Answer(False, f"{job.job_id} has no result any more")
        # First the record, which also corrects the status: it must not name files that are gone. After a crash in between, the
        # record is written once more, for the same reason.
        self.ledger.record(Pruned(job=job.job_id))
        aside = self.outbox.move_result_aside(job.job_id)
        return self._delete(aside, job, decide.Answer(True, f"the result of {job.job_id} was removed; its pictures stay"))

    def _unless_needed(self, job: Job) -> decide.Answer | None:
        """A refusal if another job still needs copies of this job's files; None if no job does."""
        for other in self.ledger.jobs.uncopied.values():
            if other.accepted.redo_of == job.job_id:
                return decide.Answer(False, f"{job.job_id} is being copied for {other.job_id}: try again in a moment")
        return None

    def _remove(self, job: Job, record: Removed, answer: decide.Answer) -> decide.Answer:
        # Move the folder away first: if a crash comes before the record, the request is still there and is done again.
        aside = self.outbox.move_aside(job.job_id)
        self.ledger.record(record)
        return self._delete(aside, job, answer)

    def _delete(self, aside: bytes | None, job: Job, answer: decide.Answer) -> decide.Answer:
        if aside:
            try:
                self.outbox.remove(aside)
            except OSError as error:
                why = f"its files cannot be deleted ({error.strerror}): remove {os.fsdecode(aside)} yourself"
                return decide.Answer(False, f"{job.job_id} is no longer a job, but {why}")
        return answer
