"""The journal's records about what follows the end of a job: its hook, its delivery, and its removal by age."""

from dataclasses import dataclass
from typing import Literal

#: `delivery`: copy the result to the folder of `deliver.folder`. `hook`: run the command of `hooks.on_completed` or `on_failed`.
FollowUp = Literal["delivery", "hook"]
#: In the order in which they are done.
FOLLOW_UPS: tuple[FollowUp, ...] = ("delivery", "hook")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpOwed:
    """In a snapshot: something that is still to be done for an ended job. `failures`: how often it has failed so far."""

    event: Literal["follow_up_owed"] = "follow_up_owed"
    job: str
    what: FollowUp
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpFailed:
    """It failed, and will be tried again. `trouble`: a sentence for the job's status until it is over."""

    event: Literal["follow_up_failed"] = "follow_up_failed"
    job: str
    what: FollowUp
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpOver:
    """It is done, given up, or no longer wanted.

    Attributes:
        trouble: a sentence for the job's status if it was given up; None if it was done.
        delivered: the absolute path of the folder to which the result was delivered; None for anything else.
        retried: whether it had failed before, so that the job's status names a trouble that is over.
    """

    event: Literal["follow_up_over"] = "follow_up_over"
    job: str
    what: FollowUp
    trouble: str | None = None
    delivered: str | None = None
    retried: bool = False

    @property
    def changes_status(self) -> bool:
        """Whether the job's status says anything else from now on."""
        return self.retried or self.trouble is not None or self.delivered is not None
