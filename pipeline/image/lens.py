"""Reads from EXIF which lens took the picture, so that planes can be placed as its camera saw them."""

import io
from typing import Any, BinaryIO

from PIL import Image

from pipeline.image import heif, raw_previews
from pipeline.image.source_file import open_source

_EXIF_IFD, _FOCAL_LENGTH_IN_35MM_FILM = 0x8769, 0xA405
_BY_PILLOW = {"JPEG": ("JPEG", "MPO"), "PNG": ("PNG",), "WEBP": ("WEBP",), "TIFF": ("TIFF",), "AVIF": ("AVIF",)}


def focal_35mm(path: bytes, form: str) -> float | None:
    """The focal length converted to 35-mm film, in millimetres (CIPA DC-008, FocalLengthIn35mmFilm).

    It is that of the whole frame: a picture that was cropped shows less than it says.

    Args:
        path: of a picture that was decoded before.
        form: `Photo.format` of it.

    Returns:
        What the file says, which may be wrong; None if it says nothing, or nothing that can be read.
    """
    try:
        found = _exif(path, form).get_ifd(_EXIF_IFD).get(_FOCAL_LENGTH_IN_35MM_FILM)
        return float(found) if found else None
    except Exception:  # noqa: BLE001  hostile EXIF fails in many ways; the picture itself was decoded
        return None


def _exif(path: bytes, form: str) -> Any:  # noqa: ANN401
    with open_source(path) as source:
        file: BinaryIO = source
        if form == "HEIF":
            container = heif.parse(file)
            exif = Image.Exif()
            exif.load(container[container.primary_index].info.get("exif") or b"")
            return exif
        if form == "RAW" and (preview := raw_previews.find(file).largest) is not None:
            file.seek(preview.at)
            file, form = io.BytesIO(file.read(preview.size)), "JPEG"
        with Image.open(file, formats=_BY_PILLOW.get(form, ())) as image:
            exif = image.getexif()
            exif.get_ifd(_EXIF_IFD)  # while the file is open
            return exif
