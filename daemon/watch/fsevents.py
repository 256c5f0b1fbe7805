"""Native watching on a Mac: one FSEvents stream for a folder and everything below it, through watchdog 7.1.

Handlers only pass on names. They open no file, and must not raise: an exception in a handler kills its thread.
"""

import os
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.fsevents import FSEventsEmitter, FSEventsObserver

from daemon.intake.model import DEEPEST, How

#: note(folder, name, how, is_directory)
Note = Callable[[bytes, bytes, How, bool], None]

# Reads (opened, closed_no_write) are left out, because our own reads would cause events. So are writes in progress (modified),
# because a slow copy would cause a flood of them.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileMovedEvent, FileClosedEvent, FileDeletedEvent, DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
# MustScanSubDirs, UserDropped, KernelDropped (FSEvents.h); watchdog ignores them.
_DROPPED = 0x1 | 0x2 | 0x4


class _Handler(FileSystemEventHandler):
    """Passes on the names in events, as deep as folders are read."""

    def __init__(self, root: bytes, note: Note) -> None:
        super().__init__()
        self._root = root + b"/"
        self._note = note

    def dispatch(self, event: FileSystemEvent) -> None:
        source, target = os.fsencode(event.src_path), os.fsencode(event.dest_path)
        if event.event_type == "moved":
            self.pass_on(source, "changed", event.is_directory)
            self.pass_on(target, "renamed_in", event.is_directory)
        else:
            self.pass_on(source, "closed" if event.event_type == "closed" else "changed", event.is_directory)

    def pass_on(self, path: bytes, how: How, is_directory: bool) -> None:
        """Report a path in the root, or in a folder that may be read. Other paths are ignored; scans find those changes."""
        if not path.startswith(self._root):
            return
        folder, _, name = path[len(self._root) :].rpartition(b"/")
        if folder.count(b"/") < DEEPEST and name:
            self._note(folder, name, how, is_directory)


class Observing:
    """A running observer of one folder and everything below it.

    Args:
        path: canonical path of the folder, as events name it.
        note: receives every event; called on the observer's threads.
        overflow: called when events were lost.

    Raises:
        OSError: the folder cannot be watched.
    """

    def __init__(self, path: bytes, note: Note, overflow: Callable[[], None]) -> None:
        handler = _Handler(path, note)

        class Emitter(FSEventsEmitter):
            def events_callback(self, paths: list[bytes], inodes: list[int], flags: list[int], ids: list[int]) -> None:
                if any(flag & _DROPPED for flag in flags):
                    overflow()
                super().events_callback(paths, inodes, flags, ids)

            def queue_events(self, timeout: float, events: list[object]) -> None:  # type: ignore[override]
                # watchdog reports a file that was renamed into the tree as "created". FSEvents merges the flags of several
                # events, so only a rename without other flags is certain.
                renamed = [
                    os.fsencode(e.path) for e in events  # type: ignore[attr-defined]
                    if e.is_renamed and not (e.is_created or e.is_modified or e.is_removed or e.is_directory)  # type: ignore[attr-defined]
                ]  # fmt: skip
                super().queue_events(timeout, events)
                for path in renamed:
                    handler.pass_on(path, "renamed_in", False)

        self._observer = FSEventsObserver()
        self._observer._emitter_class = Emitter
        try:
            self._observer.schedule(handler, os.fsdecode(path), recursive=True, event_filter=EVENTS)
            self._observer.start()
        except BaseException:
            self.stop()
            raise

    def cover(self, name: bytes) -> None:
        """Do nothing: the stream covers all folders."""

    def uncover(self, name: bytes) -> None:
        """Do nothing: the stream covers all folders."""

    def covers(self, name: bytes) -> bool:
        """Whether the system reports what happens in the folder with that name."""
        return True

    def alive(self) -> bool:
        """Whether all threads that events pass through are running."""
        emitters = self._observer.emitters
        return self._observer.is_alive() and bool(emitters) and all(emitter.is_alive() for emitter in emitters)

    def stop(self) -> None:
        """End all threads."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        else:
            self._observer.on_thread_stop()
