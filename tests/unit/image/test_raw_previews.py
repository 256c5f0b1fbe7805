"""Camera raw files are read by the full-size JPEG that the camera stored in them, with a warning; otherwise they are refused."""

import io
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from daemon.contract.messages import Limits
from daemon.errors import ImageTooLarge, ImageType, JobError
from pipeline.image import decode, jpeg, raw_previews
from pipeline.image.turning import upright
from tests.carriers import heic_files, raw_files
from tests.unit.pictures import encoded, exif, landscape, stored

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
RGB = landscape(40, 60)
MAKERS = {
    "nef": raw_files.nikon, "dng": raw_files.dng, "cr2": raw_files.canon_cr2, "cr3": raw_files.canon_cr3,
    "rw2": raw_files.panasonic, "raf": raw_files.fujifilm,
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, limits=LIMITS):
        path = tmp_path / "photo.raw"
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=limits)

    return write_and_read


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)))


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_full_size_preview_is_read_upright_with_a_warning(read, maker, orientation):
    options = {"exif": exif(orientation)} if maker == "raf" else {}
    jpeg = encoded(stored(RGB, orientation), "JPEG", quality=95, **options)
    width, height = pixels(jpeg).shape[1::-1]
    photo = read(MAKERS[maker](jpeg, width + 2, height + 2, orientation=orientation))
    assert np.array_equal(photo.rgb, upright(pixels(jpeg), orientation))
    assert (photo.format, photo.orientation) == ("RAW", orientation)
    assert f"the camera's own preview of {width} × {height} pixels was layered" in photo.warnings[0]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_smaller_preview_is_refused_with_both_sizes(read, maker):
    with pytest.raises(
        ImageType, match=r"camera raw file, and the preview in it is too small: it has 60 × 40 pixels, .* 120 × 80"
    ):
        read(MAKERS[maker](encoded(RGB, "JPEG"), 120, 80))


def test_a_raw_file_without_a_preview_is_refused_with_what_to_do(read):
    for data in (raw_files.nikon(b"no JPEG", 60, 40), b"FOVb" + bytes(200), b"IIRO\x08\0\0\0" + bytes(100)):
        with pytest.raises(ImageType, match="camera raw file without a preview") as refused:
            read(data)
        assert "export it as TIFF or HEIC" in refused.value.info().hint


def test_limits_hold_for_the_preview(read):
    with pytest.raises(ImageTooLarge, match="60 × 40"):
        read(raw_files.dng(encoded(RGB, "JPEG"), 60, 40), Limits(max_bytes=10**6, max_pixels=2399))


def test_adobe_rgb_is_told_by_the_raw_files_own_tags(read):
    jpeg = encoded(RGB, "JPEG")
    assert read(raw_files.nikon(jpeg, 60, 40, colours=2)).profile == "Adobe RGB (1998)"
    assert read(raw_files.dng(jpeg, 60, 40, colours=3)).profile == "Adobe RGB (1998)"
    assert read(raw_files.dng(jpeg, 60, 40)).profile == "sRGB"


WHOLE = [make(encoded(RGB, "JPEG"), 60, 40) for make in MAKERS.values()]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(4, 400), st.binary(min_size=1, max_size=5)), min_size=1, max_size=3)
)
def test_hostile_raw_files_give_a_picture_or_a_plain_error(tmp_path_factory, whole, edits):
    data = bytearray(whole)
    for at, value in edits:
        data[at : at + len(value)] = value
    path = tmp_path_factory.mktemp("hostile") / "photo.raw"
    path.write_bytes(data)
    try:
        photo = decode.read(os.fsencode(path), limits=LIMITS)
    except JobError:
        return
    assert photo.rgb.shape[2] == 3


def test_many_orientations_and_fill_bytes_cost_no_time(tmp_path, monkeypatch):
    calls = []
    shape = jpeg.shape
    monkeypatch.setattr(jpeg, "shape", lambda *given: (calls.append(given), shape(*given))[1])
    filled = b"\xff\xd8" + b"\xff" * 100_000
    tiff = b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 513, 4, 1, 0, 514, 4, 1, 10, 0)
    file = io.BytesIO(
        heic_files.box(b"ftyp", b"crx ")
        + heic_files.box(b"moov", heic_files.box(b"uuid", bytes(16), *[heic_files.box(b"CMT1", tiff)] * 500))
        + filled
    )
    assert raw_previews.find(file).orientation == 1
    assert calls == []
    read = []

    class Counted(io.BytesIO):
        def read(self, *size):
            read.append(size)
            return super().read(*size)

    assert jpeg.shape(Counted(filled), 0) is None
    assert len(read) < 5000
