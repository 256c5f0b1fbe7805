"""What the log says about the steps of a job and of a batch: one plain sentence each. Pure."""

from collections.abc import Mapping

from daemon.contract.records import Job
from daemon.contract.status import State

#: Why a job was cancelled whose person needs no further reason.
BY_REQUEST = "the job was cancelled"


def start_of(job_id: str, attempts: int, machine: str | None) -> str:
    """That an attempt started. `attempts`: its number, from 1. `machine`: the machine of the cluster; None for this one."""
    where = f" on {machine}" if machine else ""
    return f"{job_id} started{where}{f' (attempt {attempts})' if attempts > 1 else ''}"


def end_of(job: Job) -> str:
    """How a job ended, which must have ended."""
    error, seconds = (job.ended.error, job.ended.processing_seconds) if job.ended else (None, None)
    if job.state == "failed":
        return f"{job.job_id} failed ({error.code}): {error.message}" if error else f"{job.job_id} failed"
    if job.state == "cancelled":
        return f"{job.job_id} was cancelled{f': {error.message}' if error and error.message != BY_REQUEST else ''}"
    return f"{job.job_id} is completed{f' after {seconds:.1f} s' if seconds else ''}"


def request_answer(verb: str, job_id: str, accepted: bool | None, sentence: str) -> str:
    """What became of a request about one job.

    `accepted`: None if it is kept for later. `sentence`: what the person who asked is told.
    """
    if accepted is not False:
        return sentence
    reason = sentence.removeprefix(f"{job_id}: ")
    return f"a request to {'remove' if verb in ('rm', 'prune') else verb} {job_id} was refused: {reason}"


def end_of_batch(name: str, ended: Mapping[State, int]) -> str:
    """That all jobs of a batch have ended. `ended`: how many ended in each state; empty if that is not known."""
    words: tuple[State, ...] = ("completed", "failed", "cancelled")
    counted = ", ".join(f"{ended[state]:,} {state}" for state in words if ended.get(state))
    return f"the batch {name} is done{f': {counted}' if counted else ''}"
