"""What the two systems know about a file beyond POSIX: birth time, dataless, locked, leases, canonical paths."""

import os
import sys

if sys.platform == "darwin":
    from daemon.platform.files_macos import (
        MAC_ATTRIBUTES,
        birth_time,
        canonical,
        copy_attributes,
        is_dataless,
        is_locked,
        open_for_writing_elsewhere,
        permission_hint,
        request_download,
    )
else:
    from daemon.platform.files_linux import (
        MAC_ATTRIBUTES,
        birth_time,
        canonical,
        copy_attributes,
        is_dataless,
        is_locked,
        open_for_writing_elsewhere,
        permission_hint,
        request_download,
    )

__all__ = [
    "MAC_ATTRIBUTES",
    "birth_time",
    "canonical",
    "copy_attributes",
    "is_dataless",
    "is_locked",
    "open_for_writing_elsewhere",
    "permission_hint",
    "request_download",
    "written_elsewhere",
]


def written_elsewhere(path: bytes) -> bool:
    """Whether somebody has the file at this path open for writing, as far as the system can tell; it is opened, not read.

    False for what is no regular file or cannot be opened: that is for others to find out.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return open_for_writing_elsewhere(fd)
    finally:
        os.close(fd)
