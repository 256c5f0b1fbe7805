"""What the command line and the daemon say to each other: one small file each way, in .state/requests/."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.contract.status import Frozen

Verb = Literal["cancel", "retry", "rm"]

#: As in a sidecar, and upper case besides: generated ids have a T in their time.
AnyJobId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$")]


class Request(Frozen):
    """What is asked of the daemon, for these jobs."""

    verb: Verb
    jobs: tuple[AnyJobId, ...] = Field(max_length=10_000)


class JobAnswer(Frozen):
    """What became of it for one job."""

    job_id: str
    accepted: bool
    sentence: str


class RequestAnswer(Frozen):
    """The answer: one for each job, or why there is none."""

    answers: tuple[JobAnswer, ...] = ()
    problem: str | None = None
