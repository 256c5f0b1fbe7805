"""The native observer of this system, made reliable: threads are checked, overflows reported, renames recognised."""

import sys

if sys.platform == "darwin":
    from daemon.watch.fsevents import Note, Observing
else:
    from daemon.watch.inotify import Note, Observing

__all__ = ["Note", "Observing"]
