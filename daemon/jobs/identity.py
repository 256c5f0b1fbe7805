"""The name of a job: the sidecar's own id, or one made from the time and the picture's name."""

import re
import secrets
import unicodedata
from datetime import UTC, datetime

#: A job id has at most 64 characters: 15 of time, 8 of chance, two hyphens, and this many of the name.
_SLUG_LENGTH = 39


def slug(name: bytes) -> str:
    """Lower-case ASCII letters, digits and hyphens that remind of a file name; `picture` where nothing is left of it."""
    stem = name.decode(errors="ignore").rsplit(".", 1)[0]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LENGTH].strip("-") or "picture"


def generated_id(name: bytes, now: datetime) -> str:
    """A new id; no two are alike. `now` with its time zone."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{slug(name)}-{secrets.token_hex(4)}"
