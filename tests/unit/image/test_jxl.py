"""JPEG XL: exact pixels, colours as the header or the profile declares them, and refusals of what the decoder gets wrong."""

import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000

from daemon.contract.messages import Limits
from daemon.errors import ImageTooLarge, ImageType, ImageUnreadable, JobError
from pipeline.image import decode
from pipeline.image.colour import cicp, icc
from tests.carriers import heic_files, jxl_files
from tests.unit.image.charts import BT2020_TO_XYZ, LUMINANCE_2020, P3_TO_XYZ, SRGB_TO_XYZ, by_lcms, chart, hlg, lab, srgb
from tests.unit.pictures import landscape

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
RGB = landscape(41, 59)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, limits=LIMITS):
        path = tmp_path / "photo.jxl"
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=limits)

    return write_and_read


@pytest.mark.parametrize("wrap", [lambda data: data, jxl_files.boxed, lambda data: jxl_files.boxed(data, 3)])
def test_pixels_are_exact_bare_and_in_a_container(read, wrap):
    photo = read(wrap(jxl_files.jxl(RGB)))
    assert np.array_equal(photo.rgb, RGB)
    assert (photo.format, photo.bits, photo.icc, photo.warnings) == ("JXL", 8, None, ())


def test_alpha_and_grey_are_kept(read):
    import pylibjxl

    alpha = np.where(np.arange(59) < 20, 255, 90).astype(np.uint8) * np.ones((41, 1), np.uint8)
    photo = read(pylibjxl.encode(np.dstack([RGB, alpha]), lossless=True))
    assert np.array_equal(photo.alpha, alpha)
    assert np.array_equal(photo.rgb, RGB)
    assert np.array_equal(read(pylibjxl.encode(RGB[..., 0].copy(), lossless=True)).rgb[..., 1], RGB[..., 0])


def test_a_profile_is_kept(read):
    profile = icc.profile_of(cicp.Space(cicp.ADOBE_RGB, cicp.Curve(563 / 256), "Adobe RGB"))
    photo = read(jxl_files.jxl(RGB, icc=profile))
    assert photo.icc == profile
    assert np.array_equal(photo.rgb, RGB)


@pytest.mark.parametrize(
    ("colours", "gamut", "to_xyz", "coded"),
    [
        (None, SRGB_TO_XYZ, SRGB_TO_XYZ, srgb),
        ((jxl_files.P3, jxl_files.SRGB_CURVE), P3_TO_XYZ, P3_TO_XYZ, srgb),
        ((jxl_files.BT2100, jxl_files.HLG), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: hlg(light * 203, LUMINANCE_2020)),
    ],
)
def test_a_chart_comes_back_as_the_same_colours(read, colours, gamut, to_xyz, coded):
    xyz = chart(gamut)
    light = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
    samples = np.rint(np.clip(coded(light), 0, 1) * 255).astype(np.uint8)
    # The header is only rewritten for sizes that it has no shorter form for.
    photo = read(jxl_files.jxl(np.pad(samples, ((0, 29), (0, 47), (0, 0))), colours))
    assert deltaE_ciede2000(lab(xyz), by_lcms(photo)[:12, :12]).mean() <= 1.0
    assert any("tone mapped" in each for each in photo.warnings) == (colours is not None and colours[1] == jxl_files.HLG)


def test_colours_that_are_multiplied_by_alpha_are_divided_again(read):
    alpha = np.full((41, 59), 128, np.uint8)
    halves = ((RGB.astype(int) * 128 + 127) // 255).astype(np.uint8)
    photo = read(jxl_files.jxl(np.dstack([halves, alpha]), extra="premultiplied"))
    assert np.array_equal(photo.alpha, alpha)
    assert np.abs(photo.rgb.astype(int) - RGB).max() <= 2
    assert np.array_equal(read(jxl_files.jxl(np.dstack([halves, alpha]), extra="alpha")).rgb, halves)


def test_black_ink_is_not_left_out_but_refused(read):
    with pytest.raises(ImageType, match="JPEG XL picture in CMYK; such"):
        read(jxl_files.jxl(np.dstack([RGB, RGB[..., 0]]), extra="black"))


def test_a_compressed_box_beside_the_picture_is_never_expanded(read, monkeypatch):
    import pylibjxl

    seen = []
    decoded = pylibjxl.decode
    monkeypatch.setattr(pylibjxl, "decode", lambda data, **more: (seen.append(data), decoded(data, **more))[1])
    picture = jxl_files.jxl(RGB)
    photo = read(jxl_files.boxed(picture) + heic_files.box(b"brob", b"Exif", bytes(2000)))
    assert np.array_equal(photo.rgb, RGB)
    assert seen == [picture]


def test_an_animation_whose_last_frame_the_decoder_would_return_is_refused(read):
    with pytest.raises(ImageType, match=r"JPEG XL picture with several frames \(an animation\); such"):
        read(jxl_files.jxl(RGB, animation=True))


def test_limits_and_missing_ends_are_told(read):
    data = jxl_files.jxl(RGB)
    with pytest.raises(ImageTooLarge, match="59 × 41"):
        read(data, Limits(max_bytes=10**6, max_pixels=59 * 41 - 1))
    for kept in (5, len(data) // 2):
        with pytest.raises(ImageUnreadable):
            read(data[:kept])
    with pytest.raises(ImageUnreadable, match="cut off"):
        read(jxl_files.boxed(data)[:-9])


def test_without_a_decoder_the_sentence_says_so(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "pylibjxl", None)
    with pytest.raises(ImageType, match="this machine has no decoder for it"):
        read(jxl_files.boxed(b"\xff\x0a"))


WHOLE = jxl_files.jxl(RGB)


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.lists(st.tuples(st.integers(2, 80), st.binary(min_size=1, max_size=4)), max_size=3), st.floats(0.02, 1))
def test_hostile_files_give_a_picture_or_a_plain_error(tmp_path_factory, boxed, edits, kept):
    data = bytearray(jxl_files.boxed(WHOLE, 2) if boxed else WHOLE)
    for at, value in edits:
        data[at : at + len(value)] = value
    path = tmp_path_factory.mktemp("hostile") / "photo.jxl"
    path.write_bytes(data[: max(3, int(len(data) * kept))])
    try:
        photo = decode.read(os.fsencode(path), limits=LIMITS)
    except JobError:
        return
    assert photo.rgb.shape[2] == 3
