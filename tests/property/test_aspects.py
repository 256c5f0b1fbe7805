"""Layers recompose for extreme aspects as well: 1 × 1 to 1 × 65,000, both ways, 2 to 12 layers (promise 4)."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.depth import cues
from pipeline.depth.figures import finding
from pipeline.layers.layering import layer_picture, shifts
from pipeline.layers.plates import texture

STRIPS = [(1, 1), (1, 2), (3, 300), (40, 1000), (41, 1000), (100, 3000), (1, 20_000), (1, 65_000), (5, 40_000)]


def blocks(height, width, seed):
    """A noisy picture with stepped depth along both sides, so that layers overlap at any aspect."""
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


def least_seen(layers, across, down):
    """The lowest opacity of any pixel when every layer has moved as far as the preview moves it."""
    height, width = layers.labels.shape
    seen = np.zeros((height, width), np.float32)
    for layer, share in zip(layers.rgba, shifts(layers), strict=True):
        move = np.float32([[1, 0, share * max(height, width) * across], [0, 1, share * max(height, width) * down]])
        cover = layer[..., 3].astype(np.float32) / 255
        seen += (1 - seen) * cv2.warpAffine(cover, move, (width, height)).reshape(height, width)
    return seen.min()


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


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(1, 2), (3, 300), (41, 1000), (100, 3000), (1, 20_000), (5, 30_000)])
def test_moving_the_layers_of_a_strip_apart_opens_no_holes(shape, turned):
    height, width = shape[::-1] if turned else shape
    rgb, depth = blocks(height, width, 3)
    layers = layer_picture(rgb, None, depth, None, num_layers=4)
    assert max(shifts(layers)) > 0
    for across, down in [(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, -0.7)]:
        assert least_seen(layers, across, down) > 0.999


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 3000), st.booleans(), st.integers(2, 12), st.integers(0, 9),
    st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, -0.7)]),
)  # fmt: skip
def test_moving_the_layers_of_any_aspect_apart_opens_no_holes(short, long, turned, num_layers, seed, direction):
    height, width = (long, short) if turned else (short, long)
    rgb, depth = blocks(height, width, seed)
    assert least_seen(layer_picture(rgb, None, depth, None, num_layers=num_layers), *direction) > 0.999


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


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 600), st.booleans(), st.integers(0, 9), st.booleans())
def test_figures_are_looked_for_in_any_aspect(short, long, turned, seed, noisy):
    height, width = (long, short) if turned else (short, long)
    rgb, depth = blocks(height, width, seed)
    if not noisy:
        rgb = (np.dstack([depth * 200, 255 - depth * 90, depth * 30]) + 20).astype(np.uint8)
    found = finding.find(rgb)
    assert found.dtype == np.int32
    assert max(found.shape) <= finding.FINE_SIDE
    assert set(np.unique(found)) == set(range(found.max() + 1)) or (found > 0).all()
    reading = cues.read(rgb, fetch="x", wanted=4)
    assert (float(reading.values.min()) >= 0.0, float(reading.values.max()) <= 1.0) == (True, True)
    layers = layer_picture(rgb, None, reading.values, None, num_layers=4, cuts=reading.cuts)
    assert layers.max_error <= 1


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-20, 20), st.integers(-20, 20))
def test_a_picture_can_be_moved_farther_than_it_is_long(height, width, down, across):
    picture = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
    moved = texture._moved(picture, np.array([down, across], np.int32))
    for y in range(height):
        for x in range(width):
            inside = 0 <= y + down < height and 0 <= x + across < width
            assert moved[y, x] == (picture[y + down, x + across] if inside else 0.0)
