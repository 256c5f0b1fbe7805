"""HEIC files written byte by byte: exact colours, crops as their properties say, and every orientation."""

import io
import os
import struct

import numpy as np
import pi_heif
import pytest
from PIL import Image

from daemon.contract.messages import Limits
from pipeline.image import decode
from pipeline.image.turning import upright
from tests.carriers import heic_files
from tests.unit.pictures import landscape

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
RGB = landscape(64, 96)


@pytest.fixture
def read(tmp_path):
    def write_and_read(*pictures, **options):
        path = tmp_path / "photo.heic"
        path.write_bytes(heic_files.heic(*pictures, **options))
        return decode.read(os.fsencode(path), limits=LIMITS)

    return write_and_read


def clap(width, height, left, top, of=(96, 64)):
    """The property for this part of a picture of the size `of`."""
    across, down = 2 * left + width - of[0], 2 * top + height - of[1]
    return heic_files.box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, down, 2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("part", [None, (40, 30, 20, 10), (7, 5, 88, 58)])
def test_crops_and_turns_are_exact_at_every_orientation(read, orientation, part):
    crop = [] if part is None else [clap(*part)]
    photo = read((RGB, 8, [heic_files.nclx(), *crop, *heic_files.TURNS[orientation]]))
    width, height, left, top = part or (96, 64, 0, 0)
    assert np.array_equal(photo.rgb, upright(RGB[top : top + height, left : left + width], orientation))


def test_a_small_crop_of_a_large_picture_is_read_though_libheif_refuses_it(read):
    large = np.tile(RGB, (8, 8, 1))
    picture = (large, 8, [heic_files.nclx(), clap(100, 60, 300, 200, (768, 512))])
    with pytest.raises(RuntimeError, match="Security limit"):
        np.asarray(pi_heif.open_heif(io.BytesIO(heic_files.heic(picture))))
    assert np.array_equal(read(picture).rgb, large[200:260, 300:400])


def test_a_crop_outside_the_picture_and_one_after_a_turn_are_left_to_libheif(read):
    assert read((RGB, 8, [heic_files.nclx(), heic_files.irot(1), clap(30, 40, 10, 20, (64, 96))])).rgb.shape == (40, 30, 3)
    assert read((RGB, 8, [heic_files.nclx(), clap(98, 66, -1, -1)])).rgb.shape == (64, 96, 3)


@pytest.mark.parametrize(("unit", "expected"), [(2, (300.0, 200.0)), (3, (762.0, 508.0))])
def test_resolution_comes_from_exif_and_turns_with_the_picture(read, unit, expected):
    tags = Image.Exif()
    tags[282], tags[283], tags[296] = 300.0, 200.0, unit
    assert read((RGB, 8, []), exif=tags.tobytes()[6:]).dpi == pytest.approx(expected)
    tags[274] = 6
    assert read((RGB, 8, heic_files.TURNS[6]), exif=tags.tobytes()[6:]).dpi == pytest.approx(expected[::-1])
    tags[282] = 0.0
    assert read((RGB, 8, []), exif=tags.tobytes()[6:]).dpi is None
    assert read((RGB, 8, []), exif=b"II*\0\xff\xff").dpi is None
