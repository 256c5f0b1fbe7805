"""Makes a job's id from the time and the picture's name, if the sidecar asks for no id."""

import re
import secrets
import unicodedata
from datetime import UTC, datetime

#: A job id has at most 64 characters: 15 for the time, 8 random ones, two hyphens, and this many for the name.
_SLUG_LENGTH = 39


def slug(name: bytes) -> str:
    """A file name without its extension, in lower-case ASCII letters, digits and hyphens; `picture` if none of it remains."""
    stem = name.decode(errors="ignore").rsplit(".", 1)[0]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LENGTH].strip("-") or "picture"


def generated_id(name: bytes, now: datetime) -> str:
    """A new, unique id for a picture with this file name. `now` must have a time zone."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{slug(name)}-{secrets.token_hex(4)}"
