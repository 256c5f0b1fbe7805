"""Fills large holes with copies of their surroundings, from coarse to fine.

At the coarsest scale, strong lines grow into the hole (`structure`). Each finer scale starts from the sources of the one before,
improves them (C. Barnes et al., "PatchMatch", 2009), and lets overlapping copies agree (Y. Wexler, E. Shechtman, M. Irani,
"Space-Time Completion of Video", 2007). Sources at the same height, and sources with the colour of a smooth fill, are preferred.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import channels, resize
from pipeline.layers.plates.membrane import push_pull
from pipeline.layers.plates.patches import SIDE, describe, nearest, touching, vote, whole
from pipeline.layers.plates.structure import grow

KNOWN = 0.99
"""A cell with a weight above this counts as known for certain."""
COARSEST = 100
"""Cells on the longer side of the grid on which lines are grown: just enough to show the lines."""
COARSEST_AT_ALL = 200
"""If a coarser grid would have too few whole patches, the longer side may have up to this many cells. With more, growing takes
too long."""
LEAST_SOURCES = 50
"""With fewer whole patches than this, there is nothing to choose from."""
ROUNDS = 2
"""Searches and votes at each scale but the finest; more change little."""
FINEST_ROUNDS = 1
"""The same at the finest, which has most of the cells: a second round changes no measure there beyond its noise."""
HEIGHT_WEIGHT = 0.12
"""Penalty for a source at another height: levels per 255th of the picture's height, for every pixel of the patch."""
TONE_WEIGHT = 0.4
"""Weight in the same penalty: how much it counts if the smooth fill has different colours at a cell and at its source."""
TONE_SCALE = 0.04
"""Blur of the smooth fill, as a fraction of the longer side: it should give brightness and colour, not content."""
TOGETHER = 0.5
"""Discount for a source that continues the sources of all eight neighbours: whole areas are copied, not crumbs."""
GRAIN = 250.0
"""Squared levels by which patches differ through noise alone. Below that, only the discount counts."""
SETTLINGS = 3
"""Rounds in which cells adopt their neighbours' sources."""
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
REACHES = (6, 20)
"""Random sources are tried up to these distances: the longer side divided by each of these numbers, then 4 cells and 1 cell."""
SEED = 20240


@dataclass(frozen=True)
class Completion:
    """A filled picture, and where it was copied from.

    Attributes:
        colour: float32 (h, w, 3), the picture with its hole filled by votes of the copies, slightly blurred.
        hole: bool (h, w), what was filled.
        source: int32 (h, w), flat index of the source cell that each cell of the hole is copied from. The whole patch around a
            source is known.
    """

    colour: NDArray[np.float32]
    hole: NDArray[np.bool_]
    source: NDArray[np.int32]


def complete(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> Completion | None:
    """Fill what is unknown with copies of what is known.

    The same input always gives the same output: random choices use a fixed seed.

    Args:
        colour: float32 (h, w, 3), anything where the weight is 0.
        weight: float32 (h, w), the fraction of each cell that is known, 0 to 1.

    Returns:
        The completion; None if nothing is unknown, or too little is known to copy from.
    """
    scales = [(colour, weight)]
    while max(scales[-1][1].shape) > COARSEST:
        coarser = _halved(*scales[-1])
        if np.count_nonzero(whole(coarser[1] > KNOWN)) < LEAST_SOURCES:
            break
        scales.append(coarser)
    known = scales[-1][1] > KNOWN
    if max(known.shape) > COARSEST_AT_ALL or known.all() or np.count_nonzero(whole(known)) < LEAST_SOURCES:
        return None
    chance = np.random.default_rng(SEED)
    done: Completion | None = None
    for seen, share in reversed(scales):
        done = _at_scale(seen, share, done, chance, FINEST_ROUNDS if share is weight else ROUNDS)
    return done


def _halved(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    half = (weight.shape[0] + 1) // 2, (weight.shape[1] + 1) // 2
    product = resize(colour * channels(weight), half, cv2.INTER_AREA)
    mass = resize(weight, half, cv2.INTER_AREA)
    return product / channels(np.maximum(mass, np.float32(1e-6))), mass


def _at_scale(
    colour: NDArray[np.float32],
    weight: NDArray[np.float32],
    coarser: Completion | None,
    chance: np.random.Generator,
    rounds: int,
) -> Completion:
    """Complete one scale, starting from the coarser one or from nothing."""
    height, width = weight.shape
    hole = weight <= KNOWN
    sources = whole(~hole)
    snapped = nearest(sources)
    certain = np.where(hole, np.float32(0), np.float32(1))
    smooth = push_pull(colour * channels(certain), certain)
    tone = np.asarray(cv2.GaussianBlur(smooth, (0, 0), TONE_SCALE * max(height, width)), np.float32)
    if coarser is None:
        picture, copied = grow(colour, hole, sources, tone)
        source = snapped.reshape(-1)[copied]
    else:
        source = snapped.reshape(-1)[_finer(coarser.source, (height, width))]
        picture = np.where(hole[..., None], resize(coarser.colour, (height, width), cv2.INTER_LINEAR), colour)
        # The sources are better than the enlarged picture: what they copy is sharp.
        picture = vote(picture, hole, source, np.where(touching(hole), np.float32(1), np.float32(np.inf)))
    context = np.empty((height, width, 4), np.float32)
    context[..., 0] = np.arange(height, dtype=np.float32)[:, None] * np.float32(HEIGHT_WEIGHT * SIDE * 255 / height)
    context[..., 1:] = tone * np.float32(TONE_WEIGHT * SIDE)
    targets = np.flatnonzero(touching(hole)).astype(np.int32)
    for _ in range(rounds):
        source, cost = _search(describe(picture, context), targets, source, snapped, chance)
        picture = vote(picture, hole, source, cost)
    return Completion(picture, hole, source)


def _finer(source: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    """The same copies on a grid with half the step: flat indices there, int32 `shape`."""
    (height, width), (rows, columns) = shape, source.shape
    y, x = np.mgrid[:height, :width].astype(np.int32)
    above, left = np.minimum(y // 2, rows - 1), np.minimum(x // 2, columns - 1)
    down, across = np.divmod(source[above, left], np.int32(columns))
    down, across = down * 2 + y - 2 * above, across * 2 + x - 2 * left
    finer: NDArray[np.int32] = np.minimum(down, height - 1) * np.int32(width) + np.minimum(across, width - 1)
    return finer


def _search(
    described: NDArray[np.float32],
    targets: NDArray[np.int32],
    source: NDArray[np.int32],
    snapped: NDArray[np.int32],
    chance: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find better sources: try those next to the neighbours' sources, then some random ones, then the neighbours' again.

    Args:
        described: float32 (h · w, c), as from `describe`.
        targets: int32 (n,), the cells that need a source.
        source: int32 (h, w), their current sources.
        snapped: int32 (h, w), for each cell the nearest one that may be a source.
        chance: the random generator.

    Returns:
        The sources and their costs; the cost is infinite where there is no target.
    """
    height, width = source.shape
    rows, columns = np.divmod(targets, np.int32(width))
    wanted = described[targets]
    allowed = snapped.reshape(-1)
    around = np.stack(
        [
            np.clip(rows + down, 0, height - 1) * np.int32(width) + np.clip(columns + across, 0, width - 1)
            for down, across in NEIGHBOURS
        ]
    )
    apart = around - targets
    halves = [np.flatnonzero((rows + columns) % 2 == odd) for odd in (0, 1)]

    def cost_of(candidates: NDArray[np.int32], some: NDArray[np.intp]) -> NDArray[np.float32]:
        difference = described.take(candidates, axis=0)
        difference -= wanted.take(some, axis=0)
        return np.asarray(np.einsum("ij,ij->i", difference, difference), np.float32)

    everywhere = np.arange(targets.size)
    now = source.reshape(-1)[targets]
    cost = cost_of(now, everywhere)
    field = source.reshape(-1).copy()

    def adopt(some: NDArray[np.intp], candidates: NDArray[np.int32], costs: NDArray[np.float32]) -> None:
        now[some], cost[some] = candidates, costs

    def beside(number: int, some: NDArray[np.intp] | slice) -> NDArray[np.int32]:
        """The sources next to those of a neighbour."""
        # Whole patches around all sources are within the picture, so the cells next to them are too.
        return np.asarray(allowed[field[around[number, some]] - apart[number, some]], np.int32)

    def ask_neighbours() -> None:
        field[targets] = now
        for number in range(4):
            candidates = beside(number, np.s_[:])
            some = np.flatnonzero(candidates != now)
            there = cost_of(candidates[some], some)
            better = there < cost[some]
            adopt(some[better], candidates[some[better]], there[better])

    def try_around(reach: int) -> None:
        steps = chance.integers(-reach, reach + 1, (2, targets.size), dtype=np.int32)
        down, across = np.divmod(now, np.int32(width))
        place = np.clip(down + steps[0], 0, height - 1) * np.int32(width) + np.clip(across + steps[1], 0, width - 1)
        candidates = allowed[place]
        there = cost_of(candidates, everywhere)
        better = np.flatnonzero(there < cost)
        adopt(better, candidates[better], there[better])

    def agree(some: NDArray[np.intp]) -> None:
        # Every second cell, as on a chessboard: neighbours that changed at the same time would never agree.
        field[targets] = now
        neighbours = np.stack([beside(number, some) for number in range(len(NEIGHBOURS))])

        def discount(candidates: NDArray[np.int32], which: NDArray[np.intp] | slice) -> NDArray[np.float32]:
            support = (neighbours[:, which] == candidates).view(np.uint8).sum(axis=0, dtype=np.uint8)
            return np.asarray(1 - np.float32(TOGETHER / 8) * support, np.float32)

        own = now[some]
        best = (cost[some] + np.float32(GRAIN)) * discount(own, np.s_[:])
        for candidates in neighbours[:4]:
            others = np.flatnonzero(candidates != own)
            less = discount(candidates[others], others)
            # What would be too dear even if it fitted perfectly need not be compared.
            hopeful = np.flatnonzero(np.float32(GRAIN) * less < best[others])
            others, less = others[hopeful], less[hopeful]
            there = cost_of(candidates[others], some[others])
            price = (there + np.float32(GRAIN)) * less
            better = price < best[others]
            best[others[better]] = price[better]
            adopt(some[others[better]], candidates[others[better]], there[better])

    ask_neighbours()
    for reach in (*(max(height, width) // share for share in REACHES), 4, 1):
        try_around(reach)
    for _ in range(SETTLINGS):
        for some in halves:
            agree(some)
    field[targets] = now
    costs = np.full(field.shape, np.inf, np.float32)
    costs[targets] = cost
    return field.reshape(height, width), costs.reshape(height, width)
