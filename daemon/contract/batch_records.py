"""The journal's records about a batch folder in the inbox."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUnderWay:
    """In a snapshot: a batch folder in the inbox from which pictures were taken. `job` is the last of them."""

    event: Literal["batch_under_way"] = "batch_under_way"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosing:
    """A batch folder has held no pictures for a while: its job.yaml moves to source/ of `job`, and the folder is removed."""

    event: Literal["batch_closing"] = "batch_closing"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed:
    """The batch is over: its folder is gone, or what is in it now is a new batch."""

    event: Literal["batch_closed"] = "batch_closed"
    job: str
    folder: str
