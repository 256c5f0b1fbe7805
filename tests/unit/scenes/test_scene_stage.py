"""Which layers stand where, and the pictures on them."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pipeline.export.camera import Plane
from pipeline.export.scenes import texture
from pipeline.export.scenes.stage import CLOSEST_TOGETHER, standing, title_of
from pipeline.export.scenes.texture import continued, texture_size, textures
from pipeline.image.colour.cicp import P3, SRGB, SRGB_CURVE, to_xyz
from pipeline.image.colour.icc import profile_of
from tests.unit.scenes.stand_in import pictures


def test_no_two_planes_stand_in_one_place_and_each_fills_the_view() -> None:
    made = pictures(count=4)
    equal = tuple((0.5, 0.5 + 1e-9 * k) for k in range(4))
    object.__setattr__(made.layers, "depth_ranges", equal)
    layers, camera = standing(made), made.camera
    for far, near in pairwise(layers):
        assert near.distance <= far.distance * (1 - CLOSEST_TOGETHER * 0.999)
    for each in layers:
        across, up = (side * camera.focal_length / each.distance for side in each.size)
        assert (across, up) == pytest.approx((camera.width, camera.height))
    assert isinstance(camera.planes[0], Plane)


def test_a_picture_without_any_pixel_still_has_a_plane() -> None:
    assert [each.name for each in standing(pictures(empty=(0, 1, 2)))] == ["Layer 1 background"]


@pytest.mark.parametrize(("given", "shown"), [("  a\tb\nc ", "a b c"), ("\udcff\x00‮", "Picture"), ("x" * 200, "x" * 100)])
def test_a_title_is_one_visible_line(given: str, shown: str) -> None:
    assert title_of(pictures(title=given)) == shown


def test_textures_stay_within_their_limits() -> None:
    assert texture_size(400, 300, 4, 4096) == (400, 300)
    assert texture_size(8000, 2000, 2, 4096) == (4096, 1024)
    width, height = texture_size(8000, 6000, 12, 4096)
    assert width * height * 12 == pytest.approx(texture.MAX_TEXELS, rel=0.01)
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    assert texture_size(100_000, 1, 12, 4096) == (4096, 1)
    reduced = list(textures(standing(pictures(400, 240)), None, 100))
    assert [Image.open(io.BytesIO(each.png)).size for each in reduced] == [(100, 60)] * 3


def test_colour_continues_under_transparent_borders_and_nothing_visible_changes() -> None:
    rgb = np.zeros((60, 60, 3), np.uint8)
    alpha = np.zeros((60, 60), np.uint8)
    rgb[:30, :5], alpha[:30, :5] = (200, 10, 10), 255
    rgb[30:, :5], alpha[30:, :5] = (10, 10, 200), 1
    out = continued(rgb, alpha)
    assert np.array_equal(out[:, :5], rgb[:, :5])
    assert out[5, 20].tolist() == [200, 10, 10]
    assert out[55, 20].tolist() == [10, 10, 200]
    assert out[5, 40].tolist() == out[55, 40].tolist() == [105, 10, 105]
    opaque = np.full_like(alpha, 255)
    assert continued(rgb, opaque) is rgb
    assert np.array_equal(continued(rgb, np.zeros_like(alpha)), rgb)


def test_textures_are_in_srgb_whatever_the_layers_are_in() -> None:
    made = pictures(icc=profile_of(P3))
    made.layers.rgba[0][..., :3] = (200, 100, 120)
    first = next(iter(textures(standing(made), made.photo.icc, 4096)))
    found = np.asarray(Image.open(io.BytesIO(first.png)))
    light = SRGB_CURVE.light(np.array([200, 100, 120]) / 255)
    wanted = np.linalg.inv(to_xyz(SRGB.primaries)) @ to_xyz(P3.primaries) @ light
    assert found[0, 0].tolist() == pytest.approx(SRGB_CURVE.coded(wanted) * 255, abs=1.0)
