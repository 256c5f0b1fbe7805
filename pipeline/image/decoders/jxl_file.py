"""Decodes JPEG XL through pylibjxl (libjxl), with 8 bits per channel.

The decoder turns the picture upright, and returns its numbers in the colours that the file declares. It does not say which these
are unless they are a profile, nor whether they are multiplied by alpha. It leaves out black ink, and of an animation it returns
the last frame. So the header is read here first, and what it does not explain is refused.
"""

from typing import BinaryIO

from daemon.catalogues import file_kinds
from daemon.contract.messages import Limits
from daemon.errors import ImageType
from pipeline.image import jxl
from pipeline.image.colour import convert, declared
from pipeline.image.decoders.decoded import Decoded
from pipeline.image.filters import unpremultiplied
from pipeline.image.source_file import check_limits, display_name

_MODES: dict[int, convert.Mode] = {1: "L", 2: "L", 3: "RGB", 4: "RGB"}


def decode(path: bytes, file: BinaryIO, limits: Limits) -> Decoded:
    """Decode a JPEG XL picture.

    Raises:
        ImageType: a kind that is not read, or there is no decoder on this machine.
        ImageTooLarge: above the limits.
        EOFError, ValueError, RuntimeError: cut off, or damaged.
    """
    name, hint = display_name(path), file_kinds.OTHER_PICTURES[file_kinds.JPEG_XL]
    try:
        import pylibjxl
    except ImportError as missing:
        raise ImageType(f"{name} is a {file_kinds.JPEG_XL}, and this machine has no decoder for it.", hint=hint) from missing
    data = jxl.codestream(file)
    header = jxl.read(data)
    about = pylibjxl.probe(data)
    check_limits(path, limits, pixels=(about["width"], about["height"]))
    why = _refusal(header, about["channels"])
    if why is not None:
        raise ImageType(f"{name} is a {file_kinds.JPEG_XL} {why}; such pictures are not read.", hint=hint)
    pixels, metadata = pylibjxl.decode(data, metadata=True)
    icc = metadata.get("icc")
    if header.has_profile and not icc:
        raise ValueError("the colour profile cannot be read")
    if icc:
        said = declared.of_file("JXL", file, None, icc)
    else:
        space, _ = declared.numbered(*header.numbers) if header.numbers else (None, None)
        said = declared.Declared(space, None)
    has_alpha = bool(about["has_alpha"])
    if has_alpha and header.is_premultiplied:
        pixels = unpremultiplied(pixels)
    bits = int(about["bits_per_sample"])
    return Decoded(pixels, _MODES[about["channels"]], has_alpha, said.icc, bits, "JXL", space=said.space)


def _refusal(header: jxl.Header, channels: int) -> str | None:
    """Why a picture is not read, as a part of a sentence; None if it is read."""
    if header.is_animation:
        return "with several frames (an animation)"
    if header.is_float:
        return "of floating-point numbers"
    if header.has_black:
        return "in CMYK"
    if not header.is_known:
        return "in a colour space that is not known here"
    return None if channels in _MODES else "with further channels"
