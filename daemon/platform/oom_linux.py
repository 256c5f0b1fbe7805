"""Out-of-memory kills and memory limits on Linux, from /proc/vmstat and from the files of our control groups.

Version 2 of control groups has memory.events, memory.max and memory.current (Documentation/admin-guide/cgroup-v2.rst), version 1
has memory.oom_control, memory.limit_in_bytes and memory.usage_in_bytes (cgroup-v1/memory.rst). In a container, the group's own
folder is often mounted at the root. The limits of the groups that contain ours apply to us too.
"""

import os
import re
from collections.abc import Iterator

_ROOT = "/sys/fs/cgroup"
_PROC = "/proc"
#: Version 1 represents "no limit" as the largest number of whole pages; no machine has that much.
_NO_LIMIT = 1 << 60
#: By version: the files of the limit and of the use, and the line of memory.stat for cached files that can be dropped.
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def oom_kills() -> int | None:
    """How many processes were killed so far because memory ran out: the sum of all counters; None if there is no counter."""
    counts = [count for text in _counters() if (count := _count(text)) is not None]
    return sum(counts) if counts else None


def memory_limit() -> int | None:
    """The bytes of memory that our control group may use; None if nothing limits it."""
    return min((limit for limit, _used in _limits()), default=None)


def memory_left() -> int | None:
    """How many more bytes our control group may use, never below 0; None if nothing limits it."""
    left = min((limit - used for limit, used in _limits()), default=None)
    return None if left is None else max(0, left)


def _limits() -> Iterator[tuple[int, int]]:
    """The limit and the bytes used, for our group and each group around it. Groups without a limit are left out.

    Cached files that the kernel drops when it needs the memory (inactive_file) do not count as used.
    """
    for limit_name, used_name, files_name in _LIMITS:
        for folder in _folders():
            limit = _read(os.path.join(folder, limit_name)).strip()
            if not limit.isdecimal() or int(limit) >= _NO_LIMIT:
                continue
            used = _read(os.path.join(folder, used_name)).strip()
            found = re.search(rf"^{files_name} (\d+)$", _read(os.path.join(folder, "memory.stat")), re.MULTILINE)
            yield int(limit), (int(used) if used.isdecimal() else 0) - (int(found[1]) if found else 0)


def _counters() -> Iterator[str]:
    yield _read(f"{_PROC}/vmstat")
    for name in ("memory.events", "memory.oom_control"):
        if text := next(filter(None, (_read(os.path.join(folder, name)) for folder in _folders())), ""):
            yield text
            return


def _folders() -> Iterator[str]:
    """The folders that may contain the files of our control group, then those of each group that contains it, up to the root."""
    for line in _read(f"{_PROC}/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            base = os.path.join(_ROOT, "memory") if controllers else _ROOT
            while path.strip("/"):
                yield base + path
                path = os.path.dirname(path)
            yield base


def _count(text: str) -> int | None:
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
