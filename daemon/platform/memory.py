"""How much memory there is for the daemon and its workers, and how freed memory is returned to the system."""

import ctypes

import psutil

from daemon.platform.oom import memory_left, memory_limit

# malloc.h of glibc: M_MMAP_THRESHOLD, and its initial value of 128 KiB.
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def total_memory() -> int:
    """The machine's memory in bytes, or what our control group (a container, a systemd unit) may use of it."""
    total = int(psutil.virtual_memory().total)
    limit = memory_limit()
    return total if limit is None else min(total, limit)


def available_memory() -> int:
    """Bytes that a program started now could use without anything being swapped out or killed."""
    available = int(psutil.virtual_memory().available)
    left = memory_left()
    return available if left is None else min(available, left)


def give_back_large_blocks() -> None:
    """Return every large block to the system as soon as it is freed.

    By default, glibc returns only blocks above a certain size, and raises that size, up to 32 MiB, each time a large block is
    freed (mallopt(3)). When very many files arrive, tables are replaced again and again as they grow, and the memory of the old
    tables would never be returned. With other C libraries, this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
