"""Lets the submits of a home take turns with what two of them must not do at once."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator

from daemon.fs import FileSystem, make_folders
from daemon.settings import Settings

#: Seconds between two tries to take the lock. Another submit holds it only for a few renames, or for the copy of a result.
_POLL_SECONDS = 0.02
#: Errors of a home that belongs to somebody else, or of a disk without locks. submit then works without the lock.
_NO_LOCK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


class TurnTimeout(Exception):
    """Another submit has held the lock for too long."""


@contextlib.contextmanager
def turn(fs: FileSystem, settings: Settings, name: bytes, *, seconds: float | None) -> Iterator[None]:
    """Hold the lock of this name in the home's state.

    Args:
        fs: the disk.
        settings: the settings of the home.
        name: the name of the lock's file.
        seconds: how long to wait for it; None: for as long as it takes.

    Raises:
        OSError: the lock cannot be taken.
        TurnTimeout: another submit has held it for too long.
    """
    path, held = os.path.join(settings.paths.state_bytes, name), None
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        make_folders(fs, settings.paths.state_bytes)
        while (held := fs.lock(path)) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TurnTimeout
            time.sleep(_POLL_SECONDS)
    except OSError as error:
        if error.errno not in _NO_LOCK:
            raise
    try:
        yield
    finally:
        if held is not None:
            fs.close(held)
