"""The sheet of bare photos: python -m tests.benchmarks.depth.figures_sheet.

Ten photos without depth, cut into four layers by the estimate without a model: by the ground alone, as it was before figures were
looked for, and as it is now. It is tests/acceptance/reference_figures.jpg: make it again, and look at it, whenever the estimate
changes. The photos are in the public domain or CC0.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.depth import cues
from pipeline.layers.layering import layer_picture
from tests.benchmarks.depth.bench_figures import LAYERS, before
from tests.benchmarks.depth.figure_pictures import photo, reduced

SHEET = Path(__file__).parents[2] / "acceptance" / "reference_figures.jpg"
PHOTOS = ("astronaut", "camera", "chelsea", "coffee", "hopper", "rocket", "coins", "brick", "moon", "hubble_deep_field")
HEIGHT, WIDTH, GAP, TEXT = 120, 180, 4, 16


def tile(rgba: NDArray[np.uint8]) -> Image.Image:
    """A layer on a chequered ground; an empty one shows the ground alone."""
    size = (WIDTH, HEIGHT)
    y, x = np.mgrid[:HEIGHT, :WIDTH] // 8
    sheet = Image.fromarray(np.where((x + y) % 2 > 0, 225, 245).astype(np.uint8)).convert("RGB")
    layer = Image.fromarray(rgba)
    layer.thumbnail(size, Image.Resampling.LANCZOS)
    sheet.paste(layer, ((WIDTH - layer.width) // 2, (HEIGHT - layer.height) // 2), layer if layer.mode == "RGBA" else None)
    return sheet


def main() -> None:
    """Cut and save."""
    across = 1 + 2 * LAYERS
    sheet = Image.new("RGB", (across * (WIDTH + GAP), TEXT + len(PHOTOS) * (HEIGHT + TEXT + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, title in ((0, "photo"), (1, "before: layers from back to front"), (1 + LAYERS, "now: layers from back to front")):
        draw.text((column * (WIDTH + GAP), 0), title, "black", font)
    for row, name in enumerate(PHOTOS):
        rgb = reduced(photo(name))
        top = TEXT + row * (HEIGHT + TEXT + GAP)
        now = cues.read(rgb, fetch="")
        tiles = [tile(rgb)]
        for reading in (before(rgb), now):
            layers = layer_picture(rgb, None, reading.values, None, num_layers=LAYERS, cuts=reading.cuts)
            tiles += [tile(layer) for layer in layers.rgba]
        draw.text((0, top), f"{name}, figures seen: {now.provenance.figures}", "black", font)
        for column, picture in enumerate(tiles):
            sheet.paste(picture, (column * (WIDTH + GAP), top + TEXT))
    sheet.save(SHEET, quality=82, optimize=True)


if __name__ == "__main__":
    main()
