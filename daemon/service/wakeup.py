"""Wakes the loop: a pipe that any thread and any signal may write to."""

import contextlib
import os


class Wakeup:
    """A pipe with two ends.

    Attributes:
        read_end: the end that the loop waits at.
        write_end: the end that signals write to.
        is_set: whether somebody woke the loop since its last pass; True at first.
    """

    def __init__(self) -> None:
        self.request_watch, self.rope = os.pipe()
        for end in (self.request_watch, self.rope):
            os.set_blocking(end, False)
        self.rung = True

    def ring(self) -> None:
        """Make the loop check everything again; may be called from any thread."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop just as well
            os.write(self.rope, b"!")

    def drain(self, _mask: int) -> None:
        """Note that somebody woke the loop."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.request_watch, 4096):
                self.rung = True

    def answered(self) -> None:
        """Note that the loop has checked everything."""
        self.rung = False
