"""Converts times of the wall clock to text, for files and for people, and back."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """A time in the format that status.json and the journal use, in UTC with milliseconds: 2026-01-31T12:34:56.789Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def written(seconds: float) -> str:
    """A time in seconds since 1970, in the format of `rfc3339`."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def seconds(moment: str) -> float:
    """An RFC 3339 time, as seconds since 1970.

    Raises:
        ValueError: the text is not such a time.
    """
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
