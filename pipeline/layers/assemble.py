"""Combines labels, borders and fills into full-canvas layers with estimated colours.

Recomposition then makes the colours exact.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import put, resize, select, threshold
from pipeline.layers.bands import Pixels, in_parallel
from pipeline.layers.matte import Border
from pipeline.layers.plates.fill import Fill, Filler
from pipeline.layers.plates.painted import Painter


def _alone() -> NDArray[np.uint8]:
    """The alpha of layer k alone, uint8 (256 · 256,), by 256 · M_k + M_(k+1); 0 where M_(k+1) is 255."""
    m, n = np.arange(256, dtype=np.float32)[:, None], np.arange(255, dtype=np.float32)
    out = np.zeros((256, 256), np.uint8)
    out[:, :255] = np.rint(np.maximum(np.float32(255) * (m - n) / (np.float32(255) - n), 0))
    return out.reshape(-1)


_ALONE = _alone()


@dataclass(frozen=True)
class Stack:
    """Unfinished layers.

    Attributes:
        rgba: uint8 (H, W, 4) each, back to front.
        soft: flat indices of all pixels in which some layer is partly transparent before any layer is moved.
    """

    rgba: list[NDArray[np.uint8]]
    soft: NDArray[np.intp]


def assemble_layers(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    labels: NDArray[np.uint8],
    num_layers: int,
    borders: list[Border],
    progress: Callable[[float], None] = lambda _: None,
    painter: Painter | None = None,
) -> Stack:
    """Give every layer its alpha and its colours: its own cleaned colours in soft borders, a fill behind nearer layers.

    M_k is the fraction of a pixel that layer k and all nearer layers cover together. The stacked layers cover exactly M_k if the
    alpha of layer k alone is 1 − (1 − M_k) / (1 − M_(k+1)).

    Args:
        rgb: uint8 (H, W, 3).
        alpha: uint8 (H, W) or None.
        labels: uint8 (H, W), 0 to num_layers − 1.
        num_layers: how many.
        borders: as from `estimate_borders`, for layers 1 to num_layers − 1.
        progress: called with the fraction that is done, rising from 0 to 1; by any thread, but only by one at a time.
        painter: paints large hidden parts of the farthest layer.

    Returns:
        The layers. Where the picture's alpha is 255, the farthest layer that has any pixel is opaque. Elsewhere, only the
        labelled layer is visible, with the picture's own colour and alpha.
    """
    opaque = None if alpha is None else alpha == 255
    photo = _opaque(rgb)
    unsure = np.zeros(labels.shape, np.bool_) if opaque is None else ~opaque
    for border in borders:
        unsure.reshape(-1)[border.index] = True
    filler = Filler(photo, None if alpha is None else alpha > 0, labels, unsure, painter)
    occupied = _occupied(labels, alpha, num_layers)
    backdrop = int(np.argmax(occupied))
    reached = _reached(labels, occupied, borders)
    done, steps, lock = 0, 2 * int(occupied.sum()), threading.Lock()

    def step() -> None:
        nonlocal done
        with lock:
            done += 1
            progress(done / steps)

    def layer(k: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        if not occupied[k]:
            return np.zeros_like(photo), np.zeros(0, np.intp)
        fill = filler.fill(k, everywhere=k == backdrop)
        step()
        if k == backdrop:
            made = _backdrop(photo, reached[k + 1], filler, fill), np.zeros(0, np.intp)
        else:
            made = _layer(photo, reached[k], reached[k + 1], borders[k - 1], filler, fill)
        step()
        return made

    made = in_parallel(layer, range(num_layers))
    layers = [rgba for rgba, _ in made]
    soft = np.zeros(labels.size, np.bool_)
    for _, index in made:
        soft[index] = True
    if alpha is not None and opaque is not None:
        _keep_own_alpha(layers, photo, alpha, labels)
        soft &= opaque.ravel()
    return Stack(layers, np.flatnonzero(soft))


def _occupied(labels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, num_layers: int) -> NDArray[np.bool_]:
    """Which layers have any visible pixel."""
    histogram = cv2.calcHist([labels], [0], alpha, [num_layers], [0.0, float(num_layers)])
    return np.asarray(histogram).reshape(-1) > 0


def _reached(labels: NDArray[np.uint8], occupied: NDArray[np.bool_], borders: list[Border]) -> list[NDArray[np.uint8]]:
    """M_0 to M_N, each uint8 (H, W). M_k is how much of a pixel layer k and all nearer layers cover, 0 to 255."""
    nothing = np.zeros(labels.shape, np.uint8)
    shares = [nothing]
    for k in range(len(occupied) - 1, 0, -1):
        if not occupied[k]:
            # Transparent pixels have labels too, so an empty layer may have a border, but it covers nothing.
            shares.append(shares[-1])
            continue
        share = threshold(labels, k)
        share.reshape(-1)[borders[k - 1].index] = borders[k - 1].alpha
        shares.append(np.maximum(share, shares[-1], out=share))
    # M_0 covers everything. It is never used, but keeps the indices equal to the layers'.
    shares.append(nothing)
    return shares[::-1]


def _opaque(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with an alpha of 255."""
    out: Any = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    return cast(NDArray[np.uint8], out.reshape(*rgb.shape[:2], 4))


def _backdrop(photo: NDArray[np.uint8], covered: NDArray[np.uint8], filler: Filler, fill: Fill) -> NDArray[np.uint8]:
    """The farthest layer, opaque everywhere."""
    smooth = np.rint(np.clip(fill.ground, 0.0, 255.0)).astype(np.uint8)
    smooth[:, :, 3] = 255
    out = resize(smooth, photo.shape, cv2.INTER_LINEAR)
    filler.add_detail(fill, covered, out)
    put(photo, np.bitwise_not(threshold(covered, 1)), out)
    return out


def _layer(
    photo: NDArray[np.uint8],
    reached: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    border: Border,
    filler: Filler,
    fill: Fill,
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """One layer in front of the backdrop, and its soft pixels. `reached` is M_k, `covered` is M_(k+1)."""
    alone = np.minimum(reached, np.bitwise_not(threshold(covered, 1)))
    out = select(photo, alone)
    flat = out.reshape(-1, 4)
    m, n = reached.reshape(-1), covered.reshape(-1)
    own = m.take(border.index)
    place = np.flatnonzero((own < 255) & (own > 0) & (n.take(border.index) == 0))
    band = border.index[place]
    flat[band, :3] = border.colour[place]
    flat[band, 3] = border.alpha[place]
    behind = np.flatnonzero((covered > 0) & filler.grid.enlarge_mask(fill.near))
    mine, others = m.take(behind), n.take(behind)
    share = _ALONE.take(mine.astype(np.uint16) << 8 | others)
    hidden = np.flatnonzero(others == 255)
    share[hidden] = np.rint(255.0 * Pixels.at(behind.take(hidden), filler.grid.full).sample(fill.reach))
    there = np.flatnonzero(share)
    behind, share, others = behind.take(there), share.take(there), others.take(there)
    colour = filler.colours_at(fill, behind)
    colour[:, 3] = share
    flat.view(np.uint32)[behind, 0] = colour.view(np.uint32)[:, 0]
    return out, np.concatenate([band, behind[others < 255]])


def _keep_own_alpha(
    layers: list[NDArray[np.uint8]], photo: NDArray[np.uint8], alpha: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """Where the picture is not opaque, the labelled layer gets the pixel unchanged, and the others are transparent."""
    index = np.flatnonzero(alpha < 255)
    own = photo.reshape(-1, 4)[index]
    own[:, 3] = alpha.reshape(-1)[index]
    own[own[:, 3] == 0] = 0
    label = labels.reshape(-1)[index]
    for k, layer in enumerate(layers):
        layer.reshape(-1, 4)[index] = np.where((label == k)[:, None], own, np.uint8(0))
