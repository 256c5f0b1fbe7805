"""Makes a job's id from the time and the picture's name, if the sidecar asks for no id."""

import re
import secrets
import unicodedata
from datetime import UTC, datetime

#: A job id has at most 64 characters: 15 for the time, 8 random ones, two hyphens, and this many for the name.
_SLUG_LENGTH = 39
#: How letters are spelled that Unicode does not decompose into one of a to z and marks: Latin, Greek and Cyrillic ones, after
#: each of them its spelling. The spelling of other scripts depends on the language, so they are left out.
_SPELLINGS = """
æae œoe øo łl đd ðd þth ħh ıi ŋn ŧt ƒf əe
αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs τt υy φf χch ψps ωo
аa бb вv гg дd еe жzh зz иi кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch ыy эe юyu яya
іi єe ґg ђdj јj љlj њnj ћc џdz
"""
_SPELLED = str.maketrans({each[0]: each[1:] for each in _SPELLINGS.split()})


def slug(name: bytes) -> str:
    """A file name without its extension, in lower-case ASCII letters, digits and hyphens; `picture` if none of it remains."""
    stem = name.decode(errors="ignore").rsplit(".", 1)[0]
    letters = unicodedata.normalize("NFKD", stem.casefold()).translate(_SPELLED)
    plain = letters.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LENGTH].strip("-") or "picture"


def generated_id(name: bytes, now: datetime) -> str:
    """A new, unique id for a picture with this file name. `now` must have a time zone."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{slug(name)}-{secrets.token_hex(4)}"
