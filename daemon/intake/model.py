"""What intake is told and what it answers: plain frozen values.

A look is what the shell saw in the inbox, names as the bytes `scandir` gave. Times called `now` are monotonic seconds; the wall
clock is never used for a decision, because it jumps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "directory", "symlink", "fifo", "socket", "device", "locked", "unreadable"]
How = Literal["closed", "renamed_in", "changed"]
INBOX = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder as lstat saw it.

    Attributes:
        name: the bytes `scandir` gave.
        kind: `locked` is a plain file that its owner locked in Finder; `unreadable` where lstat itself failed.
        dev, ino, size, mtime_ns: the fingerprint, as in `stat_result`.
        nlink: number of hard links.
        birth: birth time in seconds since 1970 where lstat tells it (macOS).
        dataless: the content is in iCloud only.
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
        """What must stay the same for a file to be complete: dev, ino, size, mtime_ns."""
        return self.dev, self.ino, self.size, self.mtime_ns


@dataclass(frozen=True, slots=True)
class Control:
    """A `_preset.yaml` or `job.yaml` as the shell read it.

    Attributes:
        images: which pictures of a batch are meant, names or globs; None for all.
        problem: why it cannot be used, one sentence; its pictures wait with it.
        passing: it could not be read this time, which says nothing about what is in it; it is read again with the next looks.
    """

    kind: Literal["preset", "batch"]
    entry: Entry
    images: tuple[str, ...] | None = None
    problem: str | None = None
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """The inbox itself (`name` is empty) or a folder in it, one level deep.

    Attributes:
        entries: what is in it. The same object as in the look before says "nothing changed"; the mapping is never changed.
        looked: the names that were looked at this time, None for all of them. The others are as they were last seen.
        birth: birth time of the folder itself in seconds since 1970, where known.
        controls: its `_preset.yaml` and `job.yaml`, if any.
        problem: why it could not be read this time, one sentence; `entries` are then the last known ones.
        network: whether it is on a network file system; None: as the inbox.
    """

    name: bytes
    entries: Mapping[bytes, Entry]
    looked: frozenset[bytes] | None = None
    birth: float | None = None
    controls: tuple[Control, ...] = ()
    problem: str | None = None
    network: bool | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `now` is monotonic seconds; `network`: the inbox is on a network file system."""

    folders: tuple[Folder, ...]
    network: bool
    now: float


@dataclass(frozen=True, slots=True)
class Hint:
    """What the operating system told about a name before it was looked at: its writer closed it, or it was renamed in."""

    folder: bytes
    name: bytes
    how: How
    at: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture that can be taken, with all that belongs to it.

    Attributes:
        twins: the AppleDouble halves (`._x`) of image, sidecar and depth picture.
        control: the preset or batch it falls under.
        warnings: sentences for the job's status.
        arrived: monotonic seconds; what came first is taken first.
        problem: it must be taken and failed (`image_unreadable`) with this sentence; it was empty for too long.
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

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that moves, in the order of the claim: image, depth picture, twins, sidecar last."""
        return tuple(e for e in (self.image, self.depth, *self.twins, self.sidecar) if e is not None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something in the inbox that is not taken. `will_resolve`: time alone will settle it, nobody has to do anything."""

    folder: bytes
    name: bytes
    reason: str
    will_resolve: bool


@dataclass(frozen=True, slots=True)
class Late:
    """A sidecar that came after its picture was taken; `image` is the picture's name then."""

    folder: bytes
    sidecar: Entry
    image: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch folder that is done. `leftovers`: what is in it that somebody may miss, for which it cannot be removed."""

    folder: bytes
    control: Entry
    leftovers: tuple[bytes, ...]
