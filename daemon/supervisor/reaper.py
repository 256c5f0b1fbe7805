"""At start: find the workers an earlier daemon left behind, and end them.

The guardian has done that already, unless it was killed too. A number is reused by the system, so nothing is signalled on
the strength of a number alone: the boot must be the same and the process must have been created when the journal says.
"""

import os
import signal
import time
from collections.abc import Iterable

from daemon.contract.records import Process
from daemon.platform import process

#: How long to wait until the killed are gone, so that nobody writes into a folder that recovery is about to clear.
_GONE_SECONDS = 5.0
_PAUSE = 0.01


def reap(records: Iterable[Process]) -> list[Process]:
    """Kill what is left of these workers and their groups; returns those of which something was.

    A worker that moved to another group is killed by its own number. Groups and processes that are ours or the system's are
    never signalled (ValueError from `daemon.platform.process` for a record that says otherwise). Blocks until the killed are
    gone, at most 5 s.
    """
    boot = process.boot_id()
    found = [record for record in records if record.boot_id == boot and _kill(record)]
    deadline = time.monotonic() + _GONE_SECONDS
    while any(_alive(record) for record in found) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return found


def _kill(record: Process) -> bool:
    worker = process.is_same(record.pid, record.created)
    guardian = process.is_same(record.group, record.guardian_created)
    killed = False
    # The number of a group stays taken while it has members: if worker or guardian is in it, the group is the one recorded.
    if guardian or (worker and _group_of(record.pid) == record.group):
        killed = process.kill_group(record.group, signal.SIGKILL)
    if worker and _group_of(record.pid) not in (None, record.group):
        killed = process.signal_process(record.pid, signal.SIGKILL) or killed
    return killed


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _alive(record: Process) -> bool:
    return process.is_same(record.pid, record.created) or process.is_same(record.group, record.guardian_created)
