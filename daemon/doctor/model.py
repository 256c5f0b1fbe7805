"""What the doctor finds, and the facts it is found from."""

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
    """One thing that was looked at. A note is worth knowing; a problem is to be solved."""

    area: Area
    grade: Grade
    sentence: str
    hint: str | None = Field(None, description="what to do; with every problem")


class Report(Frozen):
    """Everything that was found."""

    schema_version: int = 1
    version: str
    home: str | None = Field(description="none where the settings are wrong")
    healthy: bool = Field(description="whether there is no problem")
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What the system answered: errno and its text."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One of the home's folders.

    Attributes:
        name: as in a sentence: inbox, outbox, state folder.
        path: where it is.
        there: whether it is a folder (of nothing else).
        marked: whether its marker file is there; none where it needs none.
        trouble: with looking into it.
        writing: with making a file in it and removing it.
        free: bytes; none if unknown.
        network: the type of a network file system it lies on.
        guarded: the guarded folder of macOS that it lies in.
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
    """One file of the journal: how many records, from which line on it is torn, what is damaged.

    `newer`: than this program, and not damaged; `unreadable`: the disk did not give it, so that nobody knows.
    """

    path: str
    records: int = 0
    torn_line: int | None = None
    damage: str | None = None
    newer: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """All segments, oldest first, the torn tails that were set aside, and what is wrong with the order of the segments.

    `strangers`: job folders that the journal does not know, `forgotten` those of jobs that are older than what is left of it.
    """

    segments: tuple[Segment, ...] = ()
    aside: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    strangers: tuple[str, ...] = ()
    forgotten: int = 0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """Whether the lock is held, what daemon.json says, and how many seconds ago it said so."""

    holds: bool
    health: Health | None = None
    silent_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Seconds since 1970: the machine's clock, the stamp of a file made at that moment, and the program's own age."""

    wall: float
    stamp: float | None
    program: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program of the pipeline said: its JSON, or why there is none."""

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
    """Everything the machine was asked."""

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
    unfenced: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
