"""The system's notifications, by its own programs: osascript on macOS, notify-send where a session bus is.

What is told goes to the program as arguments, never into a script or a command line. The program is started and left alone: the
daemon never waits for it. What goes wrong with it is logged once, and is nobody's trouble else.
"""

import html
import shutil
import subprocess
import sys
from collections.abc import Mapping

from loguru import logger

#: Programs that have not ended yet; a system that shows nothing any more must not collect them.
_MAX_UNDER_WAY = 8
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


def command(title: str, text: str, environ: Mapping[str, str], *, platform: str = sys.platform) -> list[str] | None:
    """The command that shows a notification; none where there is nothing to show it with.

    Args:
        title: begins with a letter: osascript would take it for an option of its own otherwise.
        text: anything printable.
        environ: where PATH and, on Linux, the address of the session bus stand.
        platform: as `sys.platform` names it.
    """
    search = environ.get("PATH")
    if platform == "darwin":
        program = shutil.which("osascript", path=search) or "/usr/bin/osascript"
        lines = [word for line in _SCRIPT for word in ("-e", line)]
        return [program, *lines, title, text]
    found = shutil.which("notify-send", path=search) if environ.get("DBUS_SESSION_BUS_ADDRESS") else None
    # The text, not the title, may be read as markup (Desktop Notifications Specification, "Markup").
    return [found, "--app-name=Multiplane", "--", title, html.escape(text, quote=False)] if found else None


class Desktop:
    """Shows notifications to whoever sits at this machine.

    Args:
        environ: of the daemon.
        platform: as `sys.platform` names it.
    """

    def __init__(self, environ: Mapping[str, str], *, platform: str = sys.platform) -> None:
        self._environ = environ
        self._platform = platform
        self._under_way: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._complained = False

    def show(self, title: str, text: str) -> None:
        """Show one, or not; returns at once and never raises for what the system does."""
        argv = command(title, text, self._environ, platform=self._platform)
        if argv is None:
            return
        if len(self._under_way) >= _MAX_UNDER_WAY:
            self._complain(f"{argv[0]} does not end")
            return
        quiet = subprocess.DEVNULL
        try:
            # A session of its own: a Ctrl-C that stops the daemon leaves it alone.
            process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, env=self._environ)
        except OSError as error:
            self._complain(f"{argv[0]} cannot be started: {error.strerror}")
            return
        self._under_way.append((argv[0], process))

    def tidy(self) -> None:
        """Let go of the programs that have ended."""
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
