"""Who a process is, on macOS."""

import functools
import subprocess

import psutil


@functools.cache
def boot_id() -> str:
    """A text that is the same until the machine starts again; subprocess errors if sysctl does not know it."""
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True, text=True)
    return answer.stdout.strip()


def created(pid: int) -> float | None:
    """Seconds from 1970 to the start of the process, by the kernel's stamp; none if there is none or only a zombie."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def keep_awake(pid: int) -> "subprocess.Popen[bytes] | None":
    """Keep the machine from idle sleep while the process lives: caffeinate(8) ends with it. Not yet tried on a Mac."""
    return subprocess.Popen(
        ["/usr/bin/caffeinate", "-i", "-w", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
