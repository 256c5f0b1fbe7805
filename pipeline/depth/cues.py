"""Estimates depth without a model: figures stand on ground that recedes towards the horizon.

If `pipeline.depth.figures` finds figures, each figure gets the depth of its foot, and the background is put behind all figures.
If it finds none, only the ground is used. If two places are at the same height, the darker place is nearer.

The estimate rests on the ground plane. Darkness only decides where the plane says nothing or gives equal depths: windows, sky and
lamps are bright, and usually behind things. The cues were tested on the six sample pictures with true depth. The score is the
fraction of point pairs that are in the right order; a tie counts half. The plane alone scores 0.681 on average. With darkness it
scores 0.701: five pictures got better, one stayed equal, and none got worse. Other cues made some pictures worse and are not
used: height above the horizon (0.676), colour segments that stand on the ground (0.685, worse on two), the rules that the sides
are near (0.698, worse on two) or that the middle is near (0.658), saturation (0.682) and texture (0.678). Haze, defocus and
saliency, taken as depth, were no better than chance. Every result says that its depth was estimated without a model.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.commands import command
from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand
from pipeline.depth.depth_map import DepthMap, Disparity
from pipeline.depth.figures import finding
from pipeline.depth.source import Progress, Source
from pipeline.image.decode import Photo
from pipeline.image.filters import resize

HORIZON = 0.45  # fraction of the height, from the top, above which the plane says nothing; 0.4 to 0.5 measured best
DARKNESS = 0.15  # weight against the ramp's range: decides ties without overruling the ramp; 0.3 was no better
SPREAD = 1 / 64  # blur of the darkness, as a fraction of the longer side, so that patterns on things do not count
_ROWS = 256  # enough for a ramp: its steps are finer than any layer needs
_COLUMNS = 1024  # four times that; only strips have more, and blurring those would take minutes
BEHIND, BEFORE = 0.55, 0.65  # disparity of the nearest ground and of the farthest figure: a step that refining always sees
SAME_FOOT = 0.06  # of the height: figures whose feet are closer than this share a layer, because feet are not found more exactly


def read(rgb: NDArray[np.uint8], *, fetch: str | None, wanted: int | None = None) -> DepthMap:
    """Estimate the depth of a picture without a model.

    Args:
        rgb: uint8 (H, W, 3), upright.
        fetch: name of the model that the warning recommends; None if the estimate was asked for.
        wanted: how many layers the natural split should make; None if another split is used.

    Returns:
        The estimate. If figures are found: at most 512 pixels on the longer side, with cuts around the figures. Otherwise: at
        most 256 rows and 1,024 columns, in the picture's proportions unless it is more than four times as wide as high.
    """
    numbers = finding.find(rgb)
    count = int(numbers.max())
    values, cuts = _standing(ground(rgb, numbers.shape), numbers) if count else (ground(rgb, ground_shape(rgb.shape)), ())
    note = _in_words(count, len(cuts), wanted, is_asked_for=fetch is None)
    return DepthMap(
        values=values,
        valid=None,
        provenance=Depth(source="heuristic", polarity="disparity", valid=1.0, figures=count),
        warnings=(f"{note} For real layers run: {command('models', 'fetch', fetch)}" if fetch else note,),
        cuts=cuts,
        note=note,
    )


def ground_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The size at which the ground alone is estimated, for a picture of shape (H, W, …)."""
    rows = min(shape[0], _ROWS)
    return rows, min(max(1, round(shape[1] * rows / shape[0])), _COLUMNS)


def ground(rgb: NDArray[np.uint8], shape: tuple[int, ...]) -> Disparity:
    """The ground plane plus a little darkness, which decides where the plane gives equal depths: float32 of `shape`, 0 to 1."""
    rows, columns = shape
    values = ramp(rows, columns) + DARKNESS * darkness(resize(rgb, (rows, columns), cv2.INTER_AREA))
    return (values / np.float32(1.0 + DARKNESS)).astype(np.float32)


def _standing(plane: Disparity, numbers: NDArray[np.int32]) -> tuple[Disparity, tuple[float, ...]]:
    """Stand figures on the ground.

    A figure has the depth of its foot. All of the ground is put behind all figures, although the ground in front of their feet is
    really nearer. This keeps the ground in one piece, and each figure too. Within a figure, disparity varies a little: it rises
    with the ground plane.

    Args:
        plane: float32 (h, w), 0 to 1.
        numbers: int32 (h, w), 1 to n for figures, 0 elsewhere; n at least 1.

    Returns:
        Disparity float32 (h, w), and the cuts between ground and figures and between figures, the most important first.
    """
    feet = [(_foot(numbers == number), number) for number in range(1, int(numbers.max()) + 1)]
    rows: list[list[int]] = []
    last = -1.0
    for foot, number in sorted(feet):
        if foot - last >= SAME_FOOT:
            rows.append([])
            last = foot
        rows[-1].append(number)
    values = (BEHIND * plane).astype(np.float32)
    step = (1.0 - BEFORE) / len(rows)
    for place, row in enumerate(rows):
        here = np.isin(numbers, row)
        values[here] = BEFORE + step * (place + 0.5 + 0.5 * plane[here])
    return values, ((BEHIND + BEFORE) / 2, *(BEFORE + step * (place + 0.25) for place in range(1, len(rows))))


def _foot(figure: NDArray[np.bool_]) -> float:
    """Where a figure stands, as a fraction of the height from the top. The lowest 2 % of its pixels are ignored as outliers."""
    rows = np.sort(np.nonzero(figure)[0])
    return float(rows[int(0.98 * (rows.size - 1))] + 0.5) / len(figure)


def _in_words(count: int, cuts: int, wanted: int | None, *, is_asked_for: bool) -> str:
    """What the job's status and the pages say about the estimate."""
    if not count:
        how = "lower in the picture counts as nearer"
    else:
        how = f"{'one figure was' if count == 1 else f'{count} figures were'} seen, before one background"
    why = "as asked for" if is_asked_for else "because none is installed"
    sentence = f"The depth was estimated without a model ({how}), {why}."
    if cuts and wanted is not None and cuts + 1 < wanted:
        empty = wanted - cuts - 1
        are_empty = "1 layer is empty" if empty == 1 else f"{empty} layers are empty"
        sentence += f" The estimate tells {cuts + 1} depths apart, not the {wanted} that were asked for, so {are_empty}."
    return sentence


def ramp(rows: int, columns: int) -> Disparity:
    """The disparity of a ground plane: 0 from the top edge to `HORIZON`, then rising evenly to 1 at the lower edge.

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

    wanted = job.spec.num_layers if job.spec.split == "natural" else None
    # `auto` comes here only if no model is installed.
    fetch = weights.catalogue(*job.model_lists).default_depth if job.spec.depth == "auto" else None
    return read(picture.rgb, fetch=fetch, wanted=wanted)


SOURCE = Source(in_words="estimated without a model", read=_guess, find=_guess)
