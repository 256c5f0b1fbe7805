"""The lens that took a picture, by its EXIF data."""

import os
import struct
from pathlib import Path

import pytest

from pipeline.image.lens import focal_35mm
from tests.carriers import raw_files
from tests.unit.pictures import SAMPLES, encoded, exif, landscape


def with_lens(value: object) -> bytes:
    tags = exif(1)
    tags.get_ifd(0x8769)[0xA405] = value
    return tags.tobytes()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_lens_is_read_from_every_format_that_says_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(landscape(40, 60), form, exif=with_lens(85)))
    assert focal_35mm(os.fsencode(path), form) == 85.0
    path.write_bytes(encoded(landscape(40, 60), form))
    assert focal_35mm(os.fsencode(path), form) is None


def test_the_lens_of_a_raw_file_is_that_of_the_jpeg_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(raw_files.nikon(encoded(landscape(40, 60), "JPEG", exif=with_lens(85)), 60, 40))
    assert focal_35mm(os.fsencode(path), "RAW") == 85.0


@pytest.mark.parametrize(
    "said", [b"\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\0"]
)
def test_a_lens_that_cannot_be_read_is_unknown(tmp_path: Path, said: bytes) -> None:
    path, plain = tmp_path / "a.jpg", encoded(landscape(40, 60), "JPEG")
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(said) + 2) + said + plain[2:])
    assert focal_35mm(os.fsencode(path), "JPEG") is None
    path.write_bytes(encoded(landscape(40, 60), "JPEG", exif=with_lens(0)))
    assert focal_35mm(os.fsencode(path), "JPEG") is None
    assert focal_35mm(os.fsencode(tmp_path / "none"), "JPEG") is None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample pictures are not beside the project")
def test_a_phones_photo_names_its_lens() -> None:
    assert focal_35mm(os.fsencode(SAMPLES / "iphone_pug_original.heic"), "HEIF") == 26.0
