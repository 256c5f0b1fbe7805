"""A colour chart, the formulas of the spaces it is written in, and the colours that lcms sees in a decoded picture."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

from pipeline.image.colour import cicp, icc

P3_TO_XYZ = np.array([[0.48657095, 0.26566769, 0.19821729], [0.22897456, 0.69173852, 0.07928691], [0, 0.04511338, 1.04394437]])
SRGB_TO_XYZ = np.array(
    [[0.41239080, 0.35758434, 0.18048079], [0.21263901, 0.71516868, 0.07219232], [0.01933082, 0.11919478, 0.95053215]]
)
BT2020_TO_XYZ = np.array(
    [[0.63695805, 0.14461690, 0.16888098], [0.26270021, 0.67799807, 0.05930172], [0, 0.02807269, 1.06098506]]
)
ADOBE_TO_XYZ = np.array(
    [[0.57666904, 0.18555824, 0.18822865], [0.29734498, 0.62736357, 0.07529146], [0.02703136, 0.07068885, 0.99133754]]
)
BRADFORD_D65_TO_D50 = np.array(
    [[1.0479298, 0.0229468, -0.0501922], [0.0296278, 0.9904344, -0.0170738], [-0.0092430, 0.0150552, 0.7518743]]
)


def chart(to_xyz):
    """XYZ (12, 12, 3) of colours all over a gamut, white has Y = 1."""
    steps = (np.linspace(0.1, 1, 12) ** 2)[:, None] * np.ones(12)
    mix = np.random.default_rng(4).uniform(0.05, 1, (12, 12, 3))
    mix[:, :3] = 1  # greys
    return (steps[..., None] * mix / mix.max(axis=2, keepdims=True)) @ to_xyz.T


def lab(xyz):
    """CIE Lab of XYZ relative to D65, as a profile connects it: adapted to D50."""
    ratio = xyz @ BRADFORD_D65_TO_D50.T / [0.9642, 1.0, 0.8249]
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def by_lcms(photo):
    """The Lab that lcms makes of a decoded photo and its profile."""
    profile = ImageCms.createProfile("sRGB") if photo.icc is None else ImageCms.ImageCmsProfile(io.BytesIO(photo.icc))
    seen = ImageCms.profileToProfile(
        Image.fromarray(photo.rgb), profile, ImageCms.createProfile("LAB"), renderingIntent=1, outputMode="LAB"
    )
    stored = np.asarray(seen).astype(float)
    return np.dstack([stored[..., 0] * 100 / 255, (stored[..., 1:].astype(np.uint8)).view(np.int8).astype(float)])


def pq(nits):
    y = (np.maximum(nits, 0) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits, luminance):
    """HLG numbers of display light on a screen of 1,000 cd/m²."""
    y = np.maximum((nits @ luminance)[..., None] / 1000, 1e-9)
    scene = np.maximum(nits / 1000 * y ** ((1 - 1.2) / 1.2), 0)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def bt709(light):
    return np.where(light < 0.018053968510807, 4.5 * light, 1.099296826809442 * light**0.45 - 0.099296826809442)


def srgb(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def profile_with_numbers(primaries, transfer):
    """A profile that says by numbers (its `cicp` tag) what its colours are; its curves are those of another space."""
    plain = icc.profile_of(cicp.space_of(9, 14)[0])
    count = struct.unpack_from(">I", plain, 128)[0]
    tag = b"cicp" + bytes(4) + bytes([primaries, transfer, 0, 1])
    table = plain[132 : 132 + 12 * count]
    moved = b"".join(
        struct.pack(">4sII", name, at + 12, size) for name, at, size in struct.iter_unpack(">4sII", table)
    ) + struct.pack(">4sII", b"cicp", len(plain) + 12, len(tag))
    profile = plain[:128] + struct.pack(">I", count + 1) + moved + plain[132 + 12 * count :] + tag
    return struct.pack(">I", len(profile)) + profile[4:]


LUMINANCE_2020 = BT2020_TO_XYZ[1]
