"""The merged picture of Photoshop documents, as Pillow and psd-tools read it, in every kind that is read."""

import io
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from psd_tools import PSDImage

from daemon.contract.messages import Limits
from daemon.errors import ImageTooLarge, ImageType, ImageUnreadable, JobError
from pipeline.image import decode
from pipeline.image.colour import convert
from tests.unit.pictures import landscape

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
GREY, INDEXED, RGB, CMYK, LAB = 1, 2, 3, 4, 9


def packbits(row):
    """PackBits of one row, in runs and literals."""
    out = b""
    for start in range(0, len(row), 100):
        part = row[start : start + 100]
        same = len(part) > 1 and len(set(part)) == 1
        out += bytes([257 - len(part), part[0]]) if same else bytes([len(part) - 1]) + part
    return out


def psd(planes, mode, *, big=False, packed=True, resources=(), palette=b"", layer_count=0, channels=None):
    """A Photoshop document without layers, of uint8 or uint16 planes (C, H, W)."""
    count, height, width = planes.shape
    bits = 8 * planes.dtype.itemsize
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 2 if big else 1, channels or count, height, width, bits, mode)
    blocks = b""
    for number, data in resources:
        blocks += b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)
    long = ">Q" if big else ">I"
    info = struct.pack(long, 2) + struct.pack(">h", layer_count) if layer_count else b""
    parts = head + struct.pack(">I", len(palette)) + palette + struct.pack(">I", len(blocks)) + blocks
    parts += struct.pack(long, len(info)) + info
    raw = planes.astype(planes.dtype.newbyteorder(">"))
    if not packed:
        return parts + struct.pack(">H", 0) + raw.tobytes()
    rows = [packbits(row.tobytes()) for plane in raw for row in plane]
    return parts + struct.pack(">H", 1) + b"".join(struct.pack(">I" if big else ">H", len(row)) for row in rows) + b"".join(rows)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, limits=LIMITS):
        path = tmp_path / "photo.psd"
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=limits)

    return write_and_read


PICTURE = landscape(20, 30).transpose(2, 0, 1)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mode", [GREY, RGB])
def test_grey_and_rgb_are_what_pillow_reads(read, mode, packed):
    data = psd(PICTURE[: 1 if mode == GREY else 3], mode, packed=packed)
    photo = read(data)
    assert np.array_equal(photo.rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert (photo.format, photo.alpha, photo.warnings) == ("PSD", None, ())


@pytest.mark.parametrize("big", [True, False])
def test_documents_and_large_documents_of_16_bits_are_what_psd_tools_reads(read, big):
    data = psd(PICTURE.astype(np.uint16) * 257, RGB, big=big)
    photo = read(data)
    assert np.array_equal(photo.rgb, np.asarray(PSDImage.open(io.BytesIO(data)).composite().convert("RGB")))
    assert photo.warnings == ("photo.psd has 16 bits per channel; the layers have 8.",)


@pytest.mark.parametrize("mode", [CMYK, LAB])
def test_print_colours_are_what_pillow_reads(read, mode):
    planes = np.concatenate([PICTURE, PICTURE[:1]])[: 4 if mode == CMYK else 3]
    data = psd(planes, mode)
    same = Image.open(io.BytesIO(data))
    assert same.mode == ("CMYK" if mode == CMYK else "LAB")
    expected = convert.to_rgb(np.asarray(same), same.mode, None).rgb
    assert np.array_equal(read(data).rgb, expected)


def test_a_palette_is_resolved(read):
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    data = psd(PICTURE[:1], INDEXED, palette=palette.T.tobytes())
    assert np.array_equal(read(data).rgb, palette[PICTURE[0]])


def test_transparency_of_the_merged_picture_is_not_mixed_with_white(read):
    alpha = np.full((20, 30), 128, np.uint8)
    alpha[:, :15] = 255
    alpha[0] = 0
    share = alpha / 255
    merged = np.rint(PICTURE * share + 255 * (1 - share)).astype(np.uint8)
    photo = read(psd(np.concatenate([merged, alpha[None]]), RGB, layer_count=-1))
    assert np.array_equal(photo.alpha, alpha)
    seen = alpha > 0
    assert np.abs(photo.rgb.astype(int) - PICTURE.transpose(1, 2, 0))[seen].max() <= 2
    mask = read(psd(np.concatenate([PICTURE, alpha[None]]), RGB, layer_count=1))  # a stored selection
    assert mask.alpha is None
    assert np.array_equal(mask.rgb, PICTURE.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("data", "what", "remedy"),
    [
        (psd(PICTURE.astype(np.uint32), RGB), "32 bits per channel", "8 or 16 Bits"),
        (psd(PICTURE, 7), "multichannel mode", "RGB Color"),
        (psd(PICTURE.astype(np.uint16), LAB), "16 bits per channel in Lab", "RGB Color"),
        (psd(PICTURE, RGB, resources=[(1057, b"\0\0\0\1\0")]), "without a merged picture", "Maximize Compatibility"),
    ],
)
def test_other_kinds_are_refused_by_name_and_with_the_remedy(read, data, what, remedy):
    with pytest.raises(ImageType, match=what) as refused:
        read(data)
    assert remedy in refused.value.info().hint


def test_cut_off_and_too_large_documents_say_so(read):
    data = psd(PICTURE, RGB, packed=False)
    with pytest.raises(ImageUnreadable, match="cut off"):
        read(data[:-10])
    with pytest.raises(ImageTooLarge, match="30 × 20"):
        read(data, Limits(max_bytes=10**6, max_pixels=599))


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.integers(4, 120), st.binary(min_size=1, max_size=5), st.floats(0.1, 1))
def test_damaged_documents_give_a_picture_or_a_plain_error(tmp_path_factory, big, at, edit, kept):
    data = bytearray(psd(PICTURE, RGB, big=big, resources=[(1057, b"\0\0\0\1\1")]))
    data[at : at + len(edit)] = edit
    path = tmp_path_factory.mktemp("damaged") / "photo.psd"
    path.write_bytes(data[: int(len(data) * kept)])
    try:
        photo = decode.read(os.fsencode(path), limits=LIMITS)
    except JobError:
        return
    assert photo.rgb.shape[2] == 3
