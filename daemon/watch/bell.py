"""The bell of the requests folder: wakes the loop when somebody puts a file there. A missed ring costs seconds."""

from collections.abc import Callable

from daemon.platform.files import canonical
from daemon.watch.observer import Observing


class Bell:
    """Calls `ring` from another thread when something happens in the folder. `ring` must be quick and raise nothing.

    It hangs only once it was tended. While the system cannot watch the folder, whoever tends the bell looks there anyway.
    """

    def __init__(self, folder: bytes, ring: Callable[[], None]) -> None:
        self._folder = folder
        self._ring = ring
        self._observing: Observing | None = None

    def tend(self) -> OSError | None:
        """See that the bell hangs, and hang it anew where it does not; why that cannot be done now, or None."""
        if self._observing is not None and self._observing.alive():
            return None
        self.stop()
        try:
            self._observing = Observing(canonical(self._folder), lambda *_: self._ring(), self._ring)
        except OSError as error:
            return error
        self._ring()
        return None

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observing is not None:
            self._observing.stop()
            self._observing = None
