"""Runs a command in a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

from tests.acceptance.home import MULTIPLANE, HotFolder, until

#: Whoever runs the tests in the background of a shell has Ctrl-C ignored; on a terminal it is not.
_ON_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command in a pseudo-terminal of a given size."""

    def __init__(self, folder: HotFolder, *arguments: str, columns: int, lines: int = 30) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environ = folder.environment | {"TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "CI"):
            environ.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, MULTIPLANE, *arguments],
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""

    def read(self, seconds: float = 0.2) -> str:
        """What has been printed so far."""
        while select.select([self.ours], [], [], seconds)[0]:
            try:
                data = os.read(self.ours, 1 << 16)
            except OSError:  # Linux answers EIO once nobody has the other end any more
                break
            if not data:
                break
            self.said += data.decode(errors="replace")
        return self.said

    def end(self) -> int:
        """Wait until the command ends by itself, and return its exit status."""
        until(lambda: (self.read(), self.process.poll() is not None)[1])
        self.read()
        os.close(self.ours)
        return self.process.returncode


def plain(said: str) -> list[str]:
    """The lines without colours and other controls."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said))
