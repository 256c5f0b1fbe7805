"""Recognises inbox and outbox when their marker is missing: did somebody delete that hidden file, or is a disk not mounted?

The state folder records the device and inode that each folder had when it was last there with its marker. If a disk is not
mounted, the folder in its place has another device or inode. A mount point is never recorded and never recognised, because its
identity proves nothing. If device numbers changed when the machine restarted, no folder is recognised, and the person is asked.
"""

import os
from dataclasses import dataclass

from loguru import logger
from pydantic import TypeAdapter, ValidationError

from daemon.contract.words.validation import in_words
from daemon.fs import FileSystem, write_atomic
from daemon.health.inbox_replacement import identity
from daemon.platform.mounts import is_mount_point
from daemon.troubles import Troubles

_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What identifies a folder: its path, device and inode."""

    path: str
    dev: int
    ino: int


_KEPT = TypeAdapter(dict[str, Seen])


class FolderIdentities:
    """Records what inbox and outbox were when they were last there with their markers. `path`: the file for the records."""

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
            logger.warning("the record of inbox and outbox cannot be read, and is written again: {}", in_words(error))
            return {}

    def remember(self, name: str, folder: bytes) -> None:
        """Record the identity of a folder, which must be there with its marker. `name`: "inbox" or "outbox"."""
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
        """Whether a folder is the one that was recorded under this name."""
        seen = _seen(folder)
        return seen is not None and seen == self._kept.get(name)


def _seen(folder: bytes) -> Seen | None:
    """The identity of a folder; None if there is no folder, or if it is a mount point."""
    found = identity(folder)
    if found is None or is_mount_point(folder):
        return None
    return Seen(os.fsdecode(os.path.abspath(folder)), *found)
