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
        control: the preset or batch file; None if there is none, or if there are two.
        hold: how the preset or batch file keeps everything in the folder from being taken at the moment; None if it does not.
        will_resolve: whether the hold ends by itself, so that nobody has to do anything.
        bare: whether this is a folder of the inbox with neither preset nor batch, so that its files are not judged.
        check_at: when to check the preset or batch file again; None if only a change of it matters.
        is_job: whether this is a job's folder from the outbox. Only what is in its source/ is judged.
        from_job: whether this is the source/ of such a folder.
    """

    control: Control | None = None
    hold: str | None = None
    will_resolve: bool = False
    bare: bool = False
    check_at: float | None = None
    is_job: bool = False
    from_job: bool = False


@dataclass(frozen=True, slots=True)
class FolderMemory:
    """What intake remembers of a folder. Times are monotonic seconds.

    Attributes:
        name: the folder's name; empty for the inbox itself.
        entries: the files as last seen, by name.
        histories: the history of each name in the folder, except those of files that were taken.
        roles: how many of these names have each role.
        gone: files that were taken, by name. `entries` still contains them until a scan covers their names.
        families: names by family.
        waits, ready, downloads: the last verdict on each family.
        due: when to judge a family again.
        control_state: which preset or batch applies.
        controls: the preset and batch files as last read.
        birth: birth time of the folder itself, in seconds since 1970, if known.
        problem: a sentence that says why the last scan could not read the folder; None if it could.
        full_scan: when every name was last scanned.
        factor: the factor by which settle times are multiplied here.
        factor_since: when the factor last grew.
        closed_once: how many pictures in a row were each closed once by their writers; see `daemon.intake.step.taken`.
        quiet_since: when something last arrived or changed here.
        empty_since: since when there has been no picture here; None if there is one.
        recent: pictures taken from here, by key and by stem.
        awaited: pictures that return to the inbox because their end is missing: by name, until when the rest may arrive.
        batch_taken: whether a picture of this batch folder was taken.
        next_due: when anything here must be checked again; None if nothing must.
        listing: the folder's part of the waiting list.
        network: whether the folder is on a network file system.
        above: the preset of the folder above, if there is one: it applies here, too, unless this folder has a file of its own.
        scanned_before: whether there was an earlier scan, so that a new name must have arrived since.
    """

    name: bytes
    full_scan: float
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
    scanned_before: bool = False
    above: ControlState | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything intake remembers. It starts out empty, so after a restart every file must settle again."""

    rules: Rules = field(default_factory=Rules)
    folders: Mapping[bytes, FolderMemory] = field(default_factory=dict)
