"""Reports the daemon's state to systemd (sd_notify(3)): one datagram to a socket that the environment names.

Without `NOTIFY_SOCKET`, as in a terminal and under launchd, it sends nothing.
"""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Reports that the daemon is ready, alive or stopping.

    If a message cannot be sent, work continues, and the message is sent in a later pass of the loop.

    Args:
        environ: the process's environment. `WATCHDOG_USEC` and `WATCHDOG_PID` are as in sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ means a name in the kernel's abstract namespace. Other kinds (vsock) are for virtual machines.
        self._address = "\0" + address[1:] if address.startswith("@") else address if address.startswith("/") else None
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "") if watched else ""
        #: Seconds between messages: half of what systemd asks for, as sd_watchdog_enabled(3) advises. None without a watchdog.
        self._spacing = int(usec) / 2e6 if usec.isdecimal() and int(usec) > 0 else None
        self._sent_at = float("-inf")
        self._ready = False

    def loop_ran(self, now: float) -> None:
        """Report that the loop completed a pass. At first this means that the start is over, later that the loop does not hang.

        Call this in every pass; it sends a message only when one is due. `now`: monotonic seconds.
        """
        if not self._ready:
            self._ready = self._send("READY=1")
        if self._spacing is not None and now >= self._sent_at + self._spacing and self._send("WATCHDOG=1"):
            self._sent_at = now

    def stopping(self) -> None:
        """Report that the daemon is stopping on request."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        """Send a message. Returns True if it was sent, or if there is no socket to send it to."""
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # a full socket must not hold up the loop
                sender.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True
