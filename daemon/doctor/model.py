"""The doctor's findings, and the facts behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from daemon.contract.status import Frozen
from daemon.journal.chain import Fault
from daemon.outbox import Health

Grade = Literal["ok", "note", "problem"]
Area = Literal[
    "settings",
    "program",
    "folders",
    "permissions",
    "space",
    "clock",
    "journal",
    "daemon",
    "service",
    "weights",
    "device",
    "sandbox",
]


class Finding(Frozen):
    """The result of one check. A note is worth knowing; a problem needs to be solved."""

    area: Area
    grade: Grade
    sentence: str
    hint: str | None = Field(None, description="what to do; with every problem")


class Report(Frozen):
    """The findings of all checks."""

    schema_version: int = 1
    version: str
    home: str | None = Field(description="none if the settings are wrong")
    healthy: bool = Field(description="whether there is no problem")
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A system error: errno and its text."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One of the home's folders.

    Attributes:
        name: as used in a sentence: inbox, outbox, state folder.
        path: of the folder.
        there: whether it exists and is a folder.
        marked: whether its marker file is there; None if it needs none.
        trouble: the error when reading it.
        writing: the error when making and removing a file in it.
        free: free bytes; None if unknown.
        network: the type of the network file system that it is on.
        guarded: the protected macOS folder that it is in.
    """

    name: Literal["inbox", "outbox", "state folder"]
    path: str
    there: bool
    marked: bool | None = None
    trouble: Trouble | None = None
    writing: Trouble | None = None
    free: int | None = None
    network: str | None = None
    guarded: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of the journal: the number of records, the line from which it is torn, and its damage.

    `newer`: a newer program wrote it, and it is not damaged. `unreadable`: the disk could not read it, so its state is unknown.
    """

    path: str
    records: int = 0
    torn_line: int | None = None
    damage: str | None = None
    newer: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """All segments, oldest first, the torn tails that were set aside, and the faults in the order of the segments.

    `strangers`: job folders that the journal does not list. `forgotten`: folders of jobs older than the rest of the journal.
    """

    segments: tuple[Segment, ...] = ()
    aside: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    strangers: tuple[str, ...] = ()
    forgotten: int = 0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """Whether the lock is held, the content of daemon.json, and its age in seconds."""

    holds: bool
    health: Health | None = None
    silent_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Seconds since 1970: the machine's clock, the timestamp of a file made at that moment, and the program's own date."""

    wall: float
    stamp: float | None
    program: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The JSON answer of a program of the pipeline, or the reason why there is none."""

    value: object = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """The installed service. `error`: why the file cannot be read."""

    file: str
    home: str | None = None
    python: str | None = None
    python_there: bool = True
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is known about the machine."""

    home: str
    python: str
    folders: tuple[Folder, ...]
    moving: Trouble | None
    journal: JournalFacts
    daemon: DaemonFacts
    clock: ClockFacts
    service: ServiceFacts
    models: Answer
    verified: Answer
    devices: Answer
    not_prevented: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
