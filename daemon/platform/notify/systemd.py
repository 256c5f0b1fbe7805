"""Reports the daemon's state to systemd (sd_notify(3)): one datagram to a socket that the environment names.

Without `NOTIFY_SOCKET`, as in a terminal and under launchd, it sends nothing.
"""

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Reports that the daemon is ready, alive or stopping. If a message cannot be sent, work continues.

    Args:
        environ: of the process. `WATCHDOG_USEC` and `WATCHDOG_PID` are as in sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ means a name in the kernel's abstract namespace. Other kinds (vsock) are for virtual machines.
        self._address = "\0" + address[1:] if address.startswith("@") else address if address.startswith("/") else None
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "") if watched else ""
        #: Seconds between messages: half of what systemd asks for, as sd_watchdog_enabled(3) advises. None without a watchdog.
        self._spacing = int(usec) / 2e6 if usec.isdecimal() and int(usec) > 0 else None
        self._told = float("-inf")
        self._ready = False

    def loop_ran(self, now: float) -> None:
        """Report that the loop has completed a pass: first that the start is over, later that the loop does not hang.

        Call this in every pass; it sends a message only when one is due. `now`: monotonic seconds.
        """
        if not self._ready:
            self._ready = True
            self._send("READY=1")
        if self._spacing is not None and now >= self._told + self._spacing:
            self._told = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the daemon is stopping on request."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A full socket must not hold up the loop, so a message may be lost.
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)
