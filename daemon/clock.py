"""The wall clock as text: for files, and for people."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as in status.json and the journal: 2026-01-31T12:34:56.789Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def written(seconds: float) -> str:
    """Seconds since 1970 in the format of `rfc3339`."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def seconds(moment: str) -> float:
    """Seconds since 1970 for an RFC 3339 time."""
    return datetime.fromisoformat(moment).timestamp()


def now() -> str:
    """The current time in the format of `rfc3339`."""
    return rfc3339(datetime.now(UTC))


def local(moment: str) -> str:
    """An RFC 3339 time in the local time zone, to the second, with its date."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def hour(moment: str) -> str:
    """An RFC 3339 time of today in the local time zone, to the second, without its date."""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
