"""The journal's records about batches."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUnderWay:
    """In a snapshot: a batch folder in the inbox from which pictures were claimed. `job`: the job of the last claimed picture."""

    event: Literal["batch_under_way"] = "batch_under_way"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosing:
    """A batch folder has had no pictures for a while. Next, its job.yaml moves to source/ of `job`, and the folder is removed."""

    event: Literal["batch_closing"] = "batch_closing"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed:
    """The batch has ended: its folder is gone, or what is in the folder now is a new batch. `job`: its last job."""

    event: Literal["batch_closed"] = "batch_closed"
    job: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounted:
    """In a snapshot: how far a batch is. `job`: its last job; the other fields as in `daemon.jobs.batch_counts`."""

    event: Literal["batch_counted"] = "batch_counted"
    job: str
    batch: str
    name: str
    total: int
    ended: int
    failed: int
    seconds: float
    completed: int
