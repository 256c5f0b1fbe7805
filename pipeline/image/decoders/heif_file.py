"""Decodes HEIC files; libheif turns them upright."""

from typing import BinaryIO

from daemon.contract.messages import Limits
from pipeline.image import boxes, heif
from pipeline.image.colour import declared
from pipeline.image.cut_off import is_cut_off
from pipeline.image.decoders.decoded import MODES, ORIENTATION, Decoded, dpi_in
from pipeline.image.source_file import check_limits, display_name


def decode(path: bytes, file: BinaryIO, limits: Limits) -> Decoded:
    """Decode HEIC; libheif has already turned it upright."""
    if is_cut_off(file):  # libheif silently leaves missing tiles black
        raise EOFError("a box ends behind the file")
    container, crop = heif.parse_uncropped(file)
    main = container[container.primary_index]
    check_limits(path, limits, pixels=main.size)
    pixels, mode = heif.main_samples(container)
    pixels = heif.cropped(pixels, crop)
    left_out = len(container) - 1 - (boxes.stereo_pair(file) is not None)  # the second view is used as depth
    bits = int(main.info["bit_depth"])
    exif = heif.exif_of(container)
    orientation = exif.get(ORIENTATION, 1)
    said = declared.of_file("HEIF", file, None, main.info.get("icc_profile"))
    remarks = (f"{display_name(path)} holds {left_out + 1} pictures; the main one was used.",) if left_out else ()
    if said.remark is not None:
        remarks = (*remarks, f"{display_name(path)} {said.remark}.")
    has_alpha = mode in ("LA", "RGBA")
    turn = orientation if orientation in range(1, 9) else 1
    return Decoded(pixels, MODES[mode], has_alpha, said.icc, bits, "HEIF", turn, 1, remarks, said.space, dpi_in(exif))
