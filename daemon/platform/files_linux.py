"""Files on Linux: leases tell of writers; lstat tells neither birth times nor cloud placeholders."""

import errno
import fcntl
import os

MAC_ATTRIBUTES = False


def birth_time(st: os.stat_result) -> float | None:
    """None: Python's stat has no birth time here, and Finder's marks do not travel in it over Samba."""
    return None


def is_dataless(st: os.stat_result) -> bool:
    """False: no placeholders."""
    return False


def canonical(path: bytes) -> bytes:
    """The path without links, as events will name it."""
    return os.path.realpath(path)


def open_for_writing_elsewhere(fd: int) -> bool:
    """Whether somebody has this file open for writing, as far as a lease can tell.

    `fcntl(2)`, F_SETLEASE: a read lease on a descriptor opened read-only is refused with EAGAIN while the file is open for
    writing anywhere. Best effort: file systems without leases, and files of other owners, answer False.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def permission_hint() -> str:
    """What to do about a refused access."""
    return "give the user that Multiplane runs as the right to read and write it"


def request_download(path: bytes) -> None:
    """Nothing: there are no placeholders."""
