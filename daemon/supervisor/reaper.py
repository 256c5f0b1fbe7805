"""Ends the workers that an earlier daemon left behind. Recovery calls this at each start.

Usually their guardians have ended them. The system reuses pids, so a process is signalled only if it was created at the time
recorded in the journal, and the machine has not been restarted since.
"""

import os
import signal
import time
from collections.abc import Iterable

from daemon.contract.records import Process
from daemon.platform import process

#: Seconds to wait until the killed processes are gone, so that none writes into a folder that recovery is about to remove.
_GONE_SECONDS = 5.0
_PAUSE = 0.01


def reap(records: Iterable[Process]) -> list[Process]:
    """Kill what is left of these workers and their groups. Returns the records of the workers that were not yet gone.

    A worker that moved to another group is killed by its own pid. Groups and processes that are ours or the system's are never
    signalled (`daemon.platform.process` raises ValueError for such a record). Blocks until the killed processes are gone, for
    at most 5 s.
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
    # A group's number is not reused while the group has members. So if worker or guardian is in it, it is the recorded group.
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
