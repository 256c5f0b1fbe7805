"""What intake remembers between two looks. Frozen values; mappings in them are never changed, only replaced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.intake.judge import Taken
from daemon.intake.model import Control, Entry, Ready, Waiting
from daemon.intake.names import Role
from daemon.intake.rules import Rules
from daemon.intake.settle import History


@dataclass(frozen=True, slots=True)
class Standing:
    """Which preset or batch holds in a folder.

    Attributes:
        hold: why nothing there can be taken at the moment. `will_resolve`: time alone will settle it.
        bare: a folder of the inbox with neither preset nor batch; nothing in it is looked at closer.
        look_at: when to look at the preset or batch file again.
    """

    control: Control | None = None
    hold: str | None = None
    will_resolve: bool = False
    bare: bool = False
    look_at: float | None = None


@dataclass(frozen=True, slots=True)
class FolderMemory:
    """All that is remembered of a folder.

    Attributes:
        entries: as last seen.
        histories: what is remembered of each name that is here and was not taken.
        roles: how many of these names there are of each role.
        gone: what was taken and may still show in a look at other names.
        families: names by family; `waits`, `ready`, `downloads` and `due` (the next look) hold the verdicts by family.
        full_look: when every name was last looked at.
        factor: on the settle times here, since `factor_since`.
        closed_once: how many pictures in a row their writers closed once; see `daemon.intake.step.taken`.
        quiet_since: when something last came here or changed.
        empty_since: since when no picture is here.
        recent: pictures taken here, by key and by stem.
        awaited: names that come back because their end is missing, and until when the rest is waited for.
        batch_taken: a picture of this batch folder was taken.
        next_due: when to look again at anything here.
        listing: the waiting list of the folder.
        network: it is on a network file system.
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
    standing: Standing = field(default_factory=Standing)
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


@dataclass(frozen=True, slots=True)
class Memory:
    """All that intake remembers. A fresh one knows nothing, and everything settles anew."""

    rules: Rules = field(default_factory=Rules)
    folders: Mapping[bytes, FolderMemory] = field(default_factory=dict)
