"""Files on macOS: lstat reports birth times and flags; there are no leases."""

import ctypes
import errno
import fcntl
import os
import stat
import subprocess
import sys

assert sys.platform == "darwin"  # noqa: S101 - tells mypy which half of the standard library there is

MAC_ATTRIBUTES = True
# <sys/stat.h>: the content is not on this disk; opening the file would block until it has been downloaded.
SF_DATALESS = 0x40000000
# <copyfile.h>: COPYFILE_ACL | COPYFILE_XATTR.
_COPYFILE_ACL_AND_XATTR = 0x1 | 0x4


def birth_time(st: os.stat_result) -> float | None:
    """The birth time in seconds since 1970."""
    return st.st_birthtime


def is_dataless(st: os.stat_result) -> bool:
    """Whether the content is only in iCloud."""
    return bool(st.st_flags & SF_DATALESS)


def is_locked(st: os.stat_result) -> bool:
    """Whether the file is locked, in Finder or by root, so that it can be neither moved nor removed."""
    return bool(st.st_flags & (stat.UF_IMMUTABLE | stat.SF_IMMUTABLE))


def is_fixed(fd: int) -> bool:
    """Whether an open file or folder is immutable or append-only."""
    flags: int = getattr(os.fstat(fd), "st_flags", 0)
    return bool(flags & (stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND))


def canonical(path: bytes) -> bytes:
    """The path as FSEvents names it (F_GETPATH): with links resolved, /private in front, and spelt as on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return path_of(fd)
    finally:
        os.close(fd)


def path_of(fd: int) -> bytes:
    """The current path of an open file or folder. It becomes wrong if the file or folder is moved.

    macOS offers no path that stays right: /dev/fd has no folders.
    """
    return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")


def open_for_writing_elsewhere(fd: int) -> bool:
    """Always False: macOS offers no way to find out."""
    return False


def permission_hint() -> str:
    """What to do about a denied access: nearly always the privacy settings, not the file's permissions."""
    return (
        "macOS keeps it private; allow it in System Settings, Privacy & Security, Files and Folders (or Full Disk Access), "
        "then restart Multiplane"
    )


def request_download(path: bytes) -> "subprocess.Popen[bytes]":
    """Start a program that asks iCloud to download the content (`brctl download`). The caller reaps it."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen([b"/usr/bin/brctl", b"download", path], stdin=quiet, stdout=quiet, stderr=quiet)


def copy_attributes(source: int, target: int) -> None:
    """Copy extended attributes and the access list to a new file. Both are open descriptors (copyfile(3))."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.fcopyfile(source, target, None, _COPYFILE_ACL_AND_XATTR) != 0 and ctypes.get_errno() != errno.ENOTSUP:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def clone(source: int, folder: int, name: bytes, mode: int) -> bool:
    """Make a new file in an open folder that shares the blocks of an open file (APFS, fclonefileat(2)).

    The system gives it the original's mode; `mode` is not used. Returns False, and makes nothing, if the disk cannot share
    blocks. Raises FileExistsError if the name is taken.
    """
    del mode
    library = ctypes.CDLL(None, use_errno=True)
    if library.fclonefileat(source, folder, name, 0) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    return False
