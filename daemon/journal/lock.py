"""Makes sure that only one daemon runs per home: a lock on the local disk, held for the life of the process.

The lock is on the state folder itself, so that removing or replacing a file in it does not affect the lock. The file `lock`
contains the process id. It is locked as well, because daemons of earlier versions lock only this file.
"""

import os
import time
from dataclasses import dataclass

from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.fs import FileSystem

_PID_WIDTH = 20
_TRIES, _PAUSE = 5, 0.02


@dataclass(frozen=True, slots=True)
class HomeLock:
    """The lock of a home. The system releases it when the process ends."""

    fs: FileSystem
    folder: int
    file: int

    def release(self) -> None:
        """Release the lock, so that another daemon can take it."""
        self.fs.close(self.file)
        self.fs.close(self.folder)


def hold_lock(fs: FileSystem, path: bytes, pid: int) -> HomeLock:
    """Take the lock of a home, and write our process id into its lock file.

    Args:
        fs: the disk.
        path: path of the lock file, in the state folder.
        pid: id of this process.

    Raises:
        Refusal: another daemon holds the lock.
        OSError: the folder or the file cannot be opened or written; then this process does not hold the lock.
    """
    # `is_running` holds a shared lock for an instant; that must not look like another daemon, so try a few times.
    for _ in range(_TRIES):
        if (lock := _try_lock(fs, path)) is not None:
            break
        time.sleep(_PAUSE)
    if lock is None:
        raise Refusal(
            f"another Multiplane daemon (process {_holder(fs, path)}) is already running for this folder",
            hint=f"Use that one ({command('jobs')}), or stop it first.",
            exit_status=75,
        )
    # Padded to one width, so that it covers a longer number of an earlier holder without truncating the file.
    try:
        fs.write(lock.file, f"{pid:<{_PID_WIDTH - 1}}\n".encode())
    except OSError:
        lock.release()
        raise
    return lock


def is_running(fs: FileSystem, path: bytes) -> bool:
    """Whether a daemon holds the lock of a home. `path`: the home's lock file. Needs only read access to its folder.

    Raises:
        OSError: the folder exists but cannot be opened.
    """
    try:
        return fs.is_locked(os.path.dirname(path))
    except FileNotFoundError:
        return False


def is_running_elsewhere(fs: FileSystem, path: bytes, pid: int) -> bool:
    """Whether a process other than `pid` holds the lock of a home. `path`: the home's lock file.

    Raises:
        OSError: this cannot be determined.
    """
    return is_running(fs, path) and _holder(fs, path) != str(pid)


def _try_lock(fs: FileSystem, path: bytes) -> HomeLock | None:
    folder = fs.lock_folder(os.path.dirname(path))
    if folder is None:
        return None
    try:
        file = fs.lock(path)
    except OSError:
        fs.close(folder)
        raise
    if file is None:
        fs.close(folder)
        return None
    return HomeLock(fs, folder, file)


def _holder(fs: FileSystem, path: bytes) -> str:
    """The pid of the process that holds the lock, from the lock file; "unknown" if that file is gone or empty."""
    try:
        return fs.read(path, _PID_WIDTH).decode(errors="replace").strip() or "unknown"
    except FileNotFoundError:
        return "unknown"
