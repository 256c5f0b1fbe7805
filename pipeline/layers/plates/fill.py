"""Fills what is hidden: the colours of a layer where nearer layers cover it.

The parts that the preview can uncover get a smooth fill with texture on it. Deeper parts only show when a person takes the layers
apart. In the farthest layer, they are completed with copies of their surroundings (`plate`). A layer is filled from its own
pixels alone.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.filters import box, channels, dilate, dilate_mask, exactly, resize, select, stacked, threshold
from pipeline.image.halving import Halved, prepared
from pipeline.layers.bands import BLOCK, Grid, Pixels, Tile, band_radius, both, in_parallel
from pipeline.layers.plates.completion import complete
from pipeline.layers.plates.membrane import push_pull
from pipeline.layers.plates.outline import continued
from pipeline.layers.plates.painted import Painted, Painter, is_large, painted
from pipeline.layers.plates.plate import Plate, deep, grid_of, plate_of, without_specks
from pipeline.layers.plates.texture import find_texture

MAX_PARALLAX = 0.03
"""The largest movement of the nearest against the farthest layer, as a fraction of the picture's longer side.

It is enough to feel depth, and little enough that what was hidden can be invented.
"""
SAMPLES = 600
"""How many pixels decide on the exact offset: enough for a mean, few enough to try dozens of offsets."""
SAMPLE_ROWS = 256
"""The number of rows from which these pixels are taken."""
SURE_CELL = 0.9
"""If no cell has more than this fraction of the layer's own, unmixed pixels, mixed ones are used as well."""
GRAIN = 2.0
"""Levels of camera noise per pixel; smaller variations are not texture."""
NO_MOVES = np.zeros((0, 2), np.int32)


@dataclass(frozen=True)
class Fill:
    """A layer's colours where it is covered.

    Attributes:
        ground: float32 (h, w, 4) on the grid, defined everywhere: the colour before texture is added, and the texture's
            strength.
        reach: float32 (h, w) on the grid, 0 to 1: where the layer exists behind nearer ones; 1 on its own pixels.
        near: bool (h, w) on the grid: reach and the soft borders around it; the layer has no pixels elsewhere.
        base: float32 (h', w', 3) on the texture's grid: the layer without texture. A pixel's texture is its difference from
            this.
        choice: uint8 (h', w'), index of the move (in `moves`) by which each cell is copied.
        moves: int32 (n, 2), (dy, dx) in pixels; n is 0 if there is no texture.
        layer: which layer this is.
        plate: the deep part of large holes; None if no hole is that deep, or if there is nothing to copy.
    """

    ground: NDArray[np.float32]
    reach: NDArray[np.float32]
    near: NDArray[np.bool_]
    base: NDArray[np.float32]
    choice: NDArray[np.uint8]
    moves: NDArray[np.int32]
    layer: int
    plate: Plate | Painted | None


class Filler:
    """Fills the layers of one picture, and holds what all of them need.

    Args:
        photo: uint8 (H, W, 4), with an alpha of 255.
        visible: bool (H, W), where the picture has any colour; None for everywhere.
        labels: uint8 (H, W).
        unsure: bool (H, W), pixels with mixed colours (soft borders) or colours that must not be used.
        painter: paints the deep part of large holes in the farthest layer; None to fill it with copies of the surroundings.
    """

    def __init__(
        self,
        photo: NDArray[np.uint8],
        visible: NDArray[np.bool_] | None,
        labels: NDArray[np.uint8],
        unsure: NDArray[np.bool_],
        painter: Painter | None = None,
    ) -> None:
        self.photo = photo
        self.painter = painter
        self.packed = photo.reshape(-1, 4).view(np.uint32)[:, 0]
        self.visible = visible
        self.labels = labels
        self.sure = threshold(unsure.view(np.uint8) ^ np.uint8(1), 1)
        if visible is not None:
            self.sure &= threshold(visible.view(np.uint8), 1)
        self.grid = Grid.of(photo.shape, smooth=True)
        self.small = Grid(self.grid.full, (-(-self.grid.shape[0] // 2), -(-self.grid.shape[1] // 2)))
        self.colour = self.grid.shrink(photo)[:, :, :3].astype(np.float32)
        self.coarse_labels = resize(labels, self.grid.shape, cv2.INTER_NEAREST_EXACT)

    def fill(self, layer: int, everywhere: bool) -> Fill:
        """Fill one layer.

        Args:
            layer: its number.
            everywhere: whether this is the farthest layer with any pixels, so that it exists behind everything.
        """
        chosen = exactly(self.labels, layer) & self.sure
        weight = self.grid.share(chosen)
        certain = weight.max(initial=0.0) > SURE_CELL
        if not certain:
            chosen = exactly(self.labels, layer)
            if self.visible is not None:
                chosen &= threshold(self.visible.view(np.uint8), 1)
            weight = self.grid.share(chosen)
        grid = grid_of(self.photo.shape, 1.0 - cv2.countNonZero(chosen) / chosen.size) if everywhere and certain else self.grid
        finest = tuple(max(sides) for sides in zip(grid.shape, self.grid.shape, strict=True))
        # A cell at a border is the mean of only the layer's own pixels: others' colours would spread over the whole fill.
        own = prepared(self.photo, finest, lambda rows: select(self.photo[rows], chosen[rows]))
        product = self.grid.shrink(own)[:, :, :3].astype(np.float32)
        # The deep part takes as long as the rest, and the farthest layer takes by far the longest.
        fill, plate = both(
            lambda: self._shallow(layer, everywhere, certain, chosen, product, weight),
            lambda: self._plate(chosen, own, grid) if everywhere and certain else None,
        )
        return replace(fill, plate=plate)

    def _shallow(
        self,
        layer: int,
        everywhere: bool,
        certain: bool,
        chosen: NDArray[np.uint8],
        product: NDArray[np.float32],
        weight: NDArray[np.float32],
    ) -> Fill:
        """The fill of a layer without its deep part.

        Args:
            layer: its number.
            everywhere: whether it exists behind everything.
            certain: whether any cell is made of its own, unmixed pixels.
            chosen: uint8 (H, W), 255 at the pixels whose colours are used.
            product: float32 (h, w, 3), the cells' means of the photo, black where it is not chosen. Changed in place.
            weight: float32 (h, w), the fraction of each cell that is chosen.
        """
        if certain:
            # The smaller the layer's own part of a cell, the less is known about it.
            product *= channels(weight * weight)
            weight = weight * weight * weight
        smooth = push_pull(product, weight)
        reach = np.ones(self.grid.shape, np.float32) if everywhere else self._reach(layer)
        size = 2 * int(np.ceil(band_radius(self.photo.shape) / self.grid.step)) + 3
        near = dilate(reach, size) > 0
        small_smooth, small_weight, hidden = (
            self.small.shrink(a) for a in (smooth, weight, (near & (weight < 1.0)).astype(np.float32))
        )
        base = _without_texture(small_smooth, small_weight, MAX_PARALLAX * max(self.small.shape))
        reach_cells = MAX_PARALLAX * max(self.small.shape)
        noise = 3.0 * GRAIN**2 / (self.grid.full[0] * self.grid.full[1] / (self.small.shape[0] * self.small.shape[1]))
        texture = find_texture(small_smooth - base, small_weight, hidden > 0.0, reach_cells, noise)
        if texture is None:
            ground = stacked(smooth, np.zeros(self.grid.shape, np.float32))
            return Fill(ground, reach, near, base, np.zeros(self.small.shape, np.uint8), NO_MOVES, layer, None)
        strength = resize(texture.strength, self.grid.shape, cv2.INTER_LINEAR)
        plain = resize(base, self.grid.shape, cv2.INTER_LINEAR)
        ground = stacked(smooth + channels(strength) * (plain - smooth), strength)
        moves = self._moves(texture.offsets, np.unique(texture.choice[texture.strength > 0.0]), chosen)
        return Fill(ground, reach, near, base, texture.choice, moves, layer, None)

    def _plate(self, chosen: NDArray[np.uint8], own: Halved[NDArray[np.uint8]], grid: Grid) -> Plate | Painted | None:
        """What fills the deep part of the pixels that are not `chosen`. None if there is no deep part, or too little to copy.

        `own` is the photo where it is chosen.
        """
        reach = MAX_PARALLAX * max(grid.shape)
        weight = grid.share(chosen)
        large = without_specks(weight, reach)
        share = deep(weight, large, reach)
        if not share.any():
            return None
        product = grid.shrink(own)[:, :, :3].astype(np.float32)
        found = complete(product / channels(np.maximum(weight, np.float32(1e-3))), large)
        if found is None:
            return None
        if self.painter is not None and is_large(share):
            return painted(self.painter, self.photo, found, share)
        return plate_of(found, share, grid)

    def add_detail(self, fill: Fill, covered: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Add texture to a layer that is smooth so far, and the picture that fills the inner part of large holes.

        Args:
            fill: the layer's.
            covered: uint8 (H, W), above 0 where nearer layers cover it.
            out: uint8 (H, W, 4), the layer, changed in place: texture is added only where the layer is covered, the picture
                wherever the share of `fill.plate` is above 0.
        """
        if len(fill.moves):
            there = self.grid.enlarge_mask(dilate_mask(fill.ground[:, :, 3] > 0, 3))
            if fill.plate is not None:
                shallow = dilate_mask(fill.plate.share < 1.0, 3)
                there &= resize(shallow.view(np.uint8), self.grid.full, cv2.INTER_NEAREST_EXACT).view(np.bool_)
            index = np.flatnonzero(there & (covered > 0))
            out.reshape(-1, 4).view(np.uint32)[index, 0] = self.colours_at(fill, index).view(np.uint32)[:, 0]
        if fill.plate is not None:
            plate = fill.plate
            in_parallel(lambda tile: self._add_plate(plate, tile, out), Tile.over(self.grid.full))

    def _add_plate(self, plate: Plate | Painted, tile: Tile, out: NDArray[np.uint8]) -> None:
        if not plate.share[tile.cells(plate.share.shape)].any():
            return
        share = tile.sample(plate.share)
        x, y, width, height = cv2.boundingRect((share > 0.0).view(np.uint8))
        if not width:
            return
        tile = Tile(tile.rows[y : y + height], tile.columns[x : x + width], tile.full)
        share = np.ascontiguousarray(share[y : y + height, x : x + width])
        least, _, _, _ = cv2.minMaxLoc(share)
        colour = plate.colours(self.packed, tile)
        if least < 1.0:
            cv2.blendLinear(colour, out[tile.place], share, 1 - share, colour)
        out[tile.place] = colour

    def _moves(self, offsets: NDArray[np.int32], used: NDArray[np.uint8], chosen: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Refine the grid's offsets to whole pixels, so that a sample of the layer agrees best with itself.

        Only offsets whose indices are in `used` are refined.
        """
        height, width = chosen.shape
        scale = np.array([height / self.small.shape[0], width / self.small.shape[1]])
        moves: NDArray[np.int32] = np.rint(offsets * scale).astype(np.int32)
        picks = _spread_sample(chosen)
        rows, columns = np.divmod(picks, width)
        pixels = self.photo.reshape(-1, 4)[picks].astype(np.int32)

        def agreements(places: NDArray[np.int32]) -> list[float]:
            """Mean squared difference between the sample and the shifted sample, for each of m moves (m, 2)."""
            y, x = rows + places[:, :1], columns + places[:, 1:]
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            index = np.where(inside, y * width + x, 0)
            inside &= chosen.reshape(-1)[index] > 0
            square = np.square(self.photo.reshape(-1, 4)[index].astype(np.int32) - pixels).sum(axis=2)
            total, count = np.where(inside, square, 0).sum(axis=1), inside.sum(axis=1)
            return [float(t / n) if n else float("inf") for t, n in zip(total, count, strict=True)]

        step = int(np.ceil(scale.max())) // 2
        around = np.array([(dy, dx) for dy in (0, -1, 1) for dx in (0, -1, 1)], np.int32)
        while step >= 1:
            for number in used:
                places = moves[number] + around * step
                moves[number] = places[int(np.argmin(agreements(places)))]
            step //= 2
        return moves

    def _reach(self, layer: int) -> NDArray[np.float32]:
        """Where the layer exists, float32 (h, w), 0 or 1."""
        radius = max(1, round(band_radius(self.photo.shape) / self.grid.step))
        return continued(self.coarse_labels, layer, radius, MAX_PARALLAX * max(self.grid.shape)).astype(np.float32)

    def colours_at(self, fill: Fill, index: NDArray[np.intp]) -> NDArray[np.uint8]:
        """The colours of ground and texture, uint8 (n, 4) with alpha 255, at pixels given by their flat indices."""
        out = np.empty((index.size, 4), np.uint8)

        def block(start: int) -> None:
            colour = self._near_colours(fill, Pixels.at(index[start : start + BLOCK], self.grid.full))
            np.clip(colour, 0.0, 255.0, out=colour)
            out[start : start + BLOCK, :3] = np.rint(colour, out=colour)[:, :3]

        # The layers are also filled in parallel, but the farthest has by far the most work.
        in_parallel(block, range(0, index.size, BLOCK))
        out[:, 3] = 255
        return out

    def _near_colours(self, fill: Fill, pixels: Pixels) -> NDArray[np.float32]:
        """The colours of ground and texture, in at least three channels."""
        colour = pixels.sample(fill.ground)
        strength = colour[:, 3:]
        if not len(fill.moves) or not cv2.hasNonZero(strength):
            return colour
        height, width = self.grid.full
        choice = fill.choice.reshape(-1)[pixels.cells(fill.choice.shape)]
        down, across = fill.moves.astype(np.float32).T
        rows = np.clip(pixels.rows + down[choice], 0, height - 1)
        columns = np.clip(pixels.columns + across[choice], 0, width - 1)
        index = rows.astype(np.intp) * width + columns.astype(np.intp)
        source = Pixels(index, rows, columns, self.grid.full)
        detail = self.packed[index].view(np.uint8).reshape(-1, 4)[:, :3] - source.sample(fill.base)
        # Cells are coarser than pixels: a move may lead to another layer's pixel, or to a mixture with it.
        own = (self.labels.reshape(-1)[index] == fill.layer) & (self.sure.reshape(-1)[index] > 0)
        detail *= channels(strength * own[:, None])[:, 0]
        colour[:, :3] += detail
        return colour


def _spread_sample(mask: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Flat indices of about `SAMPLES` of the set pixels, evenly spread; only from some rows if these have enough set pixels."""
    height, width = mask.shape
    step = max(1, height // SAMPLE_ROWS)
    rows, columns = np.nonzero(mask[::step])
    if rows.size < SAMPLES:
        step = 1
        rows, columns = np.nonzero(mask)
    pick = slice(None, None, max(1, rows.size // SAMPLES))
    sample: NDArray[np.intp] = rows[pick] * step * width + columns[pick]
    return sample


def _without_texture(colour: NDArray[np.float32], weight: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """The known colours, blurred over about the distance that is filled, and continued smoothly into the unknown."""
    window = 2 * max(1, round(reach)) + 1
    return push_pull(box(colour * channels(weight), window), box(weight, window))
