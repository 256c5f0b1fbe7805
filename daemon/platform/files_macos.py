"""Files on macOS: birth times and flags come with lstat; there are no leases."""

import fcntl
import os
import subprocess
import sys

assert sys.platform == "darwin"  # noqa: S101 - tells mypy which half of the standard library there is

MAC_ATTRIBUTES = True
# <sys/stat.h>: the content is not on this disk; opening the file would block until it has been fetched.
SF_DATALESS = 0x40000000


def birth_time(st: os.stat_result) -> float | None:
    """Seconds since 1970."""
    return st.st_birthtime


def is_dataless(st: os.stat_result) -> bool:
    """Whether the content is in iCloud only."""
    return bool(st.st_flags & SF_DATALESS)


def canonical(path: bytes) -> bytes:
    """The path as FSEvents will name it (F_GETPATH): links resolved, /private in front, spelt as on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    finally:
        os.close(fd)


def open_for_writing_elsewhere(fd: int) -> bool:
    """False: macOS has no way to ask."""
    return False


def permission_hint() -> str:
    """What to do about a refused access: nearly always the privacy settings, not the file's rights."""
    return (
        "macOS keeps it private; allow it in System Settings, Privacy & Security, Files and Folders (or Full Disk Access), "
        "then restart Multiplane"
    )


def request_download(path: bytes) -> None:
    """Ask iCloud for the content; returns at once, the download goes on by itself (`brctl download`)."""
    subprocess.Popen([b"/usr/bin/brctl", b"download", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
