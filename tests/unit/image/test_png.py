"""Other programs read what the PNG writer writes: the same pixels, complete, and the same bytes with any encoder."""

import hashlib
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.image import png

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunks(data):
    """Type and data of every chunk, its CRC checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        at += 12 + length
    assert at == len(data)
    return found


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def picture(*shape, seed=0):
    generator = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None] // 3
    return (smooth + generator.integers(0, 9, shape)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32), st.integers(1, 3))
def test_any_size_comes_back_pixel_for_pixel(height, width, seed, threads):
    layer = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    data = png.encode_rgba(layer, threads=threads)
    assert np.array_equal(np.asarray(opened(data)), layer)
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(seen[..., [2, 1, 0, 3]], layer)


def test_a_picture_of_many_strips_is_one_valid_stream_and_the_same_for_any_number_of_threads():
    layer = picture(1100, 1300, 4)
    one = png.encode_rgba(layer, threads=1)
    assert one == png.encode_rgba(layer, threads=2) == png.encode_rgba(layer, threads=5)
    parts = chunks(one)
    assert [kind for kind, _ in parts].count(b"IDAT") > 5
    stream = b"".join(content for kind, content in parts if kind == b"IDAT")
    unpacked = zlib.decompress(stream)  # checks the Adler-32 and that nothing follows
    assert len(unpacked) == 1100 * (1300 * 4 + 1)
    assert np.array_equal(np.asarray(opened(one)), layer)


def test_strides_do_not_matter():
    whole = picture(90, 120, 4)
    view = whole[10:80:2, ::-3]
    assert png.encode_rgba(view) == png.encode_rgba(np.ascontiguousarray(view))


def test_rgb_and_grey_of_16_bits_come_back_too():
    rgb = picture(400, 900, 3)
    data = png.encode_rgb(rgb)
    assert np.array_equal(np.asarray(opened(data)), rgb)
    deep = np.random.default_rng(5).integers(0, 65536, (700, 900), dtype=np.uint16)
    data = png.encode_grey16(deep)
    assert opened(data).mode == "I;16"
    assert np.array_equal(np.asarray(opened(data)), deep)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), deep)
    assert data == png.encode_grey16(deep, threads=3)


def test_the_profile_is_embedded_and_without_one_the_file_says_srgb():
    layer = picture(20, 30, 4)
    with_profile = png.encode_rgba(layer, SRGB)
    assert opened(with_profile).info["icc_profile"] == SRGB
    assert b"sRGB" not in dict(chunks(with_profile))
    assert dict(chunks(png.encode_rgba(layer)))[b"sRGB"] == b"\0"
    assert not {b"sRGB", b"iCCP"} & set(dict(chunks(png.encode_grey16(np.ones((3, 3), np.uint16)))))


def test_without_isal_zlib_writes_the_same_picture(monkeypatch):
    layer = picture(600, 700, 4)
    monkeypatch.setattr(png, "deflate", zlib)
    data = png.encode_rgba(layer, SRGB, threads=2)
    assert np.array_equal(np.asarray(opened(data)), layer)
    assert zlib.decompress(b"".join(content for kind, content in chunks(data) if kind == b"IDAT"))


@pytest.mark.parametrize("wrong", [np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4), np.uint16), np.zeros((0, 3, 4), np.uint8)])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="cannot encode"):
        png.encode_rgba(wrong)


@pytest.mark.skipif(not os.environ.get("SOAK_TESTS"), reason="part of make soak: the fault it looks for is rare")
def test_the_same_picture_gives_the_same_bytes_again_and_again_in_several_threads():
    height, width = 3000, 4000
    random = np.random.default_rng(2)
    cells = cv2.resize(random.random((388, 518), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.resize(random.integers(0, 256, (300, 400, 4), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    pixels[(cells < 0.6) | (cells > 0.75)] = 0
    files = {hashlib.sha256(png.encode_rgba(pixels, threads=3)).digest() for _ in range(100)}
    assert len(files) == 1
