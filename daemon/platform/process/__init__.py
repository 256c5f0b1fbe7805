"""Processes: identifies them, measures their trees, and signals them without ever hitting the wrong one."""

import os
import sys

import psutil

if sys.platform == "darwin":
    from daemon.platform.process.macos import boot_id, created, keep_awake
else:
    from daemon.platform.process.linux import boot_id, created, keep_awake

__all__ = ["boot_id", "created", "is_same", "is_suspended", "keep_awake", "kill_group", "signal_process", "tree", "tree_memory"]

#: Linux counts in steps of 10 ms and macOS in microseconds, which psutil may convert to a float and back.
_SAME_SECONDS = 0.005


def is_same(pid: int, then: float) -> bool:
    """Whether this pid still belongs to the process created at `then`. `created` must have returned `then` since boot."""
    now = created(pid)
    return now is not None and abs(now - then) < _SAME_SECONDS


def kill_group(group: int, signal: int) -> bool:
    """Signal every process of a group; False if there is none. Signal 0 only checks.

    Raises:
        ValueError: the group must never be signalled: it is our own, or its number is 1 or below. kill(2) reads 0 as our own
            group and −1 as everybody.
    """
    if group <= 1 or group == os.getpgrp():
        raise ValueError(f"refusing to signal process group {group}")
    try:
        os.killpg(group, signal)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group in which only zombies are left.
        return False
    return True


def group_runs(group: int) -> bool:
    """Whether a group contains any process other than zombies."""
    for member in psutil.process_iter():
        try:
            if os.getpgid(member.pid) == group and member.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return False


def signal_process(pid: int, signal: int) -> bool:
    """Signal one process; False if it does not exist. The caller must know that no other process has the pid by now.

    Raises:
        ValueError: the pid is 1 or below, or our own.
    """
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"refusing to signal process {pid}")
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        return False
    return True


def is_suspended(pid: int) -> bool:
    """Whether a process is stopped by a signal, such as that of Ctrl-Z; False if it does not exist."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def tree(pid: int) -> list[psutil.Process]:
    """The process and all its descendants whose parents still exist; empty if the process is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def tree_memory(processes: list[psutil.Process], above: int | None = None) -> int:
    """Bytes of memory that the processes hold together.

    The sum of the resident sizes counts shared pages several times, so it is an upper bound. This bound is returned if it is at
    most `above`, if `above` is None, or if there is only one process. Otherwise the processes are measured exactly, which is
    slow: the result is the sum of their proportional (Linux) or unique (macOS) set sizes.
    """
    bound = sum(_memory(process, exact=False) for process in processes)
    if above is None or bound <= above or len(processes) == 1:
        return bound
    return sum(_memory(process, exact=True) for process in processes)


def _memory(process: psutil.Process, *, exact: bool) -> int:
    try:
        if not exact:
            return int(process.memory_info().rss)
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.uss))
    except psutil.Error:
        # It ended after it was listed, or is a zombie: it holds nothing.
        return 0
