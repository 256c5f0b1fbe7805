"""What it takes to put bytes on the platter."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

#: macOS: fsync only hands the bytes to the drive, which may hold them in its cache; this asks the drive as well (fcntl(2)).
_F_FULLFSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def full_sync(fd: int) -> None:
    """Wait until the file is on the disk: F_FULLFSYNC on macOS, fsync elsewhere and where a volume does not have the former."""
    if _F_FULLFSYNC is not None:
        try:
            fcntl.fcntl(fd, _F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return
    os.fsync(fd)


#: Opens a file or folder for as long as a block runs.
Opened = Callable[[bytes], AbstractContextManager[int]]


def sync_together(paths: Sequence[bytes], opened: Opened) -> bool:
    """Wait until files, and the names in folders, of one file system are on the disk; False if the system cannot share that.

    Linux: `syncfs(2)`, which reports errors since Linux 5.8. Measured on ext4, 256 new folders: 16 ms, against 700 ms with an
    fsync for each. macOS: fsync hands each to the drive; F_FULLFSYNC of the last one empties the drive's cache of all of them.

    Raises:
        OSError: one is not there, or the disk refused.
    """
    return _syncfs(paths, opened) if _F_FULLFSYNC is None else _sync_and_flush_once(paths, opened)


def _syncfs(paths: Sequence[bytes], opened: Opened) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    for path in paths:
        with opened(path):
            pass  # it is there, and no link leads to it
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
        # A volume without fsync for folders; who syncs them one by one knows what that means.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
        return False
    return True
