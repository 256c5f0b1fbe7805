"""The wall clock, as it is written down, and as it is shown to people."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as in status.json and the journal: 2026-01-31T12:34:56.789Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def written(seconds: float) -> str:
    """Seconds since 1970 as `rfc3339` writes them."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def seconds(moment: str) -> float:
    """Seconds since 1970 of an RFC 3339 time."""
    return datetime.fromisoformat(moment).timestamp()


def now() -> str:
    """This moment, as `rfc3339` writes it."""
    return rfc3339(datetime.now(UTC))


def local(moment: str) -> str:
    """An RFC 3339 time as the clock on the wall shows it, to the second."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def hour(moment: str) -> str:
    """An RFC 3339 time of today as the clock on the wall shows it, to the second."""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
