"""Figures in pictures as people have them: python -m tests.benchmarks steadiness [PICTURE…].

The pictures with known figures (`figure_pictures`) are changed in ways that a viewer hardly sees, or does not mind: stored as
JPEG, made smaller and larger, with grain, without colour. For each way, the table gives the median overlap (IoU) of the layer
that fits the figure best, the median share of the figure in one layer, and how many pictures are lost: the figure is whole in
the unchanged picture (`WHOLE`) but torn in the changed one (`TORN`). Then it names the worst way for each picture.
"""

import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.depth import cues
from tests.benchmarks.depth import figure_pictures
from tests.benchmarks.depth.bench_figures import labels, whole

Picture = NDArray[np.uint8]
UNCHANGED = "PNG"
JPEG = {f"JPEG {quality}": quality for quality in (95, 92, 85, 75, 60)}
SIZES = {"half size": 0.5, "1.5 times": 1.5}
GRAIN = 3.0
"""Standard deviation in levels."""
WAYS = (UNCHANGED, *JPEG, *SIZES, "grain", "grey")
WHOLE, TORN = 0.9, 0.5
"""A figure is whole if at least this share of it lies in one layer, and torn if less than this does."""
SHARE_BAR = 0.90
"""The least median share in each way that keeps the colours."""


def changed(rgb: Picture, way: str) -> Picture:
    """A picture changed in one of the `WAYS`."""
    if way in JPEG:
        _, stored = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG[way]])
        return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8).copy()
    if way in SIZES:
        how = cv2.INTER_AREA if SIZES[way] < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(rgb, None, fx=SIZES[way], fy=SIZES[way], interpolation=how), np.uint8)
    if way == "grain":
        noise = np.random.default_rng(0).normal(0, GRAIN, rgb.shape)
        return np.clip(np.rint(rgb + noise), 0, 255).astype(np.uint8)
    if way == "grey":
        return np.asarray(cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    return rgb


def main() -> None:
    """Print the tables; fail below the bar."""
    pictures = [*figure_pictures.photos(), *figure_pictures.made()]
    wanted = sys.argv[2:] if sys.argv[1:2] == ["steadiness"] else []
    pictures = [each for each in pictures if not wanted or each[0] in wanted]
    rows = {way: [_measured(rgb, figure, way) for _, rgb, figure in pictures] for way in WAYS}
    shares = {way: np.array([share for share, _ in rows[way]]) for way in WAYS}
    overlaps = {way: np.array([overlap for _, overlap in rows[way]]) for way in WAYS}

    print(f"{len(pictures)} pictures{'':12s} {'median share':>14s} {'median IoU':>12s} {'mean IoU':>10s}   lost")
    for way in WAYS:
        lost = [
            name
            for (name, _, _), was, now in zip(pictures, shares[UNCHANGED], shares[way], strict=True)
            if was >= WHOLE > TORN > now
        ]
        print(
            f"  {way:24s} {np.median(shares[way]):12.2f} {np.median(overlaps[way]):12.2f} {overlaps[way].mean():10.2f}"
            f"   {len(lost)}{': ' if lost else ''}{', '.join(lost)}"
        )
    print("picture                      share   IoU   worst way        share   IoU")
    for place, (name, _, _) in enumerate(pictures):
        worst = min(WAYS, key=lambda way: overlaps[way][place])
        print(
            f"  {name:26s} {shares[UNCHANGED][place]:5.2f} {overlaps[UNCHANGED][place]:5.2f}   {worst:14s}"
            f" {shares[worst][place]:7.2f} {overlaps[worst][place]:5.2f}"
        )
    below = [f"{way}: {np.median(shares[way]):.2f}" for way in WAYS if way != "grey" and np.median(shares[way]) < SHARE_BAR]
    if below:
        raise SystemExit(f"steadiness: the median share is below {SHARE_BAR} ({', '.join(below)})")


def _measured(rgb: Picture, figure: NDArray[np.bool_], way: str) -> tuple[float, float]:
    """Share of the figure in one layer, and IoU of the layer that fits best, in a picture changed in one way."""
    seen = changed(rgb, way)
    there = cv2.resize(figure.view(np.uint8), seen.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    return whole(labels(seen, cues.read(seen, fetch="")), there)


if __name__ == "__main__":
    main()
