"""The doctor's findings, and the facts behind them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from daemon.contract.registry import OutputFormat
from daemon.contract.status import Frozen
from daemon.health.state_access import Access
from daemon.journal.chain import Fault
from daemon.outbox import DiskUse, Health
from daemon.outbox.ownership import Owner
from daemon.platform.encoder import NoH264
from daemon.platform.service import Role

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
    "cluster",
]


class Finding(Frozen):
    """The result of one check. A note is worth knowing; a problem needs to be solved."""

    area: Area
    grade: Grade
    sentence: str
    hint: str | None = Field(None, description="what to do; every problem has a hint")


class Report(Frozen):
    """The findings of all checks."""

    schema_version: int = 1
    version: str
    home: str | None = Field(description="the home folder; null if the settings are wrong")
    healthy: bool = Field(description="whether no finding is a problem")
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
        path: the path of the folder.
        there: whether it exists and is a folder.
        marked: whether its marker file is there; None if it needs none.
        trouble: the error when reading it; None if there was none.
        writing: the error when making and removing a file in it, or why it cannot be created; None if there was none.
        owner: the user that it belongs to, in words, if that is not who asks; None otherwise.
        disk: the number of the disk that it is on; None if unknown.
        free: free bytes; None if unknown.
        network: the type of the network file system that it is on; None if it is on a local disk.
        guarded: the protected macOS folder that it is in; None if it is in none.
        stranger: the other home that it belongs to; None if it belongs to none.
    """

    name: Literal["inbox", "outbox", "state folder"]
    path: str
    there: bool
    marked: bool | None = None
    trouble: Trouble | None = None
    writing: Trouble | None = None
    owner: str | None = None
    disk: int | None = None
    free: int | None = None
    network: str | None = None
    guarded: str | None = None
    stranger: Owner | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of the journal.

    Attributes:
        path: the path of the file.
        records: how many records it has.
        torn_line: the line where its torn tail begins; None if it has none.
        damage: a sentence that says why it cannot be used; None if it can.
        newer: `damage` says that a newer version wrote it; the file itself is whole.
        unreadable: `damage` says that the disk could not read it; nobody knows whether the file is whole.
        stale_index: it has an index that does not fit its content.
    """

    path: str
    records: int = 0
    torn_line: int | None = None
    damage: str | None = None
    newer: bool = False
    unreadable: bool = False
    stale_index: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """The state of the journal.

    Attributes:
        segments: all segments, oldest first.
        aside: the names of the files to which torn tails were copied.
        faults: segments that are missing or in the wrong place.
        unlisted: job folders that the journal does not list, without those in `forgotten`.
        forgotten: the number of job folders older than the oldest segment.
        trouble: the error when reading the journal's folder; None if there was none.
    """

    segments: tuple[Segment, ...] = ()
    aside: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    unlisted: tuple[str, ...] = ()
    forgotten: int = 0
    trouble: Trouble | None = None

    def is_incomplete(self, segment: Segment) -> bool:
        """Whether records are known to be missing in a segment."""
        lost = {f"{number:08}.jsonl" for fault in self.faults for number in fault.lost}
        return os.path.basename(segment.path) in lost


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """The state of the daemon.

    Attributes:
        holds: whether a daemon holds the lock.
        health: the content of daemon.json; None if it cannot be read.
        silent_seconds: the age of daemon.json.
        suspended: whether its process was stopped by a signal, such as that of Ctrl-Z.
    """

    holds: bool
    health: Health | None = None
    silent_seconds: float = 0.0
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Times in seconds since 1970.

    Attributes:
        wall: the machine's clock.
        stamp: the modification time of a file made in the inbox when `wall` was read; None if no file could be made.
        program: the modification time of the program's own files.
    """

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
    """A service file, and the home and the Python that it names. `home` and `python` are None if no service is installed.

    `role`: which program it starts. `slots`: for a worker, how many jobs it runs at once. `name`: the name it was given, if any.
    `barred`: why this user cannot start that Python, as far as it can be seen; None if that is no problem.
    `outdated`: the entries of the file that `service install` would write differently now.
    `error`: why the file cannot be read; None if it can.
    """

    file: str
    role: Role = "daemon"
    home: str | None = None
    python: str | None = None
    slots: int = 1
    name: str | None = None
    outdated: tuple[str, ...] = ()
    python_there: bool = True
    barred: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMember:
    """A machine of the cluster. `problem`: why it takes no jobs, a clause; None if it does."""

    name: str
    slots: int
    same_program: bool
    same_lists: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The cluster that the settings name.

    Attributes:
        address: the scheduler's address.
        days: until this machine's certificate expires; None if there is none.
        trouble: why the cluster cannot be used; None if it can.
        hint: what to do about the trouble.
        members: its machines.
        share_missing: the shared folder of the settings, if it is not there.
    """

    address: str
    days: float | None = None
    trouble: str | None = None
    hint: str | None = None
    members: tuple[ClusterMember, ...] = ()
    share_missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is known about a home and the machine.

    Attributes:
        home: the home folder.
        user: who asks, in words.
        python: the version and path of Python, and the system.
        barred: why this user cannot start it again, as workers and services must; None if this user can.
        controlled: why others can write to the state folder; None if they cannot.
        replaceable: why others can rename the state folder; None if they cannot.
        folders: the inbox, the outbox and the state folder.
        moving: the error when renaming a file from the inbox into the outbox; None if that works or was not tried.
        journal: the state of the journal.
        daemon: the running daemon and its last report.
        clock: the machine's clock and the disk's.
        service: the installed service of the daemon.
        cluster_services: the installed services of a cluster's worker and scheduler.
        models: the answer of `models list --json`.
        verified: the answer of `models verify --json`.
        devices: which devices can run models.
        not_prevented: what the sandbox cannot keep workers from on this system, as ends of a sentence.
        no_h264: why videos cannot be H.264; None if they can.
        unwritable: formats that cannot be written because a package is missing.
        settings: the settings that the checks need, by name.
        use: the space that the outbox takes; None if it cannot be read.
        cluster: the cluster; None if the settings name none.
        deliveries: the folder that results are delivered to, if it is missing; None if it is there, or none is set.
        deliveries_guarded: the protected macOS folder that it is in; None if it is in none.
        hooks: the programs of hooks that cannot be started.
    """

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
    no_h264: NoH264 | None = None
    user: str = "this user"
    barred: str | None = None
    controlled: Access | None = None
    replaceable: Access | None = None
    unwritable: tuple[OutputFormat, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    use: DiskUse | None = None
    cluster: ClusterFacts | None = None
    cluster_services: tuple[ServiceFacts, ...] = ()
    deliveries: str | None = None
    deliveries_guarded: str | None = None
    hooks: tuple[str, ...] = ()
