"""Proposes masks of possible figures: makes several first guesses, and cuts out each of them by colour.

A guess is where a figure is likely, or one of the usual places of a subject. GrabCut (C. Rother et al., "GrabCut: interactive
foreground extraction using iterated graph cuts", 2004) turns each guess into a mask. `pipeline.depth.figures.finding` decides
which of the masks is a figure, if any.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.depth.figures.colours import distinct, mixture
from pipeline.depth.figures.likelihood import likely, plausible
from pipeline.depth.figures.saliency import border_contrast, focus
from pipeline.depth.figures.superpixels import patches

ROUNDS = 1
"""Rounds of GrabCut. On 70 pictures with figures, the results of one, two and three rounds have mean overlaps of 0.59, 0.58 and
0.58; as JPEGs, those of one round change no more than the others. Each round takes as long as the first."""
UNLIKELY, LIKELY = 0.06, 0.88
"""Where the likelihood of a figure is below or above this, there certainly is none or one."""
SOFT = 2.0
"""Sigma in pixels by which the likelihood is blurred, because patches end beside the edges of things."""
FEWEST = 64
"""A guess needs at least this many pixels inside and as many outside: both sides need a colour model."""
SMOOTH = 0.012
"""Radius of the smoothing, as a fraction of the longer side. Thinner parts of a figure are dropped; narrower gaps are closed."""
LARGEST_HOLE = 0.1
"""A hole of up to this fraction of the figure's size belongs to the figure: a face and a coat surround a shirt."""
SECOND = 0.25
"""A separate part is a figure of its own if it has at least this fraction of the largest part's size; smaller ones are crumbs."""

GRAIN = 3
"""Levels of grain that are added to even areas for GrabCut. Without it, every pixel there costs the same on either side of the
cut, and the search for the minimum cut takes minutes: 100 s for a flat picture, 30 s for one of two colours. With grain, the
search takes as long as for a photo."""

Mask = NDArray[np.bool_]


class Evidence:
    """Evidence for figures in a small picture.

    Attributes:
        rgb: uint8 (h, w, 3).
        contrast: float32 (h, w), 0 to 1, the contrast to everything that is connected to the edge of the picture.
        standing: the same, but the lower edge does not count as an edge of the picture.
        focus: float32 (h, w), 0 to 1.
        likelihood: float32 (h, w), 0 to 1, how likely each pixel belongs to a figure.
        plausible: bool (h, w), the most plausible figure by that likelihood.
    """

    def __init__(self, rgb: NDArray[np.uint8], larger: NDArray[np.uint8]) -> None:
        """Gather the evidence. Focus is measured in `larger`, the same view with more pixels; the rest is measured in `rgb`."""
        superpixels = patches(rgb)
        self.rgb = rgb
        self.contrast = border_contrast(superpixels, bottom=True)
        self.standing = border_contrast(superpixels, bottom=False)
        self.focus = focus(larger, (rgb.shape[0], rgb.shape[1]))
        likelihood = likely(superpixels, self.contrast, self.standing, self.focus)
        blurred = cv2.GaussianBlur(likelihood[superpixels.labels].astype(np.float32), (0, 0), SOFT)
        self.likelihood = np.asarray(blurred, np.float32).reshape(rgb.shape[:2])
        self.plausible: Mask = plausible(likelihood, superpixels.sizes())[superpixels.labels]


def proposals(rgb: NDArray[np.uint8], larger: NDArray[np.uint8]) -> tuple[list[Mask], Evidence]:
    """Cut out candidates for figures.

    Args:
        rgb: uint8 (h, w, 3), the picture that is searched.
        larger: the same view with more pixels, for `Evidence`.

    Returns:
        Masks bool (h, w), each with its holes filled and without crumbs; some may be empty or nonsense. And the evidence, from
        which some of them began. The same picture gives the same masks on any number of threads.
    """
    portrait, low = _usual_places(rgb.shape[0], rgb.shape[1])
    seen = distinct(rgb)
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
        # The evidence is begun first, so that no thread waits for work that has not begun.
        gathered = pool.submit(Evidence, rgb, larger)
        cuts = [
            pool.submit(lambda: whole(cut(seen, portrait))),
            pool.submit(lambda: whole(cut(seen, low))),
            pool.submit(lambda: whole(cut(seen, _likely(gathered.result())))),
        ]
    return [each.result() for each in cuts], gathered.result()


def cut(rgb: NDArray[np.uint8], start: NDArray[np.uint8]) -> Mask:
    """Run GrabCut.

    Args:
        rgb: uint8 (h, w, 3).
        start: uint8 (h, w) of OpenCV's GC_ values.

    Returns:
        bool (h, w); all False if there are too few pixels inside or outside for a colour model.
    """
    inside = (start == cv2.GC_FGD) | (start == cv2.GC_PR_FGD)
    if min(int(inside.sum()), int((~inside).sum())) < FEWEST:
        return np.zeros(start.shape, np.bool_)
    ours, theirs = mixture(rgb[inside]), mixture(rgb[~inside])
    mask, _, _ = cv2.grabCut(grained(rgb), start.copy(), (0, 0, 1, 1), theirs, ours, ROUNDS, cv2.GC_EVAL)
    found = np.asarray(mask, np.uint8).reshape(start.shape)
    figure: Mask = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    return figure


def cut_by_colours_of(small: NDArray[np.uint8], mask: Mask, rgb: NDArray[np.uint8], start: NDArray[np.uint8]) -> Mask:
    """Cut a picture once, by the colours that a mask of a smaller version has inside and outside.

    Args:
        small: uint8 (h, w, 3), the smaller version.
        mask: bool (h, w), the figure in it.
        rgb: uint8 (H, W, 3).
        start: uint8 (H, W) of OpenCV's GC_ values.

    Returns:
        bool (H, W); all False if there are too few pixels inside or outside for a colour model.
    """
    if min(int(mask.sum()), int((~mask).sum())) < FEWEST:
        return np.zeros(start.shape, np.bool_)
    ours, theirs = mixture(small[mask]), mixture(small[~mask])
    found, _, _ = cv2.grabCut(grained(rgb), start.copy(), (0, 0, 1, 1), theirs, ours, 1, cv2.GC_EVAL_FREEZE_MODEL)
    values = np.asarray(found, np.uint8).reshape(start.shape)
    figure: Mask = (values == cv2.GC_FGD) | (values == cv2.GC_PR_FGD)
    return figure


def grained(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add a little grain to even areas, the same at every call; the rest is unchanged. uint8 (h, w, 3) → uint8 (h, w, 3)."""
    around = np.ones((3, 3), np.uint8)
    even = (cv2.dilate(rgb, around) == cv2.erode(rgb, around)).all(axis=2, keepdims=True)
    grain = np.random.default_rng(0).integers(0, GRAIN, rgb.shape, np.uint8, endpoint=True)
    # Make room for the grain first: if it were clipped at white, white areas would stay even.
    return np.where(even, np.minimum(rgb, np.uint8(255 - GRAIN)) + grain, rgb)


def whole(mask: Mask) -> Mask:
    """Fill the holes of a figure, smooth its outline, and drop its crumbs: bool (h, w) → bool (h, w)."""
    height, width = mask.shape
    radius = max(1, round(SMOOTH * max(height, width)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    smooth = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_CLOSE, disc)
    smooth = np.asarray(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, disc), np.uint8).reshape(height, width).copy()
    most = LARGEST_HOLE * int(smooth.sum()) + 0.01 * smooth.size
    _, holes, boxes, _ = cv2.connectedComponentsWithStats(1 - smooth, connectivity=4)
    for number, (x, y, w, h, size) in enumerate(boxes[1:], start=1):
        if x > 0 and y > 0 and x + w < width and y + h < height and size < most:
            smooth[holes == number] = 1
    parts, sizes = components(smooth.view(np.bool_))
    if len(sizes) < 2:
        return smooth.view(np.bool_)
    large = np.concatenate([[False], sizes >= SECOND * sizes.max()])
    return large[parts]


def components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the connected parts of a mask, and number them from 1.

    Returns:
        int32 (h, w), the number of the part that each pixel belongs to, 0 outside the mask; int32 (n,), the sizes in pixels.
    """
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    return np.asarray(parts, np.int32).reshape(mask.shape), np.asarray(boxes, np.int32)[1:, cv2.CC_STAT_AREA]


def _usual_places(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """First guesses for GrabCut that no evidence is needed for: a portrait, a thing that stands low."""
    x, y = _fractions(height, width)
    head = _ellipse(x, y, (0.5, 0.45), (0.2, 0.33))
    shoulders = _ellipse(x, y, (0.5, 1.05), (0.42, 0.45))
    portrait = _unsure(head | shoulders, never=(y < 0.03) | ((y < 0.6) & (np.minimum(x, 1 - x) < 0.06)))
    low = _unsure(_ellipse(x, y, (0.5, 0.62), (0.3, 0.34)), never=(y < 0.05) | (np.minimum(x, 1 - x) < 0.03))
    return portrait, low


def _likely(evidence: Evidence) -> NDArray[np.uint8]:
    """A first guess: the most plausible figure by the evidence."""
    start = _unsure(evidence.plausible)
    start[evidence.likelihood < UNLIKELY] = cv2.GC_BGD
    start[evidence.plausible & (evidence.likelihood > LIKELY)] = cv2.GC_FGD
    return start


def _fractions(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the pixels' centres are, x (1, w) and y (h, 1), as fractions of the width and of the height."""
    return (np.arange(width) + 0.5)[None, :] / width, (np.arange(height) + 0.5)[:, None] / height


def _unsure(inside: Mask, never: Mask | None = None) -> NDArray[np.uint8]:
    """A start for GrabCut: `inside` is probably the figure, `never` is certainly not, and everything else is probably not."""
    start = np.where(inside, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
    if never is not None:
        start[np.broadcast_to(never, start.shape) & ~inside] = cv2.GC_BGD
    return start


def _ellipse(x: NDArray[np.float64], y: NDArray[np.float64], centre: tuple[float, float], radii: tuple[float, float]) -> Mask:
    inside: Mask = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1.0
    return inside
