"""The journal's record about an old job of which only the pictures are kept."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The result of an ended job was removed because of its age. Its folder has source/ and status.json."""

    event: Literal["pruned"] = "pruned"
    job: str
