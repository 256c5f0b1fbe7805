"""Identifies processes on Linux through /proc, so that a changed wall clock makes no difference."""

import os
import subprocess

_TICKS = os.sysconf("SC_CLK_TCK")
#: Field 22 of /proc/PID/stat is `starttime` (proc_pid_stat(5)); the list after the name begins with field 3.
_STARTTIME = 22 - 3


def boot_id() -> str:
    """A text that changes only when the machine is restarted."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def created(pid: int) -> float | None:
    """Seconds from boot to the start of the process; None if there is no such process or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may itself contain parentheses and spaces: the last one closes it.
    fields = stat[stat.rindex(b")") + 1 :].split()
    return None if fields[0] in b"ZX" else int(fields[_STARTTIME]) / _TICKS


def keep_awake(pid: int) -> "subprocess.Popen[bytes] | None":
    """Always None: on Linux, the desktop decides when an idle machine sleeps, and servers do not."""
    return None
