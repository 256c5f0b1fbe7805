"""The bell of the requests folder: wakes the loop when somebody puts a file there. A missed ring costs seconds."""

import os
from collections.abc import Callable

from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer


class Bell:
    """Calls `ring` from another thread when a file appears in the folder. `ring` must be quick and raise nothing."""

    def __init__(self, folder: bytes, ring: Callable[[], None]) -> None:
        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                ring()

        self._observer = Observer()
        # Without the filter our own reading of the requests would ring as well.
        self._observer.schedule(Handler(), os.fsdecode(folder), event_filter=[FileCreatedEvent, FileMovedEvent])
        self._observer.start()

    def stop(self) -> None:
        """End the observer's threads."""
        self._observer.stop()
        self._observer.join()
