"""What became of each picture that a command was given, as `--json` tells it: one entry for each, in the order given."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from daemon.cli.common import located
from daemon.cli.job_queries import JobQueries
from daemon.contract.status import ErrorInfo, Frozen, Status
from daemon.outbox import status_of
from daemon.settings import Settings

Outcome = Literal["submitted", "skipped", "refused", "left"]


class _OfPicture(Frozen):
    image: str = Field(description="the absolute path of the picture that was given")
    outcome: Outcome = Field(
        description="submitted; skipped, because there is a job or a result of it already; refused, for the reason in `error`; "
        "or left, because the command ended before it"
    )


class PictureWithJob(Status, _OfPicture):
    """A picture whose job has been taken: everything in its status.json, and these fields."""


class PictureWithoutJob(_OfPicture):
    """A picture of which there is no job, or none yet."""

    job_id: str | None = Field(None, description="the id that its job has, had, or will have; null if there is none")
    state: Literal["waiting", "removed"] | None = Field(
        None, description="waiting: it is in the inbox; removed: it was taken back, or its job was removed"
    )
    delivered: str | None = Field(None, description="the folder with its result, because of which it was skipped")
    error: ErrorInfo | None = Field(None, description="why it was refused")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A picture in the inbox.

    Attributes:
        job_id: the id that its job will have.
        sidecar: the sidecar's path until the claim.
        image: the picture as it was named on the command line; in the inbox it may have got a number.
        is_new: False if it was there already.
    """

    job_id: str
    sidecar: bytes
    image: Path
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """A picture that a command was given.

    Attributes:
        image: the picture as it was named.
        outcome: what became of it.
        job: what is, or will be, its job; None if there is nothing to wait for.
        error: why it was refused.
        result: the folder with its result, because of which it was skipped.
        made_by: the id of the job that made that result, if it is known.
    """

    image: Path
    outcome: Outcome
    job: Dropped | None = None
    error: ErrorInfo | None = None
    result: Path | None = None
    made_by: str | None = None

    @classmethod
    def of(cls, dropped: Dropped) -> "Given":
        """A picture that is in the inbox now, or was there already."""
        return cls(dropped.image, "submitted" if dropped.is_new else "skipped", dropped)

    def told(self, status: Status | None = None, *, state: Literal["waiting", "removed"] | None = None) -> "Entry":
        """Its entry. `status`: that of its job; None if it has none."""
        image, place = os.path.abspath(self.image), None if self.result is None else os.path.abspath(self.result)
        if status is not None:
            fields = {name: getattr(status, name) for name in Status.model_fields}
            return PictureWithJob(**fields | {"delivered": place or status.delivered}, image=image, outcome=self.outcome)
        job_id = self.made_by if self.job is None else self.job.job_id
        return PictureWithoutJob(image=image, outcome=self.outcome, job_id=job_id, state=state, delivered=place, error=self.error)

    def told_now(self, queries: JobQueries, settings: Settings) -> "Entry":
        """Its entry, with its job as it is now.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        job_id = self.made_by if self.job is None else self.job.job_id
        status = None if job_id is None else queries.status(job_id)
        if status is None and self.job is not None:
            if os.path.lexists(self.job.sidecar):
                return self.told(state="waiting")
            # The daemon has taken it a moment ago, or it is gone.
            if (job := queries.job(self.job.job_id)) is None:
                return self.told(state="removed")
            status = status_of(job)
        return self.told(None if status is None else located(status, settings))


Entry = PictureWithJob | PictureWithoutJob
