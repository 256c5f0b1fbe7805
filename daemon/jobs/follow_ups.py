"""What follows the end of a job: which hook and which delivery is still to be done, and what the job's status says about it."""

from collections.abc import Iterator
from dataclasses import replace

from daemon.contract.ended.follow_ups import FOLLOW_UPS, FollowUp, FollowUpFailed, FollowUpOver, FollowUpOwed
from daemon.contract.records import Accepted, AnyRecord, Ended, Job, LiveJob, Removed, Requeued
from daemon.contract.status import State


class FollowUps:
    """What is still to be done for ended jobs, in the order in which they ended. The journal's snapshots keep it.

    Attributes:
        owed: how often each has failed so far, by the job's id and what it is.
    """

    def __init__(self) -> None:
        self.owed: dict[tuple[str, FollowUp], int] = {}

    def apply(self, record: AnyRecord) -> None:
        """Apply one more record."""
        match record:
            case Ended(job=job, owes=owes):
                self.owed |= {(job, what): 0 for what in owes}
            case FollowUpOwed(job=job, what=what, failures=failures):
                self.owed[job, what] = failures
            case FollowUpFailed(job=job, what=what):
                self.owed[job, what] = self.owed.get((job, what), 0) + 1
            case FollowUpOver(job=job, what=what):
                self.owed.pop((job, what), None)
            case Removed(job=job) | Accepted(job=job) | Requeued(job=job) | LiveJob(job=job):
                # The job is gone or begins again: what its earlier end owed is not wanted any more.
                for each in FOLLOW_UPS:
                    self.owed.pop((job, each), None)

    def of(self, what: FollowUp) -> Iterator[tuple[str, int]]:
        """The ids of the jobs that owe this, in order, each with the number of failures so far."""
        return ((job, failures) for (job, each), failures in self.owed.items() if each == what)

    def is_owed(self, job: str) -> bool:
        """Whether anything is still to be done for this job."""
        return any((job, what) in self.owed for what in FOLLOW_UPS)

    def records(self) -> list[AnyRecord]:
        """The records that a snapshot contains; whoever replays them has the same `owed`."""
        return [FollowUpOwed(job=job, what=what, failures=failures) for (job, what), failures in self.owed.items()]


def owed_after(state: State, *, delivers: bool, has_hook: bool) -> tuple[FollowUp, ...]:
    """What is to be done after a job has ended in this state.

    Args:
        state: the state in which it ended.
        delivers: whether results are delivered to a folder.
        has_hook: whether a command is configured for this state.
    """
    wanted: dict[FollowUp, bool] = {"delivery": delivers and state == "completed", "hook": has_hook}
    return tuple(what for what in FOLLOW_UPS if wanted[what])


def after_follow_up(job: Job, record: FollowUpFailed | FollowUpOver) -> Job:
    """The ended job after this record: its status names the trouble, or the folder to which its result was delivered."""
    others = tuple(each for each in job.troubles if each[0] != record.what)
    troubles = others if record.trouble is None else (*others, (record.what, record.trouble))
    delivered = record.delivered if isinstance(record, FollowUpOver) and record.delivered else job.delivered
    return replace(job, troubles=troubles, delivered=delivered)
