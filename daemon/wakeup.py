"""Wakes the loop: a pipe that any thread and any signal may write to."""

import contextlib
import os


class Wakeup:
    """A pipe with two ends.

    Attributes:
        read_end: the loop waits until this end can be read.
        write_end: threads and signals write to this end.
        is_set: whether somebody woke the loop since it last checked everything; True at first.
    """

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        for end in (self.read_end, self.write_end):
            os.set_blocking(end, False)
        self.is_set = True

    def wake(self) -> None:
        """Make the loop check everything again. May be called from any thread."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop just as well
            os.write(self.write_end, b"!")

    def drain(self, _mask: int) -> None:
        """Note that somebody woke the loop."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.read_end, 4096):
                self.is_set = True

    def answered(self) -> None:
        """Note that the loop has checked everything."""
        self.is_set = False
