"""Watches the inbox: scanner, observer, health. It only ever says "scan again"."""

from daemon.watch.coverage import Polled, reason, remedy
from daemon.watch.scan import Scanner, entry_from
from daemon.watch.watch import HEALTH_SECONDS, MARKER, Health, Seen, Watch

__all__ = [
    "HEALTH_SECONDS", "MARKER", "Health", "Polled", "Scanner", "Seen", "Watch", "entry_from", "reason", "remedy",
]  # fmt: skip
