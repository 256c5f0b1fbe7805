"""What it takes to put bytes on the disk."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

#: macOS: fsync only passes the bytes to the drive, which may keep them in its cache. This flushes the cache as well (fcntl(2)).
_F_FULLFSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def full_sync(fd: int) -> None:
    """Wait until the file is on the disk: F_FULLFSYNC on macOS where the volume supports it, otherwise fsync."""
    if _F_FULLFSYNC is not None:
        try:
            fcntl.fcntl(fd, _F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(fd)


#: Opens a file or folder while a block runs.
Opened = Callable[[bytes], AbstractContextManager[int]]


def sync_together(paths: Sequence[bytes], opened: Opened) -> bool:
    """Wait until files, and the names in folders, of one file system are on the disk.

    False if the system cannot sync them together.

    Linux: `syncfs(2)`, which reports errors since Linux 5.8. Measured on ext4 with 256 new folders: 16 ms, against 700 ms with
    an fsync for each. macOS: fsync passes each to the drive, and F_FULLFSYNC of the last one flushes the drive's cache for all
    of them.

    Raises:
        OSError: one does not exist, or the disk reported an error.
    """
    return _syncfs(paths, opened) if _F_FULLFSYNC is None else _sync_and_flush_once(paths, opened)


def _syncfs(paths: Sequence[bytes], opened: Opened) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    for path in paths:
        with opened(path):
            pass  # it exists, and its path contains no link
    with opened(paths[-1]) as fd:
        if call(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), paths[-1])
    return True


def _sync_and_flush_once(paths: Sequence[bytes], opened: Opened) -> bool:
    try:
        for path in paths:
            with opened(path) as fd:
                os.fsync(fd)
                if path is paths[-1]:
                    full_sync(fd)
    except OSError as error:
        # This volume has no fsync for folders. The caller that syncs them one by one handles that.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
        return False
    return True
