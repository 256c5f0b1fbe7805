"""Intake's input and output: frozen values.

Names are the bytes from `scandir`. Times are monotonic seconds unless their description says otherwise. No decision uses the
wall clock, because it jumps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "directory", "symlink", "fifo", "socket", "device", "locked", "unreadable"]
How = Literal["closed", "renamed_in", "changed"]
INBOX = b""
#: How many folders deep the inbox is read: a folder with a preset, a job's folder in it, and the source/ of that.
DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder, as lstat saw it.

    Attributes:
        name: the bytes from `scandir`.
        kind: `locked` is a regular file that its owner locked in Finder; `unreadable` means that lstat itself failed.
        dev, ino, size, mtime_ns: the fingerprint, as in `stat_result`.
        nlink: number of hard links.
        birth: birth time in seconds since 1970, if lstat reports it (macOS).
        dataless: whether the content is only in iCloud.
    """

    name: bytes
    kind: Kind
    dev: int
    ino: int
    size: int
    mtime_ns: int
    nlink: int = 1
    birth: float | None = None
    dataless: bool = False

    @property
    def fingerprint(self) -> tuple[int, int, int, int]:
        """The values that stay the same once a file is complete: dev, ino, size, mtime_ns."""
        return self.dev, self.ino, self.size, self.mtime_ns


@dataclass(frozen=True, slots=True)
class Control:
    """A `_preset.yaml` or `job.yaml`, as the shell read it.

    Attributes:
        images: the pictures that belong to the batch, as names or globs; None for all.
        problem: a sentence that says why the file cannot be used, so that the folder's pictures wait; None if it can.
        passing: whether the problem may be temporary: the file could not be read, and the next scans read it again.
        folder: the folder that contains the file, if that is another one: a plain folder inside a folder with a preset is a
            batch by that preset. None: the file is in the folder to which it applies.
    """

    kind: Literal["preset", "batch"]
    entry: Entry
    images: tuple[str, ...] | None = None
    problem: str | None = None
    passing: bool = False
    folder: bytes | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """The inbox itself (`name` is empty), a folder in it, or a folder inside a folder with a preset.

    Attributes:
        name: the path from the inbox.
        entries: the files by name. If this is the same object as in the last scan, nothing changed; a mapping is never modified.
        scanned: the names that were scanned this time; None for all names. The other entries are as they were last seen.
        birth: birth time of the folder itself in seconds since 1970, if known.
        controls: its `_preset.yaml` and `job.yaml`, if any.
        problem: a sentence that says why the folder could not be read this time; `entries` is then the last known state.
        network: whether the folder is on a network file system; None if it is on the same file system as the inbox.
        mtime_ns: when a name in it last appeared or disappeared, in nanoseconds since 1970 by the clock of its file system; None
            if unknown.
    """

    name: bytes
    entries: Mapping[bytes, Entry]
    scanned: frozenset[bytes] | None = None
    birth: float | None = None
    controls: tuple[Control, ...] = ()
    problem: str | None = None
    network: bool | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of a scan of the inbox at `now`. `network`: the inbox is on a network file system."""

    folders: tuple[Folder, ...]
    network: bool
    now: float


@dataclass(frozen=True, slots=True)
class Hint:
    """What the operating system reported about a name before the scan: its writer closed it, or it was renamed to this name."""

    folder: bytes
    name: bytes
    how: How
    at: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture that can be taken, with everything that belongs to it.

    Attributes:
        twins: the AppleDouble files (`._x`) of image, sidecar and depth picture.
        control: the preset or batch that applies to it, if any.
        warnings: sentences for the job's status.
        arrived: when the picture was first seen.
        problem: a sentence that says which picture was empty for too long, so that the job must fail (`image_unreadable`); None
            if none was.
        image_written, depth_written: when intake last saw the file being written; None if it never did.
        from_job: whether it comes from the source/ of a job's folder. Its sidecar moves along, but the preset alone counts.
        name_order: the picture's place among others by name, as `daemon.intake.order.name_order` gives it.
    """

    folder: bytes
    image: Entry
    sidecar: Entry | None
    depth: Entry | None
    twins: tuple[Entry, ...]
    control: Control | None
    warnings: tuple[str, ...]
    arrived: float
    problem: str | None = None
    image_written: float | None = None
    depth_written: float | None = None
    from_job: bool = False
    name_order: tuple[str | int, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All files that move, in the order of the claim: image, depth picture, twins, sidecar last."""
        return tuple(e for e in (self.image, self.depth, *self.twins, self.sidecar) if e is not None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file in the inbox that is not taken now, and why. `will_resolve`: nobody has to do anything but wait."""

    folder: bytes
    name: bytes
    reason: str
    will_resolve: bool


@dataclass(frozen=True, slots=True)
class Late:
    """A sidecar that arrived after its picture was taken; `image` is the name the picture had."""

    folder: bytes
    sidecar: Entry
    image: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch folder that is done, or the source/ of a job's folder.

    Attributes:
        leftovers: names of files in a batch folder that somebody may miss; with any, the folder stays.
        from_job: whether this is the source/ of a job's folder.
    """

    folder: bytes
    control: Entry
    leftovers: tuple[bytes, ...]
    from_job: bool = False
