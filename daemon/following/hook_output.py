"""Reads what a hook prints as fast as it comes, in a thread of its own, and keeps the end of it.

A command that prints much would otherwise wait, because the loop looks at it only now and then, and a pipe holds little.
"""

import contextlib
import os
import selectors
import threading

#: In bytes: the end of the output that is kept for a message.
_KEPT = 4096
_CHUNK = 1 << 16
#: At most this many chunks are read at a time, so that output without end does not hold up whoever waits for the thread.
_CHUNKS = 16


class HookOutput:
    """The output of one command.

    Args:
        output: the end of a pipe that can be read. `close` closes it.

    Raises:
        OSError: no file can be opened; the pipe is closed.
    """

    def __init__(self, output: int) -> None:
        os.set_blocking(output, False)
        self._output = output
        self._said = b""
        try:
            self._finishing, self._finish = os.pipe()
        except OSError:
            os.close(output)
            raise
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="hook", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread left for us: it is read whenever `look` is called
            self._thread = None

    @property
    def end(self) -> bytes:
        """The last bytes that were read."""
        return self._said

    def look(self) -> None:
        """Read what is there, if no thread does."""
        if self._thread is None:
            self._read()

    def finish(self) -> None:
        """Read what is left, and end the thread. Whatever still has the other end of the pipe is not waited for."""
        if self._thread is not None:
            os.write(self._finish, b"!")
            self._thread.join()
            self._thread = None
        self._read()

    def close(self) -> None:
        """End the thread, and close the pipe."""
        self.finish()
        for end in (self._output, self._finishing, self._finish):
            os.close(end)

    def _run(self) -> None:
        with selectors.PollSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._finishing, selectors.EVENT_READ)
            while self._finishing not in {key.fd for key, _events in selector.select()} and self._read():
                pass

    def _read(self) -> bool:
        """Read what is there. Returns False at the end of the output."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_CHUNKS):
                chunk = os.read(self._output, _CHUNK)
                if not chunk:
                    return False
                self._said = (self._said + chunk[-_KEPT:])[-_KEPT:]
        return True
