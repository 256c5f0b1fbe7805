"""A JPEG without its end mark is a picture if all its rows are there, and cut off if one is not."""

import os

import numpy as np
import pytest

from daemon.contract.messages import Limits
from daemon.errors import ImageUnreadable
from pipeline.image import decode, jpeg
from tests.unit.pictures import encoded, exif, landscape

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
NOISE = np.random.default_rng(3).integers(0, 256, (72, 88, 3), dtype=np.uint8)
KINDS = {
    "baseline": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1}, "4:4:4": {"subsampling": 0},
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def write_and_read(data):
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=LIMITS)

    return write_and_read


def scans(data):
    """Where the scans of a JPEG begin."""
    return [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [b"", bytes(100), b"SEFT and other words of a phone"], ids=["nothing", "zeros", "a trailer"])
def test_without_its_end_mark_a_whole_picture_is_read_with_a_warning(read, kind, after):
    data = encoded(NOISE, "JPEG", quality=90, **KINDS[kind])
    assert data.endswith(jpeg.EOI)
    photo = read(data[:-2] + after)
    assert np.array_equal(photo.rgb, read(data).rgb)
    assert photo.warnings == ("photo.jpg has no end mark, but all its rows are there.",)
    assert read(data).warnings == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", [8, 40, 400])
def test_a_picture_that_lacks_data_is_cut_off(read, kind, lost):
    data = encoded(NOISE, "JPEG", quality=90, **KINDS[kind])
    with pytest.raises(ImageUnreadable, match="cut off"):
        read(data[: -2 - lost])
    with pytest.raises(ImageUnreadable, match="cut off"):
        read(data[: -2 - lost] + bytes(5000))  # reserved space


RESTARTS = {
    "a mark per row": {"restart_marker_rows": 1}, "a mark per block": {"restart_marker_blocks": 1, "subsampling": 0},
    "progressive": {"restart_marker_rows": 1, "progressive": True, "subsampling": 1},
}  # fmt: skip


@pytest.mark.parametrize("kind", RESTARTS)
@pytest.mark.parametrize("picture", [NOISE, NOISE[:65, :81], NOISE[..., 0]], ids=["whole blocks", "cut blocks", "grey"])
def test_damaged_restart_marks_get_a_warning(read, kind, picture):
    data = encoded(picture, "JPEG", quality=90, **RESTARTS[kind])
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    assert read(data).warnings == ()
    told = ("photo.jpg is damaged: restart marks in it are missing or wrong. It was decoded, but some of its rows may be wrong.",)
    for at in (marks[0], marks[-1]):
        wrong = bytearray(data)
        wrong[at + 1] = 0xD0 + (wrong[at + 1] + 1) % 8
        assert read(bytes(wrong)).warnings == told
    if kind == "a mark per row":
        assert read(data[: marks[-1]] + jpeg.EOI).warnings == told  # the last row is lost


def test_a_progressive_picture_whose_last_scans_are_missing_is_cut_off(read):
    data = encoded(landscape(), "JPEG", progressive=True)
    for start in scans(data)[1:]:
        with pytest.raises(ImageUnreadable, match="cut off"):
            read(data[:start])


@pytest.mark.parametrize(("orientation", "expected"), [(1, (300.0, 150.0)), (6, (150.0, 300.0))])
def test_resolution_is_kept_and_turned(read, tmp_path, orientation, expected):
    tags = exif(orientation)
    assert read(encoded(landscape(), "JPEG", dpi=(300, 150), exif=tags)).dpi == expected
    path = tmp_path / "photo.tif"
    options = {"dpi": (300, 150), "tiffinfo": {274: orientation}}
    path.write_bytes(encoded(landscape(), "TIFF", **options))
    assert decode.read(os.fsencode(path), limits=LIMITS).dpi == expected


@pytest.mark.parametrize("dpi", [(0, 0), (1, 70_000)])
def test_a_resolution_that_means_nothing_is_dropped(read, dpi):
    assert read(encoded(landscape(), "PNG", dpi=dpi)).dpi is None


def test_a_picture_without_resolution_has_none(read):
    assert read(encoded(landscape(), "PNG")).dpi is None
    assert read(encoded(landscape(), "PNG", dpi=(300, 300))).dpi == pytest.approx((300, 300), abs=0.01)
