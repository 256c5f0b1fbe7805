"""What it takes to put bytes on the platter."""

import errno
import fcntl
import os

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
