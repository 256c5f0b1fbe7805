"""Writes what a worker prints to job.log, up to a limit, and keeps the last lines for an error's detail."""

import re

from loguru import logger

from daemon import clock
from daemon.contract.bounds import CONTROL
from daemon.fs import FileSystem
from daemon.fs.compose import write_all

#: An error's detail contains at most this many lines and bytes of the output: the end of a Python traceback, one screen at most.
TAIL_LINES = 20
_TAIL_BYTES = 4096

_ESCAPE = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]")


class JobLog:
    """Takes the output of one worker. Holds it back until `open` names the job's log, then writes it there, up to the limit.

    If the log cannot be written (disk full), that is logged once, the output is dropped, and the job continues.
    """

    def __init__(self, fs: FileSystem, cap_bytes: int) -> None:
        self._fs = fs
        self._cap = cap_bytes
        self._disk_space = cap_bytes
        self._full = False
        self._held = bytearray()
        self._fd: int | None = None
        self._tail = b""
        self._path = b""

    def open(self, path: bytes) -> None:
        """Write to this file from now on, beginning with what was held back. An existing log is continued after a note."""
        self._path = path
        try:
            self._fd = self._fs.append(path)
            if self._fs.lstat(path).size:
                self._write(f"\n[another attempt, {clock.now()}]\n".encode())
        except OSError as error:
            self._report(error)
        held, self._held = bytes(self._held), bytearray()
        self._write(held)

    def feed(self, data: bytes) -> None:
        """Take output. Never raises."""
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        if self._path:
            self._write(data)
        else:
            # One byte more than the limit is enough to know that something is missing.
            self._held += data[: self._cap + 1 - len(self._held)]

    def close(self) -> None:
        """Stop writing."""
        if self._fd is not None:
            self._fs.close(self._fd)
            self._fd = None

    def tail(self) -> str | None:
        """The last lines of the output, safe to show; None if nothing was printed."""
        text = self._tail.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        text = CONTROL.sub("", _ESCAPE.sub("", text))
        lines = [line.rstrip() for line in text.split("\n") if line.strip()]
        return "\n".join(lines[-TAIL_LINES:]) or None

    def _write(self, data: bytes) -> None:
        if self._fd is None or not data or self._full:
            return
        kept = data[: self._disk_space]
        self._disk_space -= len(kept)
        if len(kept) < len(data):
            self._full = True
            kept += f"\n[job.log ends here: the worker printed more than {self._cap} bytes; the rest was not kept]\n".encode()
        try:
            write_all(self._fs, self._fd, kept)
        except OSError as error:
            self._report(error)
            self.close()

    def _report(self, error: OSError) -> None:
        logger.warning("{} cannot be written ({}); the job goes on without a log", self._path.decode(errors="replace"), error)
