"""Colours are what the file declares: a chart written in every declared space comes back as the same colours.

The chart's colours are measured as lcms sees the result with its profile, and compared by ΔE2000.
"""

import io
import math
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage.color import deltaE_ciede2000

from daemon.contract.messages import Limits
from daemon.errors import ImageUnreadable
from pipeline.image import decode
from pipeline.image.colour import cicp, declared, icc, tone
from pipeline.image.turning import upright
from tests.carriers import heic_files
from tests.unit.image.charts import (
    ADOBE_TO_XYZ,
    BT2020_TO_XYZ,
    LUMINANCE_2020,
    P3_TO_XYZ,
    SRGB_TO_XYZ,
    bt709,
    by_lcms,
    chart,
    hlg,
    lab,
    pq,
    profile_with_numbers,
    srgb,
)
from tests.unit.pictures import SAMPLES, chunk, encoded, exif, landscape, png16

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)


def cicp_chunk(primaries, transfer, full=1):
    return chunk(b"cICP", bytes([primaries, transfer, 0, full]))


def iccp(space):
    return iccp_of(icc.profile_of(space))


def iccp_of(profile):
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def gama(gamma, points=None):
    given = chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    if points is None:
        return given
    red, green, blue, white = points
    numbers = [round(value * 100_000) for point in (white, red, green, blue) for value in point]
    return given + chunk(b"cHRM", struct.pack(">8I", *numbers))


#: name → (the chunk that declares it, the gamut of the chart, the space's matrix, how light is coded)
SPACES = {
    "sRGB, cICP": (cicp_chunk(1, 13), SRGB_TO_XYZ, SRGB_TO_XYZ, srgb),
    "P3, cICP": (cicp_chunk(12, 13), P3_TO_XYZ, P3_TO_XYZ, srgb),
    "P3, ICC": (iccp(cicp.P3), P3_TO_XYZ, P3_TO_XYZ, srgb),
    "BT.2020, cICP": (cicp_chunk(9, 14), P3_TO_XYZ, BT2020_TO_XYZ, bt709),
    "BT.2020, ICC": (iccp(cicp.space_of(9, 14)[0]), P3_TO_XYZ, BT2020_TO_XYZ, bt709),
    "Adobe RGB, gAMA and cHRM": (gama(256 / 563, cicp.ADOBE_RGB), SRGB_TO_XYZ, ADOBE_TO_XYZ, lambda light: light ** (256 / 563)),
    "Adobe RGB, ICC": (
        iccp(cicp.Space(cicp.ADOBE_RGB, cicp.Curve(563 / 256), "Adobe RGB")), SRGB_TO_XYZ, ADOBE_TO_XYZ,
        lambda light: light ** (256 / 563),
    ),
    "gamma 1.0, gAMA": (gama(1.0), SRGB_TO_XYZ, SRGB_TO_XYZ, lambda light: light),
    "gamma 1.0, cICP": (cicp_chunk(9, 8), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: light),
    "gamma 1.0, ICC": (iccp(cicp.Space(cicp.BT709, cicp.LINEAR, "linear")), SRGB_TO_XYZ, SRGB_TO_XYZ, lambda light: light),
    "gamma 1.8, gAMA": (gama(1 / 1.8), SRGB_TO_XYZ, SRGB_TO_XYZ, lambda light: light ** (1 / 1.8)),
    "PQ, cICP": (cicp_chunk(9, 16), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: pq(light * 203)),
    "PQ, ICC": (iccp_of(profile_with_numbers(9, 16)), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: pq(light * 203)),
    "PQ, BT.709": (cicp_chunk(1, 16), SRGB_TO_XYZ, SRGB_TO_XYZ, lambda light: pq(light * 203)),
    "HLG, cICP": (cicp_chunk(9, 18), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: hlg(light * 203, LUMINANCE_2020)),
    "HLG, ICC": (
        iccp_of(profile_with_numbers(9, 18)), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: hlg(light * 203, LUMINANCE_2020)
    ),
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, name="photo.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=LIMITS)

    return write_and_read


@pytest.mark.parametrize("name", SPACES)
def test_a_chart_in_every_declared_space_comes_back_as_the_same_colours(read, name):
    extra, gamut, to_xyz, coded = SPACES[name]
    xyz = chart(gamut)
    light = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
    samples = np.rint(np.clip(coded(light), 0, 1) * 65535).astype(np.uint16)
    photo = read(png16(samples, extra=extra))
    difference = deltaE_ciede2000(lab(xyz), by_lcms(photo))
    assert difference.mean() <= 1.0, f"{difference.mean():.2f}, at most {difference.max():.2f}"
    is_hdr = name.startswith(("PQ", "HLG"))
    assert any("tone mapped" in each for each in photo.warnings) == is_hdr


def test_highlights_are_compressed_by_the_formula_that_is_stated():
    """BT.2390-10, section 5.4.1, number by number."""

    def scalar(nits, peak, white=203.0):
        top, most = pq(peak), pq(white) / pq(peak)
        knee = 1.5 * most - 0.5
        e = float(pq(nits) / top)
        if e >= knee:
            t = (e - knee) / (1 - knee)
            e = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
        root = (e * top) ** (1 / 78.84375)
        return 10000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)

    nits = np.array([0.0, 1, 50, 93, 203, 400, 1000])
    expected = [scalar(each, 1000.0) for each in nits]
    assert tone.compressed(nits, 1000.0) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert expected[-1] == pytest.approx(203, rel=1e-3)
    assert tone.compressed(nits[:5], 150.0).tolist() == nits[:5].tolist()


def test_the_hue_of_a_highlight_stays(read):
    light = np.tile([120.0, 90.0, 60.0], (40, 40, 1))
    light[10:30, 10:30] *= 8
    photo = read(png16(np.rint(pq(light) * 65535).astype(np.uint16), extra=cicp_chunk(1, 16)))
    inside, outside = (np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) for v in photo.rgb[[20, 2], [20, 2]] / 255)
    assert inside / inside[0] == pytest.approx([1, 0.75, 0.5], abs=0.02)
    assert outside[0] < inside[0] <= 1.0
    assert "960" in photo.warnings[-1].replace(",", "") or "95" in photo.warnings[-1]


def test_cicp_is_stronger_than_a_profile_and_a_profile_than_gamma(read):
    samples = np.full((4, 4, 3), 30000, np.uint16)
    other = iccp(cicp.Space(cicp.ADOBE_RGB, cicp.Curve(2.2), "other"))
    assert read(png16(samples, extra=cicp_chunk(12, 13) + other + gama(1.0))).profile == "Display P3"
    assert read(png16(samples, extra=other + gama(1.0))).profile == "other"
    assert read(png16(samples, extra=chunk(b"sRGB", b"\0") + gama(1.0))).icc is None
    assert read(png16(samples, extra=gama(0.45455, cicp.BT709))).icc is None


def test_a_gamma_stands_for_srgbs_curve_only_with_srgbs_primaries():
    assert cicp.png_space(0.45455, None) is None
    assert cicp.png_space(0.45455, (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)) is None
    adobe = cicp.png_space(0.45471, (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06))
    assert adobe.transfer == cicp.Curve(1 / 0.45471)
    assert cicp.png_space(0.45455, (0.3, 0.3, 0.6, 0.3, 0.6, 0.3, 0.6, 0.3)) is None  # no triangle


def test_narrow_range_and_unknown_numbers(read):
    samples = (np.uint16([[[16, 235, 126]]]) * 257).repeat(3, axis=0)
    assert read(png16(samples, extra=cicp_chunk(1, 13, full=0))).rgb[0, 0].tolist() == [0, 255, 128]
    photo = read(png16(samples, extra=cicp_chunk(99, 200)))
    assert photo.icc is None
    assert "photo.png declares colours by primaries 99 and transfer function 200 of H.273" in photo.warnings[0]


def test_a_grey_picture_with_a_gamma_gets_it_as_a_profile(read):
    photo = read(png16(np.full((4, 5), 32768, np.uint16), extra=gama(1 / 1.8)))
    assert (photo.rgb == 128).all()
    assert by_lcms(photo)[0, 0, 0] == pytest.approx(lab(0.50196**1.8 * SRGB_TO_XYZ.sum(axis=1))[0], abs=0.5)


def avif(rgb, primaries, transfer, depth=10, *more):
    """An AVIF written by OpenCV, with other numbers in its `colr` property, and further properties of the picture."""
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_SPEED, 9]
    data = bytearray(cv2.imencode(".avif", rgb[..., ::-1], options)[1].tobytes())
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    for number, prop in enumerate(more):
        ipma = data.index(b"ipma") - 4
        grown = len(prop) + 1
        for kind, size in ((b"meta", grown), (b"iprp", grown), (b"ipco", len(prop)), (b"ipma", 1)):
            start = data.index(kind) - 4
            data[start : start + 4] = struct.pack(">I", struct.unpack_from(">I", data, start)[0] + size)
        count = ipma + 8 + 4 + 4 + 2
        data[count] += 1
        data.insert(count + 1 + data[count] - 1, 0x80 | (5 + number))
        data[ipma:ipma] = prop
        offset = data.index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2 + 2
        data[offset : offset + 4] = struct.pack(">I", struct.unpack_from(">I", data, offset)[0] + grown)
    return bytes(data)


def test_an_avif_keeps_ten_bits_until_it_is_tone_mapped(read):
    xyz = chart(P3_TO_XYZ).repeat(8, axis=0).repeat(8, axis=1)
    light = np.clip(xyz @ np.linalg.inv(BT2020_TO_XYZ).T, 0, 1)
    photo = read(avif(np.rint(pq(light * 203) * 1023).astype(np.uint16), 9, 16), "photo.avif")
    assert (photo.bits, photo.profile) == (10, "Display P3")
    # Borders between the squares suffer from the codec; the middles do not.
    middle = np.s_[3::8, 3::8]
    assert deltaE_ciede2000(lab(xyz), by_lcms(photo))[middle].mean() <= 1.5


def test_an_avif_is_cropped_as_its_property_says(read):
    rgb = landscape(48, 64)
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", 32, 1, 24, 1, -8, 1, 4, 1)
    whole, cropped = (read(avif(rgb, 1, 13, 8, *props), "photo.avif") for props in ([], [clap]))
    assert np.array_equal(cropped.rgb, whole.rgb[16:40, 8:40])
    outside = struct.pack(">I4sIIIIiIiI", 40, b"clap", 32, 1, 24, 1, 900, 1, 4, 0)
    assert read(avif(rgb, 1, 13, 8, outside), "photo.avif").rgb.shape == (48, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_by_irot_and_imir_in_their_order_after_its_crop(read, orientation):
    rgb = landscape(48, 64)
    clap = heic_files.box(b"clap", struct.pack(">IIIIiIiI", 32, 1, 24, 1, -8, 1, 4, 1))
    whole = read(avif(rgb, 1, 13, 8), "photo.avif").rgb
    turned = read(avif(rgb, 1, 13, 8, clap, *heic_files.TURNS[orientation]), "photo.avif")
    assert np.array_equal(turned.rgb, upright(whole[16:40, 8:40], orientation))
    assert turned.orientation == orientation


def test_an_avif_is_mirrored_before_it_is_turned_if_it_says_so_in_this_order(read):
    whole = read(avif(landscape(48, 64), 1, 13, 8), "photo.avif").rgb
    turned = read(avif(landscape(48, 64), 1, 13, 8, heic_files.imir(1), heic_files.irot(1)), "photo.avif")
    assert np.array_equal(turned.rgb, np.rot90(whole[:, ::-1]))


@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_what_metadata_says_about_an_avifs_orientation_does_not_count(read, where):
    image = Image.fromarray(landscape(48, 64))
    about = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    data = encoded(image, "AVIF", **({"xmp": about} if where == "xmp" else {"exif": exif(1)}))
    if where == "exif":
        data = data.replace(*(exif(each).tobytes()[6:] for each in (1, 6)))
    photo = read(data, "photo.avif")
    assert (photo.rgb.shape, photo.orientation) == ((48, 64, 3), 1)


def test_an_avif_in_p3_without_a_profile_gets_one(read):
    photo = read(avif(landscape(48, 64), 12, 13, 8), "photo.avif")
    assert photo.profile == "Display P3"
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(photo.icc))).strip() == "Display P3"


@pytest.mark.skipif(not (SAMPLES / "iphone_pug_original.heic").exists(), reason=f"no sample photo in {SAMPLES}")
def test_a_heics_numbers_are_found_at_its_main_picture():
    data = bytearray((SAMPLES / "iphone_pug_original.heic").read_bytes())
    assert declared.of_file("HEIF", io.BytesIO(data), None, None) == declared.Declared()
    at = data.index(b"colrprof") + 4
    data[at : at + 11] = b"nclx" + struct.pack(">HHHB", 12, 13, 6, 128)
    assert declared.of_file("HEIF", io.BytesIO(data), None, None).space == cicp.P3


def test_a_cameras_adobe_rgb_is_not_taken_for_srgb(read):
    tags = exif(1)
    tags._ifds[0x8769] = {0xA001: 2}
    photo = read(encoded(landscape(), "JPEG", exif=tags), "photo.jpg")
    assert photo.profile == "Adobe RGB (1998)"
    assert photo.icc is not None
    assert read(encoded(landscape(), "JPEG", exif=exif(1)), "photo.jpg").icc is None


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([b"gAMA", b"cHRM", b"cICP", b"iCCP"]),
    st.one_of(st.binary(max_size=40), st.binary(min_size=32, max_size=32), st.binary(min_size=4, max_size=4)),
)
def test_hostile_declarations_give_a_picture_or_are_damage(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("hostile") / "photo.png"
    path.write_bytes(png16(np.full((3, 3, 3), 30000, np.uint16), extra=chunk(kind, data)))
    try:
        photo = decode.read(os.fsencode(path), limits=LIMITS)
    except ImageUnreadable as refused:
        assert "damaged" in refused.message  # noqa: PT017  the file has its end, so it is not cut off
    else:
        assert photo.rgb.shape == (3, 3, 3)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=12), st.integers(8, 330), st.integers(0, 3))
def test_hostile_boxes_declare_something_or_nothing(data, at, kind):
    whole = bytearray(AVIF)
    whole[at : at + len(data)] = data
    file = io.BytesIO(whole)
    assert declared.bits_of(file) in (8, 10, 12)
    assert declared.visible_part(file, 60, 40) is None
    assert math.isfinite(sum(map(sum, (declared.in_boxes(file)[0] or cicp.SRGB).primaries)))


AVIF = avif(landscape(40, 60), 12, 13, 8)
