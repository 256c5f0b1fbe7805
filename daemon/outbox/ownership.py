"""Tells which home an inbox or an outbox belongs to: its marker names the home, and no other home's daemon uses it.

Two daemons in one folder would clear each other's attempts, and take each other's pictures.

A home has an id, made once and kept in its state folder. A moved home has its id at another path; a copied home has the id of the
original, which is still at the old path. A marker without a readable owner (made by hand or by an older version, or damaged)
belongs to nobody. Nothing is held open, and no process is looked up: the folders may be on a share, the other daemon on another
machine.

Anybody who can write in a folder can forge its marker. Such a marker can stop the daemon, as its removal can, and nothing else.
"""

import os
import uuid
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.contract.commands import command, unmarked
from daemon.contract.names import to_bytes, to_text
from daemon.contract.words.printable import replace_unprintable
from daemon.errors import Refusal
from daemon.fs import FileSystem, HeldFolder, Stat, write_atomic
from daemon.platform.mounts import mount_of
from daemon.settings import Layout

#: This file shows that a folder is an inbox or an outbox, and not the empty mount point of an unmounted disk.
MARKER = b".multiplane"
_HOME = b"home.json"
_MAX_BYTES = 1 << 16
#: A sentence shows at most so many characters of what a marker says: anybody may have written it.
_MOST_SHOWN = 200

Path = Field(max_length=1 << 14)
_ID = Field(pattern=r"^[0-9a-f]{32}$")


class _Kept(BaseModel):
    """The file in the state folder that keeps the home's id."""

    model_config = ConfigDict(frozen=True)
    id: str = _ID


class Owner(BaseModel):
    """The content of a marker. Paths are without links, and written as `to_text` does."""

    model_config = ConfigDict(frozen=True)
    note: str = "This marks a folder of Multiplane. Please leave it here."
    id: str = _ID
    home: str = Path
    state: str = Path
    folder: str = Path
    machine: str = Field(max_length=1 << 8)

    def __str__(self) -> str:
        """The home, as a sentence names it."""
        shown = unmarked(replace_unprintable(f"{self.home} on {self.machine}"))
        return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]} …"


@dataclass(frozen=True, slots=True)
class Who:
    """A home: its id (None if no daemon has run there), its path, its state folder, and this machine's name."""

    id: str | None
    home: str
    state: str
    machine: str


def who(fs: FileSystem, paths: Layout, *, new_id: bool = False) -> Who:
    """Who this home is. With `new_id`, a home without an id gets one, durably; its state folder must exist.

    Raises:
        OSError: the id cannot be read or, with `new_id`, written.
    """
    kept = _id_in(fs, paths.state_bytes)
    if kept is None and new_id:
        kept = uuid.uuid4().hex
        data = _Kept(id=kept).model_dump_json().encode() + b"\n"
        write_atomic(fs, os.path.join(paths.state_bytes, _HOME), data, durable=True)
    return Who(kept, _real(os.fsencode(paths.home)), _real(paths.state_bytes), os.uname().nodename)


class Ownership:
    """Compares the markers of folders with one home, `me`."""

    def __init__(self, fs: FileSystem, me: Who) -> None:
        self._fs = fs
        self._me = me
        #: The markers that were read and did not name another home, by folder. They are only read again after a change.
        self._fine: dict[bytes, Stat] = {}
        #: The folders that this process has marked as its home's.
        self._taken: set[bytes] = set()

    def stranger(self, folder: bytes) -> Owner | None:
        """The other home that a folder belongs to; None if it is this home's or nobody's.

        Raises:
            OSError: the marker cannot be read; FileNotFoundError if there is none.
        """
        with self._fs.hold(folder) as held:
            found = held.lstat(MARKER)
            if self._fine.get(folder) == found:
                return None
            owner = _owner_in(held)
        if owner is not None and not self._may_use(owner, folder):
            return owner
        self._fine[folder] = found
        return None

    def take(self, folder: bytes, *, durable: bool = False) -> None:
        """Write into a folder's marker that it is this home's; make the marker if it is missing. Does nothing if it says so.

        Raises:
            OSError: the marker cannot be read or written.
        """
        me = self._me
        wanted = Owner(id=me.id or "", home=me.home, state=me.state, folder=_real(folder), machine=me.machine)
        with self._fs.hold(folder) as held:
            if folder in self._taken and self._fine.get(folder) == _marker_in(held):
                return
            if _owner_in(held) != wanted:
                # Without a sync, a power loss may leave an empty marker. That is nobody's, and this home takes the folder again.
                write_atomic(held, MARKER, wanted.model_dump_json(indent=2).encode() + b"\n", durable=durable)
            self._fine[folder] = held.lstat(MARKER)
        self._taken.add(folder)

    def _may_use(self, owner: Owner, folder: bytes) -> bool:
        """Whether a folder with this marker is this home's, or may become this home's without asking anybody."""
        me = self._me
        if folder in self._taken:
            # This process marked it, so any other owner has taken it since.
            return (owner.id, owner.home, owner.machine) == (me.id, me.home, me.machine)
        if (owner.id, owner.home) == (me.id, me.home):
            return True
        if (owner.state, owner.machine) == (me.state, me.machine):
            return True  # this home's state folder was lost, and its id with it
        return self._is_copy(owner, folder) or (owner.id == me.id and not self._is_still_there(owner))

    def _is_copy(self, owner: Owner, folder: bytes) -> bool:
        """Whether the owner has its own folder elsewhere on this machine, of which this one is a copy."""
        there = to_bytes(owner.folder)
        if mount_of(folder).network or mount_of(there).network:
            return False  # there, two paths with different inodes may be one folder
        try:
            with self._fs.hold(there) as elsewhere, self._fs.hold(folder) as here:
                is_other, original = elsewhere.ino != here.ino, _owner_in(elsewhere)
        except OSError:
            return False
        return is_other and original is not None and (original.id, original.home) == (owner.id, owner.home)

    def _is_still_there(self, owner: Owner) -> bool:
        """Whether the owner's home is where it was. If it is not, and has this home's id, then this home is it, and was moved."""
        state = to_bytes(owner.state)
        try:
            return _id_in(self._fs, state) == owner.id and not os.path.samefile(state, to_bytes(self._me.state))
        except FileNotFoundError:
            return False
        except OSError:
            return True  # it cannot be looked at: perhaps another user's


def said_of_stranger(name: str, folder: bytes, owner: Owner) -> str:
    """A clause that says that a folder belongs to another home. `name`: inbox or outbox."""
    return f"the {name} {os.fsdecode(folder)} belongs to another home, {owner}"


def remedy_for_stranger(name: str) -> str:
    """What to do about a folder that belongs to another home. `name`: inbox or outbox."""
    return (
        f"Set folders.{name} to a folder of this home's own. If that home no longer exists, or this one replaces it, "
        f"take over its folders: {command('doctor', '--take-over')}."
    )


def refuse_strangers(ownership: Ownership, paths: Layout) -> None:
    """Check that inbox and outbox belong to no other home. A folder that is not there, or cannot be read, is not checked.

    Raises:
        Refusal: one of them does.
    """
    for name, folder in (("inbox", paths.inbox_bytes), ("outbox", paths.outbox_bytes)):
        try:
            owner = ownership.stranger(folder)
        except OSError:
            continue  # whether the folder is there and readable is checked again and again while the daemon runs
        if owner is not None:
            raise Refusal(said_of_stranger(name, folder, owner), hint=remedy_for_stranger(name))


def _id_in(fs: FileSystem, state: bytes) -> str | None:
    """The id of the home with this state folder; None if there is none, or if it is damaged."""
    try:
        return _Kept.model_validate_json(fs.read(os.path.join(state, _HOME), _MAX_BYTES)).id
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def _marker_in(folder: HeldFolder) -> Stat | None:
    try:
        return folder.lstat(MARKER)
    except FileNotFoundError:
        return None


def _owner_in(folder: HeldFolder) -> Owner | None:
    """The home that a folder's marker names; None if there is no marker, or it names none. A link names none, and is replaced."""
    marker = _marker_in(folder)
    if marker is None or marker.kind != "file":
        return None
    try:
        return Owner.model_validate_json(folder.read(MARKER, _MAX_BYTES))
    except (FileNotFoundError, ValidationError):
        return None


def _real(path: bytes) -> str:
    return to_text(os.path.realpath(path))
