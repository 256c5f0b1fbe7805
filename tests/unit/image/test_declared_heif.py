"""A chart in HEIC and AVIF comes back as the same colours, in every space that such files declare by numbers or by a profile."""

import os

import numpy as np
import pytest
import tifffile
from skimage.color import deltaE_ciede2000

from daemon.contract.messages import Limits
from pipeline.image import decode
from pipeline.image.colour import cicp, icc
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
from tests.unit.image.test_declared import avif

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)

#: name → (numbers of H.273 or a profile, the gamut of the chart, the space's matrix, how light is coded)
SPACES = {
    "sRGB": ((1, 13), SRGB_TO_XYZ, SRGB_TO_XYZ, srgb),
    "P3": ((12, 13), P3_TO_XYZ, P3_TO_XYZ, srgb),
    "P3, ICC": (icc.profile_of(cicp.P3), P3_TO_XYZ, P3_TO_XYZ, srgb),
    "BT.2020": ((9, 14), P3_TO_XYZ, BT2020_TO_XYZ, bt709),
    "Adobe RGB, ICC": (
        icc.profile_of(cicp.Space(cicp.ADOBE_RGB, cicp.Curve(563 / 256), "Adobe RGB")), SRGB_TO_XYZ, ADOBE_TO_XYZ,
        lambda light: light ** (256 / 563),
    ),
    "gamma 1.0": ((9, 8), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: light),
    "BT.2020, ICC": (icc.profile_of(cicp.space_of(9, 14)[0]), P3_TO_XYZ, BT2020_TO_XYZ, bt709),
    "gamma 1.0, ICC": (icc.profile_of(cicp.space_of(9, 8)[0]), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: light),
    "PQ": ((9, 16), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: pq(light * 203)),
    "PQ, ICC": (profile_with_numbers(9, 16), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: pq(light * 203)),
    "HLG": ((9, 18), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: hlg(light * 203, LUMINANCE_2020)),
    "HLG, ICC": (profile_with_numbers(9, 18), P3_TO_XYZ, BT2020_TO_XYZ, lambda light: hlg(light * 203, LUMINANCE_2020)),
}  # fmt: skip


def heic(samples, declared):
    if isinstance(declared, tuple):
        return heic_files.heic((samples, 10, [heic_files.nclx(*declared)]))
    # The numbers say only how RGB was turned into the stored planes.
    return heic_files.heic((samples, 10, [heic_files.box(b"colr", b"prof", declared), heic_files.nclx(2, 2)]))


def avif_of(samples, declared):
    if isinstance(declared, tuple):
        return avif(samples, *declared)
    return avif(samples, 2, 2, 10, heic_files.box(b"colr", b"prof", declared))


@pytest.mark.parametrize("carrier", ["heic", "avif"])
@pytest.mark.parametrize("name", SPACES)
def test_a_chart_comes_back_as_the_same_colours(tmp_path, carrier, name):
    declared, gamut, to_xyz, coded = SPACES[name]
    xyz = chart(gamut)
    light = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
    samples = np.rint(np.clip(coded(light), 0, 1) * 1023).astype(np.uint16)
    # The codec of AVIF loses a little at the borders of the squares; the middles of larger ones are exact.
    samples = samples.repeat(16, axis=0).repeat(16, axis=1) if carrier == "avif" else samples
    path = tmp_path / f"photo.{carrier}"
    path.write_bytes(heic(samples, declared) if carrier == "heic" else avif_of(samples, declared))
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    seen = by_lcms(photo)
    seen = seen[7::16, 7::16] if carrier == "avif" else seen
    difference = deltaE_ciede2000(lab(xyz), seen)
    print(name, carrier, round(difference.mean(), 3), round(difference.max(), 2))
    assert difference.mean() <= 1.0
    assert any("tone mapped" in each for each in photo.warnings) == name.startswith(("PQ", "HLG"))


@pytest.mark.parametrize("numbers", [(9, 16), (9, 18)], ids=["PQ", "HLG"])
def test_a_tiff_with_a_profile_for_hdr_is_tone_mapped(tmp_path, numbers):
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, np.full((8, 8, 3), 30000, np.uint16), photometric="rgb", iccprofile=profile_with_numbers(*numbers))
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    assert photo.profile == "Display P3"
    assert any("tone mapped" in each for each in photo.warnings)
