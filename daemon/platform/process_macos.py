"""Who a process is, on macOS."""

import subprocess

import psutil


def boot_id() -> str:
    """A text that is the same until the machine starts again; subprocess errors if sysctl does not know it."""
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True, text=True)
    return answer.stdout.strip()


def created(pid: int) -> float | None:
    """When the process began, in seconds since 1970, as the kernel stamped it; none if there is no such process."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
