"""One daemon per home: a lock file on the local disk, held for the life of the process."""

import time

from daemon.errors import Refusal
from daemon.fs import FileSystem

_PID_WIDTH = 20
_TRIES, _PAUSE = 5, 0.02


def hold_lock(fs: FileSystem, path: bytes, pid: int) -> int:
    """Take the lock and return its descriptor, which must stay open. The system releases the lock when the process ends.

    Raises:
        Refusal: another daemon holds it.
        OSError: the lock file cannot be written; nobody holds the lock.
    """
    # `is_running` takes the lock for an instant to test it; that must not look like another daemon.
    for _ in range(_TRIES):
        if (fd := fs.lock(path)) is not None:
            break
        time.sleep(_PAUSE)
    if fd is None:
        holder = fs.read(path, _PID_WIDTH).decode(errors="replace").strip() or "unknown"
        raise Refusal(
            f"another Multiplane daemon (process {holder}) is already running for this folder",
            hint="Use that one (multiplane jobs), or stop it first.",
            exit_status=75,
        )
    # Padded to one width, so that it covers a longer number of an earlier holder without truncating the file.
    try:
        fs.write(fd, f"{pid:<{_PID_WIDTH - 1}}\n".encode())
    except OSError:
        fs.close(fd)
        raise
    return fd


def is_running(fs: FileSystem, path: bytes) -> bool:
    """Whether a daemon holds the lock."""
    try:
        fd = fs.lock(path)
    except FileNotFoundError:
        return False
    if fd is None:
        return True
    fs.close(fd)
    return False
