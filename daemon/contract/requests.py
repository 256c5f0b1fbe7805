"""What the command line and the daemon say to each other: one small file each way, in .state/requests/."""

import re
from typing import Annotated, Literal

from pydantic import Field

from daemon.contract.status import Frozen

Verb = Literal["cancel", "retry", "rm"]

#: As in a sidecar, and upper case besides: generated ids have a T in their time.
_ANY_JOB_ID = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$"
AnyJobId = Annotated[str, Field(pattern=_ANY_JOB_ID)]


def is_job_id(text: str) -> bool:
    """Whether a job could have this id."""
    return re.fullmatch(_ANY_JOB_ID, text) is not None


class Request(Frozen):
    """What is asked of the daemon, for these jobs and those of this batch, which is named by its id or by its folder."""

    verb: Verb
    jobs: tuple[AnyJobId, ...] = Field((), max_length=10_000)
    batch: str | None = Field(None, max_length=1000)


class JobAnswer(Frozen):
    """What became of it for one job."""

    job_id: str
    accepted: bool
    sentence: str


class RequestAnswer(Frozen):
    """The answer: one for each job, or why there is none."""

    answers: tuple[JobAnswer, ...] = ()
    problem: str | None = None
