"""Draws the contact sheet: photo, depth and every layer on one page, for Quick Look and for mail.

It is a grid whose number of columns depends on the proportions of the picture. Each caption is below its picture, aligned left.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from daemon.contract.words.printable import replace_unprintable
from pipeline.export.palette import Rgb, colour_depth, layer_colours
from pipeline.export.preview import PreviewPage, shrink

Pixels = npt.NDArray[np.uint8]

NAME = "contact_sheet.jpg"
WIDTH = 1600
_MARGIN, _GAP, _ROW_GAP = 64, 28, 40
_TITLE, _BODY, _SMALL = 36, 24, 20
_PAPER, _INK, _QUIET = (244, 243, 240), (29, 28, 26), (102, 99, 93)
_CHECKS: tuple[Rgb, Rgb] = ((228, 225, 219), (247, 245, 241))
_CHECK_SIDE, _CORNER = 12, 8
_JPEG_QUALITY = 90
# A picture taller than this would push the rest off the screen, so it is made smaller within its column.
_TALLEST = 760
_DEFAULT_COLUMNS = {2: 2, 3: 3, 4: 4, 5: 5, 6: 3, 7: 4, 8: 4, 9: 3, 10: 4, 11: 4, 12: 4}
# For portraits, photo and depth share one grid with the layers; the number of columns depends on the number of pictures.
_PORTRAIT_COLUMNS = {4: 4, 5: 5, 6: 3, 7: 4, 8: 4, 9: 5, 10: 5, 11: 6, 12: 6, 13: 5, 14: 5}
# Fonts of macOS and Linux, by the names that Pillow looks up. The last is Pillow's own, which has little beyond English.
_FACES = (
    "Arial Unicode.ttf",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    None,
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Cell:
    """One picture with its caption."""

    picture: Pixels
    name: str
    detail: tuple[str, ...]
    mark: Rgb | None = None


@dataclass(frozen=True)
class _Block:
    """Consecutive cells, in rows of `columns` cells. Each picture is at most `tallest` pixels high."""

    cells: tuple[_Cell, ...]
    columns: int
    tallest: int

    @property
    def column_width(self) -> int:
        return (WIDTH - 2 * _MARGIN - (self.columns - 1) * _GAP) // self.columns

    def rows(self) -> list[tuple[_Cell, ...]]:
        return [self.cells[at : at + self.columns] for at in range(0, len(self.cells), self.columns)]


def write(
    out: BinaryIO,
    photo: Pixels,
    layers: Sequence[Pixels],
    disparity: npt.NDArray[np.float32],
    page: PreviewPage,
    icc: bytes | None = None,
    size: tuple[int, int] | None = None,
    painting: Pixels | None = None,
) -> None:
    """Write the sheet as a JPEG 1600 pixels wide.

    Args:
        out: a file open for writing.
        photo: the photo, before it was painted or cut into layers, uint8 (H, W, 3 or 4).
        layers: back to front, uint8 (H, W, 4), straight alpha.
        disparity: float32 (H, W), 0 far to 1 near.
        page: title, and names, depth ranges and coverage of the layers.
        icc: the colour profile of photo and layers; None for sRGB.
        size: width and height of the original picture, if the arguments come from `preview.reduced`; None otherwise.
        painting: the painting of the photo, uint8 (H, W, 3 or 4), if the layers were cut from it; None otherwise.

    Raises:
        ValueError: `layers` and `page.layers` differ in length.
    """
    if len(layers) != len(page.layers):
        raise ValueError(f"{len(layers)} layers, but {len(page.layers)} descriptions of them")
    width, height = size or photo.shape[1::-1]
    blocks = _layout(width / height, *_cells(photo, painting, layers, disparity, page))
    sheet = _compose(blocks, page.title, f"{page.layers_in_words} · {width} × {height}")
    sheet.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0, icc_profile=icc or b"")


def _cells(
    photo: Pixels,
    painting: Pixels | None,
    layers: Sequence[Pixels],
    disparity: npt.NDArray[np.float32],
    page: PreviewPage,
) -> tuple[tuple[_Cell, ...], tuple[_Cell, ...]]:
    # Each picture is made smaller only when it is drawn: twice would take longer, and blur it.
    pictures = {"Photo": photo} | ({} if painting is None else {"Painting": painting})
    top = (
        *(_Cell(picture, name, ()) for name, picture in pictures.items()),
        _Cell(colour_depth(disparity), "Depth", ("far is dark", "near is bright")),
    )
    stack = tuple(
        _Cell(
            pixels,
            layer.name,
            (_percent(layer.coverage), "depth {:.2f} to {:.2f}".format(*layer.depth_range)) if layer.coverage else ("empty",),
            mark,
        )
        for pixels, layer, mark in zip(layers, page.layers, layer_colours(len(layers)), strict=True)
    )
    return top, stack


def _percent(share: float) -> str:
    return "< 1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _layout(aspect: float, top: tuple[_Cell, ...], stack: tuple[_Cell, ...]) -> list[_Block]:
    count = len(stack)
    together = count + len(top)
    if aspect >= 2.6:
        columns = 1 if aspect >= 5 and count <= 6 else 2
        return [_Block(top, 1, _TALLEST), _Block(stack, columns, _TALLEST)]
    if aspect >= 0.95:
        return [_Block(top, len(top), _TALLEST), _Block(stack, _DEFAULT_COLUMNS.get(count, 4), _TALLEST)]
    if aspect >= 0.5:
        return [_Block(top + stack, _PORTRAIT_COLUMNS.get(together, 5), _TALLEST)]
    columns = together if together <= 7 else math.ceil(together / 2)
    return [_Block(top + stack, columns, _TALLEST)]


def _compose(blocks: list[_Block], title: str, subtitle: str) -> Image.Image:
    head = _MARGIN + _TITLE + 34
    cells = [cell for block in blocks for cell in block.cells]
    face = _face_for(" ".join((title, subtitle, *(text for cell in cells for text in (cell.name, *cell.detail)))))
    if not _has(face, "×"):
        subtitle = subtitle.replace("×", "x")
    rows = [(block, row, _row_height(block, row, face)) for block in blocks for row in block.rows()]
    height = head + sum(tall for *_, tall in rows) + _ROW_GAP * (len(rows) - 1) + _MARGIN
    sheet = Image.new("RGB", (WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    right = WIDTH - _MARGIN
    small = _font(face, _BODY)
    room = right - _MARGIN - small.getlength(subtitle) - 2 * _GAP
    baseline = _MARGIN + _TITLE - 8
    large = _font(face, _TITLE)
    draw.text((_MARGIN, baseline), _shortened(title, large, room), _INK, large, anchor="ls")
    draw.text((right, baseline), subtitle, _QUIET, small, anchor="rs")
    y = head
    for block, row, tall in rows:
        for column, cell in enumerate(row):
            _draw_cell(sheet, cell, (_MARGIN + column * (block.column_width + _GAP), y), block, face)
        y += tall + _ROW_GAP
    return sheet


def _row_height(block: _Block, row: Sequence[_Cell], face: str | None) -> int:
    """The height of the tallest picture plus the longest caption in the row."""
    return max(_picture_size(cell, block)[1] + 18 + _BODY + len(_detail_lines(cell, block, face)) * (_SMALL + 8) for cell in row)


def _picture_size(cell: _Cell, block: _Block) -> tuple[int, int]:
    height, width = cell.picture.shape[:2]
    scale = min(block.column_width / width, block.tallest / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _detail_lines(cell: _Cell, block: _Block, face: str | None) -> list[str]:
    """The details on one line, or one per line if the column is narrow."""
    line = " · ".join(cell.detail)
    if not line:
        return []
    return [line] if _font(face, _SMALL).getlength(line) <= block.column_width else list(cell.detail)


def _draw_cell(sheet: Image.Image, cell: _Cell, corner: tuple[int, int], block: _Block, face: str | None) -> None:
    (x, y), (width, height) = corner, _picture_size(cell, block)
    sheet.paste(Image.fromarray(_on_checks(cell.picture, (width, height))), corner, _rounded((width, height)))
    draw = ImageDraw.Draw(sheet)
    baseline, left = y + height + 18 + _BODY - 6, x
    if cell.mark:
        draw.rounded_rectangle((x, baseline - 14, x + 13, baseline - 1), 4, cell.mark)
        left += 23
    body, small = _font(face, _BODY), _font(face, _SMALL)
    draw.text((left, baseline), _shortened(cell.name, body, x + block.column_width - left), _INK, body, anchor="ls")
    for line in _detail_lines(cell, block, face):
        baseline += _SMALL + 8
        draw.text((x, baseline), _shortened(line, small, block.column_width), _QUIET, small, anchor="ls")


def _on_checks(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at its size on the sheet, over a checkerboard where it is transparent."""
    width, height = size
    if width <= picture.shape[1]:
        picture = shrink(picture, size)
    else:
        # Tiny pictures keep their visible pixels; pictures that are nearly large enough are smoothed.
        how = cv2.INTER_NEAREST if width > 8 * picture.shape[1] else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    if picture.shape[2] == 3:
        return picture
    rows, columns = np.ogrid[:height, :width]
    colour = np.ascontiguousarray(picture[:, :, :3])
    board = np.array(_CHECKS, np.uint8)[(rows // _CHECK_SIDE + columns // _CHECK_SIDE) % 2]
    clear = picture[:, :, 3] == 0
    np.copyto(colour, board, where=clear[..., None])
    soft = np.flatnonzero(~clear & (picture[:, :, 3] < 255))
    alpha = picture[:, :, 3].reshape(-1, 1)[soft].astype(np.uint16)
    flat = colour.reshape(-1, 3)
    flat[soft] = (flat[soft] * alpha + board.reshape(-1, 3)[soft] * (255 - alpha) + 127) // 255
    return colour


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A mask with soft round corners, drawn large and then reduced."""
    radius = min(_CORNER, size[0] // 2, size[1] // 2)
    mask = np.full(size[::-1], 255, np.uint8)
    if radius:
        side = 8 * radius
        large = Image.new("L", (side, side), 0)
        ImageDraw.Draw(large).rounded_rectangle((0, 0, side - 1, side - 1), 4 * radius, 255)
        disc = np.asarray(large.resize((2 * radius, 2 * radius), Image.Resampling.BOX))
        first, last = slice(None, radius), slice(-radius, None)
        for rows in (first, last):
            for columns in (first, last):
                mask[rows, columns] = disc[rows, columns]
    return Image.fromarray(mask)


def _shortened(text: str, font: Font, room: float) -> str:
    """The text on one line, cut with … if it is wider than `room` pixels."""
    line = _one_line(text)
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(line + "…") > room:
        line = line[:-1]
    return line.rstrip() + "…"


def _one_line(text: str) -> str:
    return " ".join(replace_unprintable(text, instead=lambda _sign: " ").split())


def _face_for(text: str) -> str | None:
    """The first face of this machine that has every character of the text, or else the face that has most.

    The whole sheet is written in it, so that a name with umlauts looks like all others. Faces are loaded only as needed.
    """
    signs = set(_one_line(text))
    best, most = _FACES[-1], -1
    for face in _FACES:
        count = sum(_has(face, sign) for sign in signs) if _is_there(face) else -1
        if count > most:
            best, most = face, count
        if most == len(signs):
            break
    return best


@functools.cache
def _is_there(face: str | None) -> bool:
    try:
        _font(face, _BODY)
    except OSError:
        return False
    return True


@functools.cache
def _font(face: str | None, size: int) -> Font:
    """A face in a size; `None` is the built-in one.

    Raises:
        OSError: this machine does not have the face.
    """
    return ImageFont.load_default(size) if face is None else ImageFont.truetype(face, size)


@functools.cache
def _has(face: str | None, sign: str) -> bool:
    font = _font(face, _BODY)
    nothing = "\U0010fffd"  # a private-use character that no font has
    return sign.isspace() or bytes(font.getmask(sign)) != bytes(font.getmask(nothing))
