"""Colours come out as intended: through the embedded profile, or by the simple formula if there is none."""

import io

import numpy as np
import pytest
from pictures import landscape
from PIL import Image, ImageCms

from pipeline.image.colour import convert

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def patch(*value):
    return np.full((4, 5, len(value)) if len(value) > 1 else (4, 5), value if len(value) > 1 else value[0], np.uint8)


def grey_profile(gamma):
    """A minimal grey display profile with a pure power curve (ICC.1:2010, 8.3)."""
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    white = b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    text = b"grey test"
    name = b"desc" + bytes(4) + (len(text) + 1).to_bytes(4, "big") + text + b"\0" + bytes(78)
    name += bytes(-len(name) % 4)
    tags, body, at = b"", b"", 128 + 4 + 3 * 12
    for kind, data in ((b"desc", name), (b"wtpt", white), (b"kTRC", curve)):
        tags += kind + (at + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    size = at + len(body)
    head = size.to_bytes(4, "big") + bytes(4) + b"\x02\x10\0\0" + b"mntr" + b"GRAY" + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + (3).to_bytes(4, "big") + tags + body


def test_rgb_is_passed_on_without_a_copy_and_with_its_profile():
    pixels = landscape()
    colours = convert.to_rgb(pixels, "RGB", SRGB)
    assert colours.rgb is pixels
    assert (colours.icc, colours.warnings) == (SRGB, ())


def test_grey_without_a_profile_is_the_same_in_three_channels():
    colours = convert.to_rgb(patch(77), "L", None)
    assert (colours.rgb == 77).all()
    assert (colours.icc, colours.profile) == (None, "sRGB")


def test_grey_with_an_rgb_profile_keeps_it():
    assert convert.to_rgb(patch(77), "L", SRGB).icc == SRGB


def test_grey_with_a_grey_profile_is_converted_by_it():
    colours = convert.to_rgb(patch(128), "L", grey_profile(1.0))
    # Linear 128/255 is 0.502 of the light, which sRGB writes as 188 (IEC 61966-2-1).
    assert np.abs(colours.rgb.astype(int) - 188).max() <= 1
    assert (colours.icc, colours.profile) == (None, "sRGB")


def test_cmyk_without_a_profile_follows_the_plain_rule():
    assert convert.to_rgb(patch(0, 255, 255, 0), "CMYK", None).rgb[0, 0].tolist() == [255, 0, 0]
    assert convert.to_rgb(patch(0, 0, 0, 255), "CMYK", None).rgb[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("lab", "rgb"),
    [((100, 0, 0), (255, 255, 255)), ((0, 0, 0), (0, 0, 0)), ((53.6, 0, 0), (128, 128, 128)), ((54.3, 80.8, 69.9), (255, 0, 0))],
)
def test_lab_becomes_the_colour_it_names(lab, rgb):
    """Lab values (D50) of sRGB colours; 8-bit Lab is L·255/100, a + 128, b + 128 with the sign bit as in TIFF."""
    lightness, a, b = lab
    encoded = patch(round(lightness * 2.55), round(a) & 0xFF, round(b) & 0xFF)
    assert np.abs(convert.to_rgb(encoded, "LAB", None).rgb[0, 0].astype(int) - rgb).max() <= 5


def test_a_broken_profile_is_ignored_with_a_warning():
    for icc in (b"nonsense", SRGB[:200], SRGB[:128] + bytes(500)):
        colours = convert.to_rgb(landscape(), "RGB", icc)
        assert (colours.icc, colours.profile) == (None, "sRGB")
        assert "ignored" in colours.warnings[0]


def test_a_profile_for_another_kind_of_colour_is_ignored_with_a_warning():
    for mode, pixels, icc in (("RGB", landscape(), grey_profile(2.2)), ("CMYK", patch(0, 0, 0, 0), SRGB)):
        colours = convert.to_rgb(pixels, mode, icc)
        assert colours.icc is None
        assert "ignored" in colours.warnings[0]


def test_rounding_to_8_bits_is_to_nearest_for_every_value():
    for bits in (10, 12, 16):
        top = (1 << bits) - 1
        every = np.arange(top + 1, dtype=np.uint16)
        exact = every.astype(np.float64) * 255 / top
        assert np.abs(convert.to_8_bits(every, bits) - exact).max() <= 0.5


def test_cmyk_with_a_profile_goes_through_it():
    """A profile in which cyan ink is nothing but lighter grey, so that only its use explains the colour."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    assert profile.profile.xcolor_space == "CMYK"
    rgb = convert.to_rgb(patch(255, 0, 0, 0), "CMYK", cmyk_profile()).rgb
    plain = np.asarray(Image.new("CMYK", (1, 1), (255, 0, 0, 0)).convert("RGB"))
    assert np.ptp(rgb[0, 0].astype(int)) <= 2
    assert plain[0, 0].tolist() == [0, 255, 255]


def cmyk_profile():
    """A minimal CMYK output profile whose A2B table gives mid grey for cyan and white for no ink (ICC.1:2010, 10.8, lut8)."""
    grid, corners = 2, []
    for index in range(grid**4):
        c, m, y, k = ((index >> shift) & 1 for shift in (3, 2, 1, 0))
        corners += [round(255 * (1 - 0.5 * c) * (1 - 0.5 * m) * (1 - 0.5 * y) * (1 - k)), 128, 128]
    identity = b"".join((65536 if row == column else 0).to_bytes(4, "big") for row in range(3) for column in range(3))
    curves = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, grid, 0]) + identity + curves * 4 + bytes(corners) + curves * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    tags, body, at = b"", b"", 128 + 4 + 4 * 12
    for kind, data in ((b"wtpt", white), (b"A2B0", lut), (b"A2B1", lut), (b"A2B2", lut)):
        tags += kind + (at + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    size = at + len(body)
    head = size.to_bytes(4, "big") + bytes(4) + b"\x02\x10\0\0" + b"prtr" + b"CMYK" + b"Lab " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + (4).to_bytes(4, "big") + tags + body
