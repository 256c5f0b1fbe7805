"""Identifies processes on macOS."""

import functools
import subprocess

import psutil
from loguru import logger


@functools.cache
def boot_id() -> str:
    """A text that changes only when the machine is restarted. Raises an error of subprocess if sysctl cannot supply it."""
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True, text=True)
    return answer.stdout.strip()


def created(pid: int) -> float | None:
    """Seconds from 1970 to the start of the process, from the kernel; None if there is no such process or it is a zombie."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def caffeinate_argv(pid: int) -> tuple[str, ...]:
    """The command that keeps the machine from idle sleep (-i) until this process ends (-w); see caffeinate(8)."""
    return ("/usr/bin/caffeinate", "-i", "-w", str(pid))


def keep_awake(pid: int) -> "subprocess.Popen[bytes] | None":
    """Keep the machine from idle sleep while the process lives; None if that is impossible. Not tried on a Mac yet."""
    try:
        return subprocess.Popen(
            caffeinate_argv(pid), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        logger.warning("the machine may fall asleep during a job: {}", error)
        return None
