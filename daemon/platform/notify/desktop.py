"""Shows desktop notifications through the system's own programs: osascript on macOS, notify-send where there is a session bus.

Texts are passed to the program as arguments, never in a script or a command line. The daemon starts the program and never waits
for it. A failure is logged once, and affects nothing else.
"""

import html
import shutil
import subprocess
import sys
from collections.abc import Mapping

from loguru import logger

#: The most programs that may run at once: if they hang, they must not pile up.
_MAX_UNDER_WAY = 8
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


def command(title: str, text: str, environ: Mapping[str, str], *, platform: str = sys.platform) -> list[str] | None:
    """The command that shows a notification; None if this system cannot show any.

    Args:
        title: must begin with a letter, otherwise osascript would read it as an option.
        text: anything printable.
        environ: contains PATH and, on Linux, the address of the session bus.
        platform: as in `sys.platform`.
    """
    search = environ.get("PATH")
    if platform == "darwin":
        program = shutil.which("osascript", path=search) or "/usr/bin/osascript"
        lines = [word for line in _SCRIPT for word in ("-e", line)]
        return [program, *lines, title, text]
    found = shutil.which("notify-send", path=search) if environ.get("DBUS_SESSION_BUS_ADDRESS") else None
    # The text may be read as markup, but the title never is (Desktop Notifications Specification, "Markup").
    return [found, "--app-name=Multiplane", "--", title, html.escape(text, quote=False)] if found else None


class Desktop:
    """Shows notifications on this machine's desktop.

    Args:
        environ: the daemon's environment.
        platform: as in `sys.platform`.
    """

    def __init__(self, environ: Mapping[str, str], *, platform: str = sys.platform) -> None:
        self._environ = environ
        self._platform = platform
        self._under_way: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._complained = False

    def show(self, title: str, text: str) -> None:
        """Show a notification if possible. Returns at once, and never raises because of the system."""
        argv = command(title, text, self._environ, platform=self._platform)
        if argv is None:
            return
        if len(self._under_way) >= _MAX_UNDER_WAY:
            self._complain(f"{argv[0]} does not end")
            return
        quiet = subprocess.DEVNULL
        try:
            # In its own session, so that a Ctrl-C that stops the daemon does not reach it.
            process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, env=self._environ)
        except OSError as error:
            self._complain(f"{argv[0]} cannot be started: {error.strerror}")
            return
        self._under_way.append((argv[0], process))

    def tidy(self) -> None:
        """Reap the programs that have ended."""
        for program, process in list(self._under_way):
            status = process.poll()
            if status is not None:
                self._under_way.remove((program, process))
                if status != 0:
                    self._complain(f"{program} ended with exit status {status}")

    def _complain(self, why: str) -> None:
        if not self._complained:
            logger.warning("notifications cannot be shown: {}", why)
        self._complained = True
