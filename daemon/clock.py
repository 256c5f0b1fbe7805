"""The wall clock, as it is written down."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as in status.json and the journal: 2026-01-31T12:34:56.789Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now() -> str:
    """This moment, as `rfc3339` writes it."""
    return rfc3339(datetime.now(UTC))
