"""The layered file: other programs read from it what was written."""

import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ImageCms

from daemon.errors import OutputTooLarge
from pipeline.export import psd
from pipeline.export.packbits import encode_rows
from pipeline.export.psd import PsdLayer

if TYPE_CHECKING:
    from psd_tools import PSDImage

IMAGEMAGICK = shutil.which("convert-im6.q16") or shutil.which("magick")
NAMES = ["Hintergrund", "中景", "middle 🎞 Ø", "foreground"]


def opened(file: io.BytesIO) -> "PSDImage":
    """The document as psd-tools reads it; imported only here, because every test process imports this module."""
    from psd_tools import PSDImage

    return PSDImage.open(file)


def unpack(data: bytes) -> bytes:
    """PackBits as TIFF 6.0 states it."""
    out, at = bytearray(), 0
    while at < len(data):
        header = data[at]
        if header < 128:
            out += data[at + 1 : at + 2 + header]
            at += 2 + header
        else:
            assert header != 128
            out += data[at + 1 : at + 2] * (257 - header)
            at += 2
    return bytes(out)


def unpacked_rows(rows: np.ndarray) -> np.ndarray:
    data, sizes = encode_rows(rows)
    assert sizes.sum() == len(data)
    ends = np.cumsum(sizes)
    return np.array([np.frombuffer(unpack(data[e - s : e]), np.uint8) for s, e in zip(sizes, ends, strict=True)])


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.integers(1, 400)),
        elements=st.sampled_from([0, 0, 0, 0, 0, 0, 255, 7]),
    )
)
def test_any_rows_come_back_from_packbits(rows: np.ndarray) -> None:
    np.testing.assert_array_equal(unpacked_rows(rows), rows)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 127, 128, 129, 130, 255, 256, 257, 385])
def test_runs_and_literals_of_every_length_come_back_from_packbits(width: int) -> None:
    flat = np.full((3, width), 9, np.uint8)
    mixed = np.arange(3 * width, dtype=np.uint8).reshape(3, width)
    mixed[1, width // 3 :] = 5
    for rows in (flat, mixed):
        np.testing.assert_array_equal(unpacked_rows(rows), rows)


def test_packbits_never_joins_rows_and_grows_by_less_than_one_percent() -> None:
    same = np.full((40, 128), 3, np.uint8)
    assert encode_rows(same)[1].tolist() == [2] * 40
    noise = np.random.default_rng(1).integers(0, 256, (64, 4096), np.uint8)
    assert len(encode_rows(noise)[0]) <= noise.size * 129 / 128


def test_packbits_codes_runs_only_in_strips_that_become_a_fifth_smaller() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (8, 1000), np.uint8)
    for share, smaller in ((100, False), (300, True)):
        rows = noise.copy()
        rows[:, :share] = 9
        np.testing.assert_array_equal(unpacked_rows(rows), rows)
        assert (len(encode_rows(rows)[0]) < rows.size) == smaller


def test_layers_are_deflated_and_the_merged_picture_is_in_packbits() -> None:
    ramp = np.tile(np.arange(1, 256, dtype=np.uint8)[:, None], (100, 1, 4))
    flat = np.full(ramp.shape[:2], 9, np.uint8)
    data = written([PsdLayer("ramp", ramp)], np.dstack([flat] * 3))
    document = opened(io.BytesIO(data))
    [record] = document._record.layer_and_mask_information.layer_info.channel_image_data
    assert [channel.compression.name for channel in record] == ["ZIP_WITH_PREDICTION"] * 4
    assert document._record.image_data.compression.name == "RLE"
    np.testing.assert_array_equal(np.asarray(next(iter(document)).topil()), ramp)
    assert len(data) < ramp.size / 20


def layers_of(rng: np.random.Generator, height: int = 70, width: int = 90) -> list[PsdLayer]:
    boxes = [(0, 0, height, width), (10, 20, 60, 71), (33, 5, 34, 6), (height - 9, width - 7, height, width)]
    layers = []
    for name, (top, left, bottom, right) in zip(NAMES, boxes, strict=True):
        rgba = np.zeros((height, width, 4), np.uint8)
        rgba[top:bottom, left:right] = rng.integers(1, 256, (bottom - top, right - left, 4))
        layers.append(PsdLayer(name, rgba))
    return layers


def largest_difference_where_dense(found: np.ndarray, put: np.ndarray) -> int:
    dense = put[..., 3] >= 128
    return int(np.abs(found[dense].astype(int) - put[dense])[:, :3].max())


def written(layers: list[PsdLayer], composite: np.ndarray, icc: bytes | None = None) -> bytes:
    out = io.BytesIO()
    psd.write(out, layers, composite, icc)
    return out.getvalue()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_psd_tools_reads_names_offsets_pixels_and_transparency(rng: np.random.Generator) -> None:
    layers = layers_of(rng)
    picture = rng.integers(0, 256, (70, 90, 3), np.uint8)
    document = opened(io.BytesIO(written(layers, picture)))
    assert [layer.name for layer in document] == NAMES
    assert len({layer.layer_id for layer in document}) == len(NAMES)
    assert [layer.bbox for layer in document] == [(0, 0, 90, 70), (20, 10, 71, 60), (5, 33, 6, 34), (83, 61, 90, 70)]
    for found, put in zip(document, layers, strict=True):
        left, top, right, bottom = found.bbox
        np.testing.assert_array_equal(np.asarray(found.topil()), put.rgba[top:bottom, left:right])
        assert not found.has_mask()
    np.testing.assert_array_equal(np.asarray(document.topil()), picture)
    assert document.has_preview()


@pytest.mark.skipif(IMAGEMAGICK is None, reason="ImageMagick is not installed")
def test_imagemagick_reads_names_offsets_pixels_and_the_merged_picture(rng: np.random.Generator, tmp_path) -> None:
    layers = layers_of(rng)
    picture = rng.integers(0, 256, (70, 90, 3), np.uint8)
    path = tmp_path / "layers.psd"
    path.write_bytes(written(layers, picture))

    def convert(index: int, *what: str) -> bytes:
        return subprocess.run([IMAGEMAGICK, f"{path}[{index}]", *what], capture_output=True, check=True).stdout

    assert convert(0, "-depth", "8", "rgb:-") == picture.tobytes()
    names, pages = [], []
    for index, layer in enumerate(layers, 1):
        names.append(convert(index, "-format", "%l", "info:"))
        pages.append(convert(index, "-format", "%wx%h%O", "info:").decode())
        top, left, bottom, right = psd.bounding_box(layer.rgba)
        assert convert(index, "-depth", "8", "rgba:-") == layer.rgba[top:bottom, left:right].tobytes()
    # ImageMagick 7 reads the Unicode names, ImageMagick 6 the MacRoman ones beside them.
    assert names in ([n.encode() for n in NAMES], [n.encode("mac_roman", "replace") for n in NAMES])
    assert pages == ["90x70+0+0", "51x50+20+10", "1x1+5+33", "7x9+83+61"]


@pytest.mark.skipif(IMAGEMAGICK is None, reason="ImageMagick is not installed")
def test_imagemagick_reads_a_transparent_merged_picture(rng: np.random.Generator, tmp_path) -> None:
    picture = rng.integers(0, 256, (70, 90, 4), np.uint8)
    picture[:30, :, 3] = 255
    picture[30:40, :, 3] = 0
    path = tmp_path / "layers.psd"
    path.write_bytes(written(layers_of(rng), picture))
    data = subprocess.run([IMAGEMAGICK, f"{path}[0]", "-depth", "8", "rgba:-"], capture_output=True, check=True).stdout
    found = np.frombuffer(data, np.uint8).reshape(picture.shape)
    np.testing.assert_array_equal(found[..., 3], picture[..., 3])
    np.testing.assert_array_equal(found[:30], picture[:30])
    assert largest_difference_where_dense(found, picture) <= 2  # readers take the white away again, rounding


def test_a_transparent_picture_keeps_its_alpha_in_the_merged_picture(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (70, 90, 4), np.uint8)
    picture[:30, :, 3] = 255
    document = opened(io.BytesIO(written(layers_of(rng), picture)))
    merged = np.asarray(document.topil())
    np.testing.assert_array_equal(merged[..., 3], picture[..., 3])
    np.testing.assert_array_equal(merged[:30], picture[:30])
    assert largest_difference_where_dense(merged, picture) <= 2  # readers take the white away again, rounding
    assert len(list(document)) == len(NAMES)


def test_an_opaque_alpha_channel_is_left_out_of_the_merged_picture(rng: np.random.Generator) -> None:
    picture = np.dstack([rng.integers(0, 256, (70, 90, 3), np.uint8), np.full((70, 90), 255, np.uint8)])
    assert opened(io.BytesIO(written(layers_of(rng), picture))).channels == 3


def test_a_layer_with_nothing_in_it_is_an_empty_layer(rng: np.random.Generator) -> None:
    empty = np.zeros((70, 90, 4), np.uint8)
    empty[..., 0] = 200
    layers = [*layers_of(rng), PsdLayer("nothing", empty)]
    document = opened(io.BytesIO(written(layers, layers[0].rgba[..., :3])))
    last = list(document)[-1]
    assert (last.name, last.bbox) == ("nothing", (0, 0, 0, 0))
    assert next(iter(document)).size == (90, 70)


def test_the_colour_profile_and_a_resolution_are_in_the_file(rng: np.random.Generator) -> None:
    from psd_tools.constants import Resource

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + b"!"  # an odd length must be padded
    layers = layers_of(rng)
    document = opened(io.BytesIO(written(layers, layers[0].rgba[..., :3], icc)))
    assert document.image_resources[Resource.ICC_PROFILE].data == icc
    assert document.image_resources[Resource.RESOLUTION_INFO].data.horizontal == 72 << 16
    plain = opened(io.BytesIO(written(layers, layers[0].rgba[..., :3])))
    assert Resource.ICC_PROFILE not in plain.image_resources


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 30_001), (30_001, 2)])
def test_pictures_of_any_proportion_come_back_and_long_ones_become_psb(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psd_tools.api.utils.MAX_DIMENSION_PSD", 300_000)  # the reader guards PSB with the limit of PSD
    rng = np.random.default_rng(3)
    rgba = rng.integers(1, 256, (height, width, 4), np.uint8)
    out = io.BytesIO()
    kind = psd.write(out, [PsdLayer("a", rgba), PsdLayer("b", rgba)], rgba[..., :3])
    assert kind == ("psb" if max(height, width) > 30_000 else "psd")
    document = opened(io.BytesIO(out.getvalue()))
    for layer in document:
        np.testing.assert_array_equal(np.asarray(layer.topil()), rgba)
    np.testing.assert_array_equal(np.asarray(document.topil()), rgba[..., :3])


def test_a_file_that_outgrows_psd_is_begun_anew_as_psb(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = layers_of(rng)
    monkeypatch.setattr(psd, "PSD_BYTES", 20_000)
    out = io.BytesIO()
    assert psd.write(out, layers, layers[0].rgba[..., :3]) == "psb"
    assert struct.unpack(">4sH", out.getvalue()[:6]) == (b"8BPS", 2)
    document = opened(io.BytesIO(out.getvalue()))
    np.testing.assert_array_equal(np.asarray(next(iter(document)).topil()), layers[0].rgba)


def test_a_picture_beyond_psb_is_refused_with_its_size() -> None:
    with pytest.raises(OutputTooLarge, match=r"300001 × 1 pixels.*300,000"):
        psd.write(io.BytesIO(), [], np.zeros((1, 300_001, 3), np.uint8))


def test_a_layer_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="canvas"):
        psd.write(io.BytesIO(), [PsdLayer("a", np.zeros((2, 2, 4), np.uint8))], np.zeros((2, 3, 3), np.uint8))


@pytest.mark.parametrize("name", ["", "x" * 400, "\ud800 alone", "a" * 253 + "中", "‮txt"])
def test_awkward_names_are_kept_as_far_as_unicode_goes(name: str) -> None:
    rgba = np.full((2, 2, 4), 255, np.uint8)
    document = opened(io.BytesIO(written([PsdLayer(name, rgba)], rgba[..., :3])))
    assert next(iter(document)).name == name.replace("\ud800", "?")


def test_the_same_layers_give_the_same_bytes(rng: np.random.Generator) -> None:
    layers = layers_of(rng)
    make: Callable[[], bytes] = lambda: written(layers, layers[0].rgba[..., :3])  # noqa: E731
    assert make() == make()
