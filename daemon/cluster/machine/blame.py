"""Decides whether a machine of the cluster is at fault for a failure, by the evidence that it has itself."""

from daemon.jobs.fault import Evidence, Failure, judge
from daemon.platform.memory import available_memory
from daemon.supervisor import Failed, Outcome

#: Less free memory than this, in bytes, and the machine is short of it: what the smallest job needs.
_ENOUGH_MEMORY = 500 << 20


def is_to_blame(outcome: Outcome, *, changed: bool, full: bool) -> bool:
    """Whether the machine is at fault, and not the job.

    Args:
        outcome: how the attempt ended.
        changed: whether the program on the disk is another one than that which runs.
        full: whether the disk is full.
    """
    if not isinstance(outcome, Failed):
        return False
    failure = Failure(
        outcome.error.code,
        ready=outcome.ready,
        held_when_killed=outcome.held_when_killed,
        held_when_refused=outcome.held_when_refused,
    )
    return judge(failure, Evidence(changed=changed, full=full, short=available_memory() < _ENOUGH_MEMORY)) is not None
