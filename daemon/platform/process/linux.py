"""Who a process is, on Linux: read from /proc, so that a changed wall clock changes nothing."""

import os
import subprocess

_TICKS = os.sysconf("SC_CLK_TCK")
#: Field 22 of /proc/PID/stat is `starttime` (proc_pid_stat(5)); two fields stand before the list that follows the name.
_STARTTIME = 22 - 3


def boot_id() -> str:
    """A text that is the same until the machine starts again."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def created(pid: int) -> float | None:
    """Seconds from boot to the start of the process; none if there is no such process or it only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may itself hold brackets and spaces: the last one closes it.
    fields = stat[stat.rindex(b")") + 1 :].split()
    return None if fields[0] in b"ZX" else int(fields[_STARTTIME]) / _TICKS


def keep_awake(pid: int) -> "subprocess.Popen[bytes] | None":
    """Nothing: a machine that sleeps while nobody touches it is told so by its desktop, and servers do not."""
    return None
