"""Foresees what the requests that are kept for the daemon will do to a job.

While no daemon runs, a verb decides by the journal whether a request makes sense. The journal does not know the earlier requests
that nobody has carried out yet: a job that is to be removed can no longer be redone.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from pydantic import ValidationError

from daemon.cli.common import fs
from daemon.cli.job_queries import JobQueries
from daemon.contract.records import Job
from daemon.contract.requests import Request
from daemon.jobs import decide
from daemon.settings import Settings

_MAX_BYTES = 1 << 20


class KeptRequests:
    """The requests that are kept in a home, in the order in which the daemon will carry them out."""

    def __init__(self, settings: Settings, queries: JobQueries) -> None:
        self._folder = settings.paths.requests_bytes
        self._queries = queries
        self._batches: dict[str, str | None] = {}

    @cached_property
    def requests(self) -> Sequence[Request]:
        """The requests. One that cannot be read is left out: the daemon will say what is wrong with it."""
        found = []
        for name in request_names(self._folder):
            try:
                found.append(Request.model_validate_json(fs.read(os.path.join(self._folder, name), _MAX_BYTES)))
            except (OSError, ValidationError):
                continue
        return found

    def foreseen(self, job: Job) -> Job | None:
        """The job as it will be when the daemon has carried out the requests; None if it will have been removed."""
        for request in self.requests:
            if job.job_id not in request.jobs and not self._is_in(job, request.batch):
                continue
            match request.verb:
                case "cancel" if decide.cancel(job).accepted:
                    job = replace(job, state="cancelled", ended=decide.cancelled(job), completed_at=job.created_at)
                case "retry" if decide.may_retry(job).accepted:
                    job = replace(job, state="pending", ended=None, cancel_requested=False)
                case "rm" if decide.may_remove(job).accepted:
                    return None
                case "prune" if decide.may_prune(job, before=request.before, owes=False).accepted:
                    if not request.keep_source:
                        return None
                    job = replace(job, pruned_at=job.completed_at)
        return job

    def takes_back(self, job_id: str) -> bool:
        """Whether a picture that is still in the inbox, and will get this id, is to be cancelled."""
        return any(request.verb == "cancel" and job_id in request.jobs for request in self.requests)

    def _is_in(self, job: Job, batch: str | None) -> bool:
        if batch is None or job.accepted.batch is None:
            return False
        if batch not in self._batches:
            last = max(self._queries.history.batch(batch), key=lambda one: one.sequence, default=None)
            self._batches[batch] = last.accepted.batch if last else None
        return job.accepted.batch == self._batches[batch]


def request_names(folder: bytes) -> list[bytes]:
    """The names of the requests in the folder, in the order in which the daemon carries them out; empty if it cannot be read."""
    try:
        names = [entry.name for entry in fs.scan(folder) if entry.kind == "file"]
    except OSError:
        return []
    return sorted(
        name for name in names if name.endswith(b".json") and not name.endswith(b".answer.json") and not name.startswith(b".")
    )
