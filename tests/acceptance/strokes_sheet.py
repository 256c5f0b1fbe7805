"""The reference sheet of the built-in styles: python -m tests.acceptance.strokes_sheet.

Every strokes style on three photos, and the first of them at three strengths, into reference_strokes.jpg. To be made again, and
looked at, whenever the painting changes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.painterly import strokes, styles
from tests.unit.pictures import SAMPLES

SHEET = Path(__file__).parent / "reference_strokes.jpg"
PHOTOS = ("astronaut", "coffee", "chelsea")
STRENGTHS = (0.0, 0.5, 1.0)
HEIGHT, GAP, TEXT = 400, 16, 28


def painted(photo: str, style: str, strength: float) -> Image.Image:
    """One photo in one style, at the height of a row."""
    rgb = np.asarray(Image.open(SAMPLES / f"{photo}.png").convert("RGB"))
    paints = styles.named(style)[1]
    assert isinstance(paints, styles.StrokesStyle)
    painting = Image.fromarray(strokes.paint(rgb, paints, strength=strength, seed=42).rgb)
    return painting.resize((round(painting.width * HEIGHT / painting.height), HEIGHT), Image.Resampling.LANCZOS)


def rows() -> Iterator[list[tuple[str, Image.Image]]]:
    """Captions and pictures."""
    names = [name for name, style in styles.styles().items() if style.engine == "strokes"]
    for name in names:
        yield [(f"{name}, {photo}", painted(photo, name, 0.5)) for photo in PHOTOS]
    yield [(f"{names[0]}, strength {strength:g}", painted(PHOTOS[0], names[0], strength)) for strength in STRENGTHS]


def main() -> None:
    """Paint and save."""
    made = list(rows())
    width = max(sum(picture.width + GAP for _, picture in row) for row in made) + GAP
    sheet = Image.new("RGB", (width, len(made) * (HEIGHT + TEXT + GAP) + GAP), (26, 26, 28))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for number, row in enumerate(made):
        x, y = GAP, GAP + number * (HEIGHT + TEXT + GAP)
        for caption, picture in row:
            sheet.paste(picture, (x, y))
            pen.text((x, y + HEIGHT + 4), caption, (225, 225, 225), font)
            x += picture.width + GAP
    sheet.save(SHEET, quality=88)


if __name__ == "__main__":
    main()
