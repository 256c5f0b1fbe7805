"""What intake remembers between two scans. The values are frozen; mappings in them are replaced, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.intake.judge import Taken
from daemon.intake.model import Control, Entry, Ready, Waiting
from daemon.intake.names import Role
from daemon.intake.rules import Rules
from daemon.intake.settle import History


@dataclass(frozen=True, slots=True)
class ControlState:
    """Which preset or batch applies in a folder.

    Attributes:
        hold: why nothing there can be taken at the moment. `will_resolve`: waiting is enough.
        bare: a folder of the inbox with neither preset nor batch; its contents are not examined.
        look_at: when to check the preset or batch file again.
    """

    control: Control | None = None
    hold: str | None = None
    will_resolve: bool = False
    bare: bool = False
    look_at: float | None = None


@dataclass(frozen=True, slots=True)
class FolderMemory:
    """What is remembered of a folder.

    Attributes:
        entries: as last seen.
        histories: the history of each name that is here and was not taken.
        roles: the number of these names per role.
        gone: files that were taken but may still appear in a scan of other names.
        families: names by family. `waits`, `ready`, `downloads` and `due` (the next check) hold the verdicts by family.
        full_look: when every name was last scanned.
        factor: the factor on the settle times here, since `factor_since`.
        closed_once: how many pictures in a row were each closed once by their writers; see `daemon.intake.step.taken`.
        quiet_since: when something last arrived or changed here.
        empty_since: since when there has been no picture here.
        recent: pictures taken from here, by key and by stem.
        awaited: names that come back because their end is missing, and until when the rest may arrive.
        batch_taken: a picture of this batch folder was taken.
        next_due: when anything here must be checked again.
        listing: the folder's part of the waiting list.
        network: it is on a network file system.
        scanned: it was scanned before, so a new name arrived since.
    """

    name: bytes
    full_look: float
    quiet_since: float
    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    gone: Mapping[bytes, Entry] = field(default_factory=dict)
    histories: Mapping[bytes, History] = field(default_factory=dict)
    roles: Mapping[Role, int] = field(default_factory=dict)
    families: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    waits: Mapping[str, tuple[Waiting, ...]] = field(default_factory=dict)
    ready: Mapping[str, tuple[Ready, ...]] = field(default_factory=dict)
    downloads: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    due: Mapping[str, float] = field(default_factory=dict)
    control_state: ControlState = field(default_factory=ControlState)
    controls: tuple[Control, ...] = ()
    birth: float | None = None
    problem: str | None = None
    factor: float = 1.0
    factor_since: float = 0.0
    closed_once: int = 0
    empty_since: float | None = None
    recent: Mapping[str, Taken] = field(default_factory=dict)
    awaited: Mapping[bytes, float] = field(default_factory=dict)
    batch_taken: bool = False
    next_due: float | None = None
    listing: tuple[Waiting, ...] = ()
    network: bool = False
    scanned: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything intake remembers. A new one is empty, so every file must settle again."""

    rules: Rules = field(default_factory=Rules)
    folders: Mapping[bytes, FolderMemory] = field(default_factory=dict)
