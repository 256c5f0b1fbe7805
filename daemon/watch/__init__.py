"""Watches the inbox: decides when to scan it and what to scan, and scans it. Other packages judge what was found.

A module is imported when a name of it is used first: verbs only scan, and a person waits for imports.
"""

from typing import TYPE_CHECKING

from daemon.first_use import import_on_first_use

if TYPE_CHECKING:
    from daemon.watch.coverage import Polled, reason, remedy
    from daemon.watch.scan import Scanner
    from daemon.watch.watch import HEALTH_SECONDS, MARKER, Health, Seen, Watch
else:
    __getattr__ = import_on_first_use(
        __name__,
        {
            "coverage": ["Polled", "reason", "remedy"],
            "scan": ["Scanner"],
            "watch": ["HEALTH_SECONDS", "MARKER", "Health", "Seen", "Watch"],
        },
    )


__all__ = [
    "HEALTH_SECONDS", "MARKER", "Health", "Polled", "Scanner", "Seen", "Watch", "reason", "remedy",
]  # fmt: skip
