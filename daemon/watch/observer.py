"""The native observer for this system. It checks its threads, reports lost events, and recognises renames."""

import sys

if sys.platform == "darwin":
    from daemon.watch.fsevents import Note, Observing
else:
    from daemon.watch.inotify import Note, Observing

__all__ = ["Note", "Observing"]
