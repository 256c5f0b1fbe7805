"""Watches the requests folder, and wakes the loop when a file appears there. If an event is missed, the loop polls later."""

from collections.abc import Callable

from daemon.platform.files import canonical
from daemon.watch.observer import Observing


class FolderWatch:
    """Calls `wake` from another thread when something happens in the folder. `wake` must be quick and must not raise.

    Watching begins with the first call of `ensure_watching`. If the system cannot watch the folder, the caller must poll it.
    """

    def __init__(self, folder: bytes, wake: Callable[[], None]) -> None:
        self._folder = folder
        self._wake = wake
        self._observing: Observing | None = None

    def ensure_watching(self) -> OSError | None:
        """Make sure that the folder is watched. Returns the error if that is impossible now, otherwise None."""
        if self._observing is not None and self._observing.alive():
            return None
        self.stop()
        try:
            self._observing = Observing(canonical(self._folder), lambda *_: self._wake(), self._wake)
        except OSError as error:
            return error
        self._wake()
        return None

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observing is not None:
            self._observing.stop()
            self._observing = None
