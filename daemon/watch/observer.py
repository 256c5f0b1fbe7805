"""The native observer of this system. What it takes to trust it: threads checked, overflows told, renames told apart."""

import sys

if sys.platform == "darwin":
    from daemon.watch.fsevents import Note, Observing
else:
    from daemon.watch.inotify import Note, Observing

__all__ = ["Note", "Observing"]
