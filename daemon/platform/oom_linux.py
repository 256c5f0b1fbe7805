"""Out-of-memory kills and memory limits on Linux, from /proc/vmstat and from the files of our control group.

Version 2 of control groups has memory.events and memory.max (Documentation/admin-guide/cgroup-v2.rst), version 1 has
memory.oom_control and memory.limit_in_bytes (cgroup-v1/memory.rst). In a container, the group's own folder is often mounted at
the root.
"""

import os
import re
from collections.abc import Iterator

_ROOT = "/sys/fs/cgroup"
_PROC = "/proc"
#: Version 1 represents "no limit" as the largest number of whole pages; no machine has that much.
_NO_LIMIT = 1 << 60


def oom_kills() -> int | None:
    """How many processes were killed so far because memory ran out: the sum of all counters; None if there is no counter."""
    counts = [count for text in _counters() if (count := _count(text)) is not None]
    return sum(counts) if counts else None


def memory_limit() -> int | None:
    """Bytes that our control group may use; None if it has no limit of its own."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        for folder in _folders():
            text = _read(os.path.join(folder, name)).strip()
            if text.isdecimal() and int(text) < _NO_LIMIT:
                return int(text)
    return None


def _counters() -> Iterator[str]:
    yield _read(f"{_PROC}/vmstat")
    for name in ("memory.events", "memory.oom_control"):
        if text := next(filter(None, (_read(os.path.join(folder, name)) for folder in _folders())), ""):
            yield text
            return


def _folders() -> Iterator[str]:
    """The folders that may contain the files of our control group: its own, then the root."""
    for line in _read(f"{_PROC}/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            base = os.path.join(_ROOT, "memory") if controllers else _ROOT
            yield base + path
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
