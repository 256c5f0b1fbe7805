"""Watches the inbox: decides when to scan it and what to scan, and scans it. Other packages judge what was found.

A module is imported when a name of it is used first: verbs only scan, and a person waits for imports.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.watch.coverage import Polled, reason, remedy
    from daemon.watch.scan import Scanner
    from daemon.watch.watch import HEALTH_SECONDS, MARKER, Health, Seen, Watch
else:
    _MODULES = {"Polled": "coverage", "Scanner": "scan", "reason": "coverage", "remedy": "coverage"}

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'watch')}"), name)


__all__ = [
    "HEALTH_SECONDS", "MARKER", "Health", "Polled", "Scanner", "Seen", "Watch", "reason", "remedy",
]  # fmt: skip
