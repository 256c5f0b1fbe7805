"""What the verbs know of the jobs: read from the journal, without disturbing the daemon that writes it."""

import os

from pydantic import ValidationError

from daemon.contract.records import Job
from daemon.contract.status import Status
from daemon.fs import FileSystem
from daemon.journal import History
from daemon.journal.lock import is_running
from daemon.outbox import Health, status_of
from daemon.settings import Settings

_MAX_BYTES = 64 << 20


class Looking:
    """Reads one home."""

    def __init__(self, fs: FileSystem, settings: Settings) -> None:
        self._fs = fs
        self._paths = settings.paths
        self.history = History(fs, self._paths.journal_bytes)

    def daemon_runs(self) -> bool:
        """Whether a daemon holds this home."""
        return is_running(self._fs, self._paths.lock_bytes)

    def health(self) -> Health | None:
        """daemon.json as it was last written; none if there never was one."""
        try:
            return Health.model_validate_json(self._fs.read(os.path.join(self._paths.outbox_bytes, b"daemon.json"), _MAX_BYTES))
        except (OSError, ValidationError):
            return None

    def status(self, job_id: str) -> Status | None:
        """A job's status.json as it was last written; none if there is none, or none that can be read."""
        try:
            path = os.path.join(self._paths.outbox_bytes, job_id.encode(), b"status.json")
            return Status.model_validate_json(self._fs.read(path, _MAX_BYTES))
        except (OSError, ValidationError):
            return None

    def statuses(self, most_ended: int) -> list[Status]:
        """Running jobs, then pending ones in their order, then ended ones, the last first."""
        jobs = self.history.now()
        running = [job for job in jobs.live.values() if job.state == "processing"]
        statuses = [self.status(job.job_id) or status_of(job) for job in running]
        statuses += [status_of(job, position=place) for place, job in enumerate(jobs.queue, start=1)]
        return statuses + [status_of(job) for job in self.history.ended(most_ended)]

    def job(self, job_id: str) -> Job | None:
        """What the journal knows of a job."""
        return self.history.job(job_id)
