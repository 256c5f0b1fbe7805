"""Depth estimated without a model: lower in the picture is nearer, and at equal height the darker place is nearer.

The ground plane carries the estimate. Darkness (windows, sky and lamps are usually behind things) only decides where the plane
says nothing or gives a tie. The score is the fraction of point pairs in the right order on the six sample pictures with true
depth, with ties counting half: 0.681 on average for the plane alone, 0.701 with darkness; better on five pictures, equal on
one, worse on none. Other cues made some pictures worse and are not used: height above the horizon (0.676), standing on the
ground by colour segments (0.685, worse on two), nearness of the sides (0.698, worse on two) or of the middle (0.658),
saturation (0.682) and texture (0.678). Haze, defocus and saliency were no better than chance. Every result says that its depth
was estimated without a model.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand
from pipeline.depth.depth_map import DepthMap, Disparity
from pipeline.depth.source import Progress, Source
from pipeline.image.decode import Photo
from pipeline.image.filters import resize

HORIZON = 0.45  # fraction of the height, from the top, above which nothing is known; 0.4 to 0.5 measured best
DARKNESS = 0.15  # of the ramp's range: decides ties without overruling the ramp; 0.3 was no better
SPREAD = 1 / 64  # of the longer side: the darkness of things, not of their patterns
_ROWS = 256  # enough for a ramp: its steps are finer than any layer needs
_COLUMNS = 1024  # four times that; only strips have more, and blurring those would take minutes


def read(rgb: NDArray[np.uint8], *, fetch: str) -> DepthMap:
    """Estimate the depth of a picture without a model.

    Args:
        rgb: uint8 (H, W, 3), upright.
        fetch: name of the model that the warning recommends.

    Returns:
        The estimate, at most 256 rows and 1,024 columns, in the picture's proportions up to four times as wide as high.
    """
    height, width = rgb.shape[:2]
    rows = min(height, _ROWS)
    columns = min(max(1, round(width * rows / height)), _COLUMNS)
    values = ramp(rows, columns) + DARKNESS * darkness(resize(rgb, (rows, columns), cv2.INTER_AREA))
    return DepthMap(
        values=(values / np.float32(1.0 + DARKNESS)).astype(np.float32),
        valid=None,
        provenance=Depth(source="heuristic", polarity="disparity", valid=1.0),
        warnings=(
            "The depth was estimated without a model (lower in the picture counts as nearer), because none is installed. "
            f"For real layers run: multiplane models fetch {fetch}",
        ),
    )


def ramp(rows: int, columns: int) -> Disparity:
    """Disparity of a ground plane: 0 down to `HORIZON`, then rising evenly to 1 at the lower edge.

    On a plane seen by a level camera, disparity is linear in the distance below the horizon.

    Args:
        rows: height.
        columns: width.

    Returns:
        float32 (rows, columns), sampled at pixel centres.
    """
    at = (np.arange(rows, dtype=np.float32) + 0.5) / rows
    rise = np.clip((at - HORIZON) / (1.0 - HORIZON), 0.0, 1.0)
    return np.broadcast_to(rise[:, None], (rows, columns)).astype(np.float32)


def darkness(rgb: NDArray[np.uint8]) -> Disparity:
    """How dark the surroundings of each pixel are: uint8 (h, w, 3) → float32 (h, w), 0 white to 1 black."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32).reshape(rgb.shape[:2])
    soft = cv2.GaussianBlur(grey, (0, 0), max(1.0, SPREAD * max(grey.shape)), borderType=cv2.BORDER_REPLICATE)
    return (1.0 - np.asarray(soft, np.float32).reshape(grey.shape) / 255.0).astype(np.float32)


def _guess(picture: Photo, job: JobCommand, _progress: Progress) -> DepthMap:
    from pipeline import weights

    return read(picture.rgb, fetch=weights.catalogue(*job.model_lists).default_depth)


SOURCE = Source(in_words="guessed from the ground plane", read=_guess, find=_guess, is_guess=True)
