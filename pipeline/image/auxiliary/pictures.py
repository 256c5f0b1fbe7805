"""Defines the pictures that a phone stores beside a photo: its depth, and mattes that show where people and sky are."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

INVERSE_Z, DISPARITY, Z = 0, 1, 2
"""Representation types (ISO/IEC 23008-12, 6.11.3); 3 (non-uniform) preserves only the order."""

#: What a matte shows, by the word that its type contains after Apple's names for them, in lower case. The order is how much of a
#: photo's borders each decides.
MATTES = {
    "portraiteffectsmatte": "portrait",
    "semantichairmatte": "hair",
    "semanticskinmatte": "skin",
    "semanticskymatte": "sky",
}


@dataclass(frozen=True, eq=False)
class DepthImage:
    """An auxiliary depth picture as it is stored.

    Attributes:
        samples: uint8 or uint16 (h, w).
        bits: how many bits of each sample are used.
        metadata: the depth representation information (ISO/IEC 23008-12, 6.11.3): `representation_type`, `d_min`, `d_max`,
            `z_near`, `z_far`, each only if present. Other carriers' bounds are given in the same terms.
    """

    samples: NDArray[Any]
    bits: int
    metadata: dict[str, Any]


def matte_shown(kind: str) -> str | None:
    """What a picture of this auxiliary type shows; None if it is no matte that is used."""
    return next((shown for word, shown in MATTES.items() if word in kind.lower()), None)
