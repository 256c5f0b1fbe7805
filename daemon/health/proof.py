"""A folder that lacks its marker at a start: has a stranger deleted the hidden file, or is it the hole of an unmounted disk?

What each folder was when it was last seen whole is kept in the state folder: its device and inode, which an empty mount point
does not share with what was mounted on it. A mount point itself proves nothing: it is never remembered, and never recognised.
Where device numbers changed over a restart of the machine, nobody can tell: the person is asked.
"""

import os
from dataclasses import dataclass

from loguru import logger
from pydantic import TypeAdapter, ValidationError

from daemon.fs import FileSystem, write_atomic
from daemon.health.inbox_replacement import identity, is_mount_point
from daemon.troubles import Troubles

_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What a folder was: where it is, its device and inode."""

    path: str
    dev: int
    ino: int


_KEPT = TypeAdapter(dict[str, Seen])


class Proof:
    """What inbox and outbox were when they were last seen whole. `path`: where that is kept."""

    def __init__(self, fs: FileSystem, path: bytes) -> None:
        self._fs = fs
        self._path = path
        self._kept = self._read()
        self._troubles = Troubles()

    def _read(self) -> dict[str, Seen]:
        try:
            return _KEPT.validate_json(self._fs.read(self._path, _MAX_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            logger.warning("what inbox and outbox were cannot be read, and is written anew: {}", error)
            return {}

    def remember(self, name: str, folder: bytes) -> None:
        """A folder is there, marker and all."""
        seen = _seen(folder)
        if seen == self._kept.get(name):
            return
        kept = {other: was for other, was in self._kept.items() if other != name} | ({name: seen} if seen else {})
        try:
            write_atomic(self._fs, self._path, _KEPT.dump_json(kept), durable=False)
        except OSError as error:
            self._troubles.tell(name, f"what the {name} is cannot be remembered: {error.strerror}")
            return
        self._troubles.over(name)
        self._kept = kept

    def recognises(self, name: str, folder: bytes) -> bool:
        """Whether a folder is the same as when it was last seen whole."""
        seen = _seen(folder)
        return seen is not None and seen == self._kept.get(name)


def _seen(folder: bytes) -> Seen | None:
    """What a folder is; none if there is none, or if it is a mount point."""
    found = identity(folder)
    if found is None or is_mount_point(folder):
        return None
    return Seen(os.fsdecode(os.path.abspath(folder)), *found)
