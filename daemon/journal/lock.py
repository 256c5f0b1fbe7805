"""One daemon per home: a lock on the local disk, held for the life of the process.

The lock is on the folder with the state, so that removing or replacing a file in it does not remove the lock. The file `lock`
names the process. It is locked as well, because daemons of earlier versions lock only this file.
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
        """Release the lock for another daemon."""
        self.fs.close(self.file)
        self.fs.close(self.folder)


def hold_lock(fs: FileSystem, path: bytes, pid: int) -> HomeLock:
    """Take the lock of the home that this lock file belongs to.

    Raises:
        Refusal: another daemon holds it.
        OSError: folder or file cannot be opened or written; nobody holds the lock.
    """
    # `is_running` takes the lock for an instant to test it; that must not look like another daemon.
    for _ in range(_TRIES):
        if (lock := _take(fs, path)) is not None:
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
    """Whether a daemon holds the lock of the home that this lock file belongs to. Only read access to the folder is needed.

    Raises:
        OSError: this cannot be determined.
    """
    try:
        return fs.is_locked(os.path.dirname(path))
    except FileNotFoundError:
        return False


def _take(fs: FileSystem, path: bytes) -> HomeLock | None:
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
    """The pid of the process that holds the lock, from its file; somebody may have removed that file."""
    try:
        return fs.read(path, _PID_WIDTH).decode(errors="replace").strip() or "unknown"
    except FileNotFoundError:
        return "unknown"
