"""Whether the end of a picture is missing, judged by its first and last bytes."""

import io
import random

import pytest
from pictures import SAMPLES
from PIL import Image

from daemon.intake.picture_end import END_BYTES, end_is_missing

KINDS = {
    "jpeg": ("JPEG", {"quality": 95}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {}),
    "tiff": ("TIFF", {}),
    "tiff in strips": ("TIFF", {"compression": "tiff_lzw"}),
    "big tiff": ("TIFF", {"big_tiff": True}),
}


def encoded(kind: str, size: tuple[int, int] = (320, 240)) -> bytes:
    form, options = KINDS[kind]
    file = io.BytesIO()
    noise = [Image.effect_noise(size, 60 + 20 * n) for n in range(3)]
    Image.merge("RGB", noise).save(file, form, **options)
    return file.getvalue()


def is_missing(data: bytes) -> bool:
    return end_is_missing(data[:END_BYTES], data[-END_BYTES:], len(data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(16, 12), (320, 240), (700, 500)])
def test_a_whole_picture_has_its_end(kind, size):
    assert not is_missing(encoded(kind, size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(320, 240), (700, 500)])
def test_a_picture_in_parts_lacks_its_end_until_the_last(kind, size):
    data = encoded(kind, size)
    whole_at = [kept for kept in range(1, 100) if not is_missing(data[: len(data) * kept // 100])]
    assert whole_at == []


@pytest.mark.parametrize("kept", range(1, 13))
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_few_bytes_are_a_part_as_well(kind, kept):
    assert is_missing(encoded(kind, (16, 12))[:kept])


@pytest.mark.skipif(not (SAMPLES / "iphone_pug_original.heic").exists(), reason=f"no sample photo in {SAMPLES}")
def test_a_photo_of_a_phone_lacks_its_end_until_the_last():
    data = (SAMPLES / "iphone_pug_original.heic").read_bytes()
    assert [kept for kept in range(1, 101) if not is_missing(data[: len(data) * kept // 100])] == [100]


@pytest.mark.parametrize("trailer", [b"\0" * 100_000, b"a caption " * 10_000, random.Random(1).randbytes(300_000), b"\0" * 64])
def test_what_programs_append_to_a_jpeg_is_no_missing_end(trailer):
    assert not is_missing(encoded("jpeg") + trailer)


def test_a_small_picture_in_the_headers_is_not_the_end():
    small, data = encoded("jpeg", (32, 24)), encoded("jpeg")
    header = b"Exif\0\0" + small
    data = data[:2] + b"\xff\xe1" + (len(header) + 2).to_bytes(2, "big") + header + data[2:]
    assert not is_missing(data)
    assert is_missing(data[: len(header) + 3000])
    assert is_missing(data[: len(header) // 2])


@pytest.mark.parametrize("data", [b"good", b"torn eight", b"%PDF-1.7 and more of it", b"8BPS\0\1" + bytes(30), b"", bytes(100)])
def test_of_what_is_not_known_nothing_is_said(data):
    assert not is_missing(data)


def test_any_bytes_get_an_answer():
    chance = random.Random(7)
    starts = [encoded(kind, (16, 12))[:64] for kind in KINDS]
    answers = {is_missing(start[: chance.randrange(4, 64)] + chance.randbytes(chance.randrange(400))) for start in starts * 300}
    assert answers == {True, False}
