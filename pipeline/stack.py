"""From labels, borders and fills to full-canvas layers with estimated colours, before recomposition makes them exact."""

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.bands import sample
from pipeline.fill import Filler
from pipeline.filters import grown, put, resize, select
from pipeline.matte import Border


@dataclass(frozen=True)
class Stack:
    """Layers in the making.

    Attributes:
        rgba: uint8 (H, W, 4) each, back to front.
        soft: flat indices of all pixels in which some layer is neither opaque nor transparent at rest.
    """

    rgba: list[NDArray[np.uint8]]
    soft: NDArray[np.intp]


def build(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, labels: NDArray[np.uint8], num_layers: int, borders: list[Border]
) -> Stack:
    """Give every layer its alpha and its colours: its own, cleaned ones in soft borders, filled ones behind nearer layers.

    With M_k the soft share of a pixel that layers k and nearer cover, layer k alone has alpha
    1 − (1 − M_k) / (1 − M_(k+1)), so that the layers over each other cover exactly M_k.

    Args:
        rgb: uint8 (H, W, 3).
        alpha: uint8 (H, W) or None.
        labels: uint8 (H, W), 0 to num_layers − 1.
        num_layers: how many.
        borders: as from `find_borders`, for layers 1 to num_layers − 1.

    Returns:
        The layers. Where the picture's alpha is 255, the farthest layer that has any pixel is opaque; elsewhere exactly the
        labelled layer has the picture's own colour and alpha.
    """
    opaque = None if alpha is None else alpha == 255
    photo = _opaque(rgb)
    unsure = np.zeros(labels.shape, np.bool_) if opaque is None else ~opaque
    for border in borders:
        unsure.reshape(-1)[border.index] = True
    filler = Filler(rgb, None if alpha is None else alpha > 0, labels, unsure)
    counts = np.bincount(labels.ravel() if alpha is None else labels[alpha > 0], minlength=num_layers)
    backdrop = int(np.argmax(counts > 0))
    covered = np.zeros(labels.shape, np.uint8)
    soft = np.zeros(labels.shape, np.bool_)
    layers: list[NDArray[np.uint8]] = []
    for k in range(num_layers - 1, -1, -1):
        if counts[k] == 0:
            layers.append(np.zeros_like(photo))
            continue
        if k == backdrop:
            layers.append(_backdrop(photo, covered, filler, k))
            continue
        reached = (labels >= k).view(np.uint8) * np.uint8(255)
        border = borders[k - 1]
        reached.reshape(-1)[border.index] = border.alpha
        np.maximum(reached, covered, out=reached)
        layers.append(_layer(photo, reached, covered, border, filler, k, soft))
        covered = reached
    layers.reverse()
    if alpha is not None and opaque is not None:
        _keep_own_alpha(layers, photo, alpha, labels)
        soft &= opaque
    return Stack(layers, np.flatnonzero(soft))


def _opaque(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with an alpha of 255."""
    out: Any = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    return cast(NDArray[np.uint8], out.reshape(*rgb.shape[:2], 4))


def _backdrop(photo: NDArray[np.uint8], covered: NDArray[np.uint8], filler: Filler, k: int) -> NDArray[np.uint8]:
    """The farthest layer, opaque everywhere."""
    fill = filler.fill(k, everywhere=True)
    smooth = np.rint(np.clip(fill.ground[:, :, :3], 0.0, 255.0)).astype(np.uint8)
    out = _opaque(resize(smooth, photo.shape, cv2.INTER_LINEAR))
    if len(fill.moves):
        textured = grown(fill.ground[:, :, 3] > 0, 3)
        index = np.flatnonzero((covered > 0) & filler.grid.enlarge_mask(textured))
        out.reshape(-1, 4)[index, :3] = filler.colours_at(fill, index)
    put(photo, covered == 0, out)
    return out


def _layer(
    photo: NDArray[np.uint8],
    reached: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    border: Border,
    filler: Filler,
    k: int,
    soft: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """One layer in front of the backdrop: `reached` is M_k, `covered` M_(k+1); notes its soft pixels."""
    fill = filler.fill(k, everywhere=False)
    out = select(photo, (reached > 0) & (covered == 0))
    flat = out.reshape(-1, 4)
    m, n = reached.reshape(-1), covered.reshape(-1)
    band = border.index[(m[border.index] < 255) & (m[border.index] > 0) & (n[border.index] == 0)]
    place = np.searchsorted(border.index, band)
    flat[band, :3] = border.colour[place]
    flat[band, 3] = border.alpha[place]
    soft.reshape(-1)[band] = True
    behind = np.flatnonzero((covered > 0) & filler.grid.enlarge_mask(fill.near))
    mine, others = m[behind].astype(np.float32), n[behind].astype(np.float32)
    seen = np.divide(255.0 * (mine - others), 255.0 - others, out=np.zeros_like(mine), where=others < 255)
    hidden = 255.0 * sample(fill.reach, behind, filler.grid)
    share = np.rint(np.where(others < 255, seen, hidden)).astype(np.uint8)
    behind, share, others = behind[share > 0], share[share > 0], others[share > 0]
    flat[behind, :3] = filler.colours_at(fill, behind)
    flat[behind, 3] = share
    soft.reshape(-1)[behind[(others < 255)]] = True
    return out


def _keep_own_alpha(
    layers: list[NDArray[np.uint8]], photo: NDArray[np.uint8], alpha: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """Where the picture is not opaque, the labelled layer holds the pixel as it is and the others nothing."""
    index = np.flatnonzero(alpha < 255)
    own = photo.reshape(-1, 4)[index]
    own[:, 3] = alpha.reshape(-1)[index]
    own[own[:, 3] == 0] = 0
    label = labels.reshape(-1)[index]
    for k, layer in enumerate(layers):
        layer.reshape(-1, 4)[index] = np.where((label == k)[:, None], own, np.uint8(0))
