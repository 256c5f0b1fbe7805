"""Watches the inbox: decides when to scan it and what to scan, and scans it. Other packages judge what was found."""

from daemon.watch.coverage import Polled, reason, remedy
from daemon.watch.scan import Scanner
from daemon.watch.watch import HEALTH_SECONDS, MARKER, Health, Seen, Watch

__all__ = [
    "HEALTH_SECONDS", "MARKER", "Health", "Polled", "Scanner", "Seen", "Watch", "reason", "remedy",
]  # fmt: skip
