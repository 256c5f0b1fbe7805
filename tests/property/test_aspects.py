"""Promise 4 holds for strips as well: every aspect from 1 × 1 to 1 × 65,000, both ways, 2 to 12 layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import texture
from pipeline.depth import cues
from pipeline.layering import layer_picture

STRIPS = [(1, 1), (1, 2), (3, 300), (40, 1000), (41, 1000), (100, 3000), (1, 20_000), (1, 65_000), (5, 40_000)]


def blocks(height, width, seed):
    """A noisy picture and depth in steps along both sides, so that layers hide one another whatever the aspect."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    depth = ((x * 9 // width) % 3 + (y * 3 // height) % 2).astype(np.float32)
    return rgb, depth / max(1.0, float(depth.max()))


def recomposes(rgb, depth, num_layers):
    layers = layer_picture(rgb, None, depth, None, num_layers=num_layers)
    assert layers.max_error <= 1
    assert layers.rgba[0].shape == (*rgb.shape[:2], 4)
    opaque = np.zeros(rgb.shape[:2], bool)
    for layer in layers.rgba:
        opaque |= layer[..., 3] == 255
    assert opaque.all()


@pytest.mark.parametrize("num_layers", [2, 4, 12])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", STRIPS)
def test_a_strip_is_given_back_by_its_layers(shape, turned, num_layers):
    height, width = shape[::-1] if turned else shape
    rgb, depth = blocks(height, width, 1)
    recomposes(rgb, depth, num_layers)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 3000), st.booleans(), st.integers(2, 12), st.integers(0, 9))
def test_any_aspect_is_given_back(short, long, turned, num_layers, seed):
    height, width = (long, short) if turned else (short, long)
    rgb, depth = blocks(height, width, seed)
    recomposes(rgb, depth, num_layers)


@pytest.mark.parametrize("shape", [(1, 1), (1, 65_000), (200, 30_000), (40, 1000)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_guess_of_a_strip_is_small_and_can_be_layered(shape, turned):
    height, width = shape[::-1] if turned else shape
    rgb = np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)
    guess = cues.read(rgb, fetch="x").values
    assert guess.size <= 256 * 1024
    assert np.isfinite(guess).all()
    if height * width < 100_000:
        recomposes(rgb, guess, 3)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-20, 20), st.integers(-20, 20))
def test_a_picture_can_be_moved_farther_than_it_is_long(height, width, down, across):
    picture = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
    moved = texture._moved(picture, np.array([down, across], np.int32))
    for y in range(height):
        for x in range(width):
            inside = 0 <= y + down < height and 0 <= x + across < width
            assert moved[y, x] == (picture[y + down, x + across] if inside else 0.0)
