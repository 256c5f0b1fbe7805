"""Decodes camera raw files by the JPEG that the camera stored in them, if it has the full size.

Raw data itself is not developed: that is a photographer's decision, and a library's work. `pipeline.image.raw_previews` finds the
JPEGs.
"""

import io
from dataclasses import replace
from typing import BinaryIO

from daemon.catalogues import file_kinds
from daemon.contract.messages import Limits
from daemon.errors import ImageType
from pipeline.image import jpeg, raw_previews
from pipeline.image.colour.cicp import ADOBE_RGB, Curve, Space
from pipeline.image.decoders import pillow_file
from pipeline.image.decoders.decoded import Decoded
from pipeline.image.source_file import check_limits, display_name

FULL = 0.9
"""The preview must have this fraction of the raw picture's longer side: cameras cut off some pixels at the border."""


def decode(path: bytes, file: BinaryIO, limits: Limits) -> Decoded:
    """Decode the largest JPEG in a raw file.

    Raises:
        ImageType: there is none, or it is smaller than the raw picture (`FULL`).
        ImageTooLarge: above the limits.
    """
    found = raw_previews.find(file)
    best = found.largest
    hint = file_kinds.OTHER_PICTURES[file_kinds.RAW]
    name = display_name(path)
    if best is None:
        raise ImageType(f"{name} is a camera raw file without a preview that could be used.", hint=hint)
    if found.width == 0 or max(best.width, best.height) < FULL * max(found.width, found.height):
        of = f", the picture {found.width} × {found.height}" if found.width else ""
        raise ImageType(
            f"{name} is a camera raw file, and the preview in it is too small: it has {best.width} × {best.height} pixels{of}.",
            hint=hint,
        )
    check_limits(path, limits, pixels=(best.width, best.height))
    file.seek(best.at)
    data = io.BytesIO(file.read(best.size))
    decoded = pillow_file.decode(path, data, limits)
    remark = (
        f"{name} is a camera raw file: the camera's own preview of {best.width} × {best.height} pixels was layered, not the raw "
        "data. To choose exposure and colours yourself, develop it and export it as TIFF."
    )
    exif_at = jpeg.exif_at(data)
    orientation, colours = (None, None) if exif_at is None else raw_previews.said_by_exif(data, exif_at)
    turn = found.orientation if orientation is None else decoded.turn  # the preview knows better how it is stored
    space = decoded.space
    if found.is_adobe_rgb and space is None and decoded.icc is None and colours is None:
        space = Space(ADOBE_RGB, Curve(563 / 256), "Adobe RGB (1998)")
    return replace(
        decoded, format="RAW", orientation=turn, turn=turn, space=space, views=None, warnings=(remark, *decoded.warnings)
    )
