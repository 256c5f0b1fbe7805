"""Gives an inbox the shipped presets, so that people can drop single pictures from the first day.

From then on they are the person's: what is edited is never overwritten, and what is removed does not come back.
"""

import contextlib
import os

from loguru import logger

from daemon.fs import FileSystem, HeldFolder, make_folders, write_atomic
from daemon.intake.names import PRESET_NAME, ignored_folder, is_system_file
from daemon.settings import Layout
from daemon.settings.layout import PROGRAM, in_checkout
from daemon.shipped import PRESETS
from daemon.sidecar import MAX_BYTES
from daemon.watch import MARKER

_SHIPPED = os.fsencode(PRESETS)
_PRESET = PRESET_NAME.encode()
#: This file in the state folder says that the inbox was given its presets.
_GIVEN = b"presets_given"
#: What a file system of its own has at its root.
_OF_A_DISK = b"lost+found"


class ShippedPresets:
    """Copies the shipped presets into the inbox of one home, whose paths are `paths`."""

    def __init__(self, fs: FileSystem, paths: Layout) -> None:
        self._fs = fs
        self._inbox = paths.inbox_bytes
        self._given = os.path.join(paths.state_bytes, _GIVEN)
        #: git makes the inbox of a checkout, without presets: it is no new folder at the first start, and yet has none.
        self._awaited = in_checkout() and os.path.realpath(paths.inbox) == os.path.join(PROGRAM, "inbox")

    def put_at_first_start(self) -> None:
        """Make the inbox if it is not there, and put the presets into it if it is new or empty.

        An administrator may make the inbox beforehand. If it has our marker, it was an inbox before, and somebody removed its
        presets. Does nothing in a checkout's inbox.

        Raises:
            OSError: the inbox cannot be made or read.
        """
        try:
            names = {entry.name for entry in self._fs.scan(self._inbox)}
        except FileNotFoundError:
            make_folders(self._fs, self._inbox)
            self.put()
            return
        if not self._awaited and MARKER not in names and all(map(_is_nothing, names)) and not self._is_given():
            self.put()

    def put_into_checkout(self) -> None:
        """Put the presets into the checkout's inbox, once. Does nothing in any other inbox, which must be there."""
        if self._awaited and not self._is_given():
            self.put()
        self._awaited = False

    def put(self) -> None:
        """Put each preset into the inbox, unless it is there. Logs a warning if that fails: they are optional."""
        try:
            with self._fs.hold(self._inbox) as inbox:
                for entry in self._fs.scan(_SHIPPED):
                    if entry.kind == "directory":
                        self._put(inbox, entry.name)
                inbox.sync_dir()
            write_atomic(self._fs, self._given, b"", durable=False)
        except OSError as error:
            logger.warning("cannot put the shipped presets into the inbox: {}", error)

    def _put(self, inbox: HeldFolder, name: bytes) -> None:
        data = self._fs.read(os.path.join(_SHIPPED, name, _PRESET), MAX_BYTES)
        with contextlib.suppress(FileExistsError):
            inbox.mkdir(name)
        with inbox.enter(name) as folder:
            if _PRESET not in {entry.name for entry in folder.scan()}:
                write_atomic(folder, _PRESET, data, durable=False)

    def _is_given(self) -> bool:
        try:
            self._fs.lstat(self._given)
        except FileNotFoundError:
            return False
        return True


def _is_nothing(name: bytes) -> bool:
    """Whether a file or folder that the system made leaves the inbox empty."""
    return ignored_folder(name) or is_system_file(name) or name == _OF_A_DISK
