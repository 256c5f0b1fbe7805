"""The native observer of watchdog 7.1, and what it takes to trust it: threads checked, overflows told, renames told apart.

Handlers note what was named and wake the service. They open and raise nothing: an exception in a handler kills its thread.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

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

from daemon.intake.model import How

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

Note = Callable[[bytes, How, bool], None]
Overflow = Callable[[], None]

# Without a filter a handler that reads a file triggers itself (opened, closed_no_write), and a slow copy floods it (modified).
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileMovedEvent, FileClosedEvent, FileDeletedEvent, DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip


class _Handler(FileSystemEventHandler):
    """Passes on what an event names: note(path, how, is_directory)."""

    def __init__(self, note: Note) -> None:
        super().__init__()
        self._note = note

    def dispatch(self, event: FileSystemEvent) -> None:
        source, target = os.fsencode(event.src_path), os.fsencode(event.dest_path)
        if event.event_type == "moved":
            if source:
                self._note(source, "changed", event.is_directory)
            if target:
                self._note(target, "renamed_in", event.is_directory)
        elif event.event_type == "closed":
            self._note(source, "closed", event.is_directory)
        else:
            self._note(source, "changed", event.is_directory)


class Observing:
    """A running observer of one folder and all below it.

    One recursive watch, because watchdog gives every watch a thread of its own: a hundred batch folders, a hundred threads.

    Args:
        path: canonical path of the folder; events are named with it.
        note: told of every event; called on the observer's threads.
        overflow: told when events were lost.

    Raises:
        OSError: the folder cannot be watched (inotify limits, no such folder).
    """

    def __init__(self, path: bytes, note: Note, overflow: Overflow) -> None:
        self._observer = _build(note, overflow)
        try:
            self._observer.schedule(_Handler(note), os.fsdecode(path), recursive=True, event_filter=EVENTS)
            self._observer.start()
        except BaseException:
            self.stop()
            raise

    def alive(self) -> bool:
        """Whether every thread that events pass through is running."""
        emitters = self._observer.emitters
        reader = getattr(self._observer, "_inotify_fd", None)
        return (
            self._observer.is_alive()
            and bool(emitters)
            and all(emitter.is_alive() for emitter in emitters)
            and (reader is None or reader.is_alive())
        )

    def stop(self) -> None:
        """End all threads."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        else:
            self._observer.on_thread_stop()


if sys.platform == "darwin":
    from watchdog.observers.fsevents import FSEventsEmitter, FSEventsObserver

    # MustScanSubDirs, UserDropped, KernelDropped (FSEvents.h): watchdog does not read them.
    _DROPPED = 0x1 | 0x2 | 0x4

    def _build(note: Note, overflow: Overflow) -> "BaseObserver":
        class Emitter(FSEventsEmitter):
            def events_callback(self, paths: list[bytes], inodes: list[int], flags: list[int], ids: list[int]) -> None:
                if any(flag & _DROPPED for flag in flags):
                    overflow()
                super().events_callback(paths, inodes, flags, ids)

            def queue_events(self, timeout: float, events: list[object]) -> None:  # type: ignore[override]
                # A rename from outside reads as "created" in watchdog; flags are sticky, so anything else in them is a doubt.
                renamed = [
                    os.fsencode(e.path) for e in events  # type: ignore[attr-defined]
                    if e.is_renamed and not (e.is_created or e.is_modified or e.is_removed or e.is_directory)  # type: ignore[attr-defined]
                ]  # fmt: skip
                super().queue_events(timeout, events)
                for path in renamed:
                    note(path, "renamed_in", False)

        observer = FSEventsObserver()
        observer._emitter_class = Emitter
        return observer

else:
    from watchdog.observers.api import DEFAULT_OBSERVER_TIMEOUT
    from watchdog.observers.inotify import InotifyFullEmitter, InotifyObserver
    from watchdog.observers.inotify_c import InotifyEvent, InotifyFD
    from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

    # Our own claims are renames out of the folder; each would hold up the events behind it for 0.5 s, waiting for its pair.
    InotifyMoveEventGrouper.delay = 0

    class _Reader(InotifyFD):
        """The inotify descriptor, telling of overflows."""

        def __init__(self, overflow: Overflow) -> None:
            super().__init__()
            self._overflow = overflow

        def handle_event(self, event: InotifyEvent) -> None:
            super().handle_event(event)
            if event.is_queue_overflow:
                self._overflow()

    class _LinuxObserver(InotifyObserver):
        """The inotify observer with that descriptor; its emitters tell of renames from outside as moves."""

        def __init__(self, overflow: Overflow) -> None:
            self._inotify_fd = _Reader(overflow)
            self._inotify_fd.start()
            super(InotifyObserver, self).__init__(
                InotifyFullEmitter, timeout=DEFAULT_OBSERVER_TIMEOUT, inotify_fd=self._inotify_fd
            )

    def _build(note: Note, overflow: Overflow) -> "BaseObserver":
        return _LinuxObserver(overflow)
