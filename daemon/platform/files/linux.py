"""Files on Linux: a lease shows whether a file is open for writing. lstat reports no birth time and no iCloud placeholder."""

import array
import errno
import fcntl
import os
import signal
import subprocess

MAC_ATTRIBUTES = False
#: ioctl_iflags(2): `_IOR('f', 1, long)`, and two of the flags.
_FS_IOC_GETFLAGS = 2 << 30 | array.array("l").itemsize << 16 | ord("f") << 8 | 1
_IMMUTABLE, _APPEND = 0x10, 0x20
#: `<linux/fs.h>`: `_IOW(0x94, 9, int)`, ioctl_ficlone(2).
_FICLONE = 1 << 30 | array.array("i").itemsize << 16 | 0x94 << 8 | 9
_NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def birth_time(st: os.stat_result) -> float | None:
    """Always None: Python's stat has no birth time here, and Samba would not pass on the dates that Finder sets."""
    return None


def is_dataless(st: os.stat_result) -> bool:
    """Always False: Linux has no iCloud placeholders."""
    return False


def is_locked(st: os.stat_result) -> bool:
    """Always False: on Linux, lstat cannot report a lock. A file with `chattr +i` is noticed when moving it fails."""
    return False


def is_fixed(fd: int) -> bool:
    """Whether an open file or folder is immutable or append-only (`chattr +i`, `+a`), which applies even to root."""
    flags = array.array("l", [0])
    try:
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
    except OSError:
        return False  # a file system without such flags
    return bool(flags[0] & (_IMMUTABLE | _APPEND))


def canonical(path: bytes) -> bytes:
    """The path with all links resolved, as events name it."""
    return os.path.realpath(path)


def path_of(fd: int) -> bytes:
    """A path to an open folder, valid in this process and those it forks, even if the folder is renamed."""
    return b"/proc/self/fd/%d" % fd


def open_for_writing_elsewhere(fd: int) -> bool:
    """Whether another program has this file open for writing, as far as a lease can show.

    `fcntl(2)`, F_SETLEASE: a read lease on a read-only descriptor fails with EAGAIN while the file is open for writing
    anywhere. Best effort: the answer is False on file systems without leases, and for files of other owners.
    """
    try:
        # If somebody opens the file for writing while the lease is held, the kernel sends a signal. The default, SIGIO, would
        # end this process; SIGURG is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def permission_hint() -> str:
    """What to do about a refused access."""
    return "give the user that Multiplane runs as the right to read and write it"


def request_download(path: bytes) -> subprocess.Popen[bytes] | None:
    """Always None: Linux has no iCloud placeholders."""
    return None


def copy_attributes(source: int, target: int) -> None:
    """Copy extended attributes to a new file, as far as its file system can hold them. Both are open descriptors."""
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return
        raise
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            # security.* and trusted.* belong to the system; another file system may hold fewer attributes, or none.
            if error.errno not in (
                *_NO_ATTRIBUTES,
                errno.EPERM,
                errno.EACCES,
                errno.ENODATA,
                errno.ENOSPC,
                errno.E2BIG,
                errno.ERANGE,
            ):
                raise


def clone(source: int, folder: int, name: bytes, mode: int) -> bool:
    """Make a new file of this mode in an open folder that shares the blocks of an open file (Btrfs, XFS and others).

    Returns False, and makes nothing, if the disk cannot share blocks. Raises FileExistsError if the name is taken.
    """
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=folder)
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        # Whatever the reason is (another disk, a file system without shared blocks), copying the bytes shows what is wrong.
        os.unlink(name, dir_fd=folder)
        return False
    finally:
        os.close(target)
    return True
