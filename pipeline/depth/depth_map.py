"""Defines what every depth source returns, and turns raw numbers into disparity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from pipeline.layers.distances import Distances

Disparity = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth of a picture at its source's own resolution.

    Attributes:
        values: disparity, float32 (h, w), 0 far to 1 near, finite; 0 where `valid` is False.
        valid: bool (h, w), False where the source measured nothing; None if it measured everywhere.
        provenance: what goes into the manifest.
        warnings: sentences for people.
        cuts: disparities that lie between things which the source knows to be separate, the most important first. The natural
            split cuts only there, so that no thing is cut in two. If there are none, the split finds its own cuts.
        distances: what the values mean in space; None if the source only knows what is nearer than what.
        note: a sentence for the top of the preview page; None for none. It has no command in it: the page may be sent to people
            on whose machines the command would not work.
    """

    values: Disparity
    valid: Mask | None
    provenance: Depth
    warnings: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()
    distances: Distances | None = None
    note: str | None = None


def normalised(raw: NDArray[Any], valid: Mask, *, outliers: float = 0.0) -> Disparity:
    """Stretch raw disparity to 0…1.

    Args:
        raw: (h, w), larger is nearer; any values where `valid` is False.
        valid: bool (h, w).
        outliers: fraction of the valid values that is clipped at each end. 0 stretches exactly from minimum to maximum, so that
            distances between values keep their proportions.

    Returns:
        float32 (h, w), 0 where invalid; 0 everywhere if all valid values are equal or there are none.
    """
    return stretched(raw, valid, outliers=outliers)[0]


def stretched(raw: NDArray[Any], valid: Mask, *, outliers: float = 0.0) -> tuple[Disparity, float, float]:
    """The same as `normalised`, and the raw disparities that became 0 and 1; both are 0 if nothing is valid."""
    values = np.zeros(raw.shape, np.float32)
    readings = raw[valid].astype(np.float64)
    if readings.size == 0:
        return values, 0.0, 0.0
    if outliers > 0.0:
        far, near = (float(each) for each in np.quantile(readings, (outliers, 1.0 - outliers)))
    else:
        far, near = float(readings.min()), float(readings.max())
    if near > far:
        values[valid] = np.clip((readings - far) / (near - far), 0.0, 1.0)
    return values, far, near


def inverse(distance: NDArray[Any], valid: Mask) -> NDArray[np.float64]:
    """Disparity 1/d of distances in any unit; 0 where invalid. Valid distances must be positive."""
    disparity = np.zeros(distance.shape, np.float64)
    disparity[valid] = 1.0 / distance[valid].astype(np.float64)
    return disparity
