"""Requests from the command line to the daemon, and the answers: one small file each, in .state/requests/."""

import re
from typing import Annotated, Literal

from pydantic import Field

from daemon.contract.status import Frozen

Verb = Literal["cancel", "retry", "rm"]

#: As in a sidecar, but with upper case as well: generated ids contain a T between date and time.
_ANY_JOB_ID = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$"
AnyJobId = Annotated[str, Field(pattern=_ANY_JOB_ID)]


def is_job_id(text: str) -> bool:
    """Whether this text could be a job id."""
    return re.fullmatch(_ANY_JOB_ID, text) is not None


class Request(Frozen):
    """A request to the daemon about these jobs, and about all jobs of this batch (named by its id or by its folder)."""

    verb: Verb
    jobs: tuple[AnyJobId, ...] = Field((), max_length=10_000)
    batch: str | None = Field(None, max_length=1000)


class JobAnswer(Frozen):
    """The outcome for one job."""

    job_id: str
    accepted: bool
    sentence: str


class RequestAnswer(Frozen):
    """The answer: one outcome for each job, or why there is none."""

    answers: tuple[JobAnswer, ...] = ()
    problem: str | None = None
