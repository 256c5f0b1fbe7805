"""Requests from the command line to the daemon, and the answers: one small file each, in .state/requests/."""

import re
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from daemon.contract.status import Frozen

Verb = Literal["cancel", "retry", "rm", "prune", "redo"]

#: Like the ids that a sidecar may set, but upper case is allowed, too: generated ids contain a T between date and time.
_ANY_JOB_ID = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$"
AnyJobId = Annotated[str, Field(pattern=_ANY_JOB_ID)]


def is_job_id(text: str) -> bool:
    """Whether this text could be a job id."""
    return re.fullmatch(_ANY_JOB_ID, text) is not None


class Request(Frozen):
    """A request to the daemon about these jobs and the jobs of a batch.

    Attributes:
        verb: what to do.
        jobs: the ids of the jobs.
        in_inbox: of `cancel`: files in the inbox that will become some of these jobs; paths relative to the inbox.
        batch: the batch's id or its folder's name; None: no batch.
        before: of `prune`: only jobs that ended before this time.
        keep_source: of `prune`: whether only the results are removed.
        settings: of `redo`: YAML with the fields of the sidecar that should differ.
        named: of `redo`: the name of the batch that the new jobs form. None: that of `batch`, or no batch.
        once: of `redo`: leave out jobs that another job redoes already.
    """

    verb: Verb
    jobs: tuple[AnyJobId, ...] = Field((), max_length=10_000)
    in_inbox: tuple[str, ...] = Field((), max_length=10_000)
    batch: str | None = Field(None, max_length=1000)
    before: AwareDatetime | None = None
    keep_source: bool = False
    settings: str = Field("", max_length=65_536)
    named: str | None = Field(None, max_length=255)
    once: bool = False


class JobAnswer(Frozen):
    """The outcome for one job.

    Attributes:
        accepted: whether the daemon does what was requested; None if it has not decided yet, and the request is kept for it.
        sentence: the outcome in words.
        new_job: for `redo`: the id of the new job.
    """

    job_id: str
    accepted: bool | None
    sentence: str
    new_job: str | None = None


class RequestAnswer(Frozen):
    """The daemon's answer: one outcome for each job, or a `problem` that says why there is none, or none yet."""

    answers: tuple[JobAnswer, ...] = ()
    problem: str | None = None
