"""The preview page as one file, `page.html`, to be mailed or put on a website."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.export import preview
from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.page_content import page_of, photo_of

NAME = "page.html"


def _write(folder: Path, pictures: Pictures, progress: Progress) -> Sequence[str]:
    layers = pictures.layers
    before, _ = photo_of(pictures)
    small = preview.reduced(before, layers.rgba, layers.disparity)
    progress(0.5)
    size = pictures.photo.rgb.shape[1], pictures.photo.rgb.shape[0]
    # Whoever receives the page did not set up the program: its fine print says how the depth was found, without advice.
    page = replace(page_of(pictures, ()), note=None, layers_in_words=pictures.filled_layers_in_words)
    (folder / NAME).write_bytes(preview.standalone(small.photo, small.layers, small.disparity, page, pictures.photo.icc, size))
    return [NAME]


FORMAT = Format(title="Page in one file", cost=3.0, file=lambda _: NAME, write=_write)
