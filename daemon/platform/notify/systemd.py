"""Telling systemd how the daemon is (sd_notify(3)): one datagram to a socket that the environment names.

Without `NOTIFY_SOCKET`, as in a terminal and under launchd, nothing is sent.
"""

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Says that the daemon is ready, alive or stopping. A message that cannot be sent is no reason to stop working.

    Args:
        environ: of the process; `WATCHDOG_USEC` and `WATCHDOG_PID` are those of sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ means a name in the kernel's abstract namespace; other kinds (vsock) are for virtual machines.
        self._address = "\0" + address[1:] if address.startswith("@") else address if address.startswith("/") else None
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "") if watched else ""
        #: Twice as often as asked for, as sd_watchdog_enabled(3) advises; none without a watchdog.
        self._spacing = int(usec) / 2e6 if usec.isdecimal() and int(usec) > 0 else None
        self._told = float("-inf")
        self._ready = False

    def went_round(self, now: float) -> None:
        """The loop has gone round. The first time says that the start is over, the others that it does not hang.

        To be called in every round; it is told when it is time. `now`: monotonic seconds.
        """
        if not self._ready:
            self._ready = True
            self._send("READY=1")
        if self._spacing is not None and now >= self._told + self._spacing:
            self._told = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon ends because it was told to."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A full socket must not hold up the loop; the next round says it again.
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)
