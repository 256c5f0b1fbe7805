"""Promises of pipeline.layers.fidelity."""

import cv2
import numpy as np
import pytest

from pipeline.layers.bands import Grid
from pipeline.layers.fidelity import SOFT, displacement, step_width
from tests.scenes import NAMES, scene

SIZE = (480, 640)


def moved(depth, across, down):
    shift = np.float32([[1, 0, across], [0, 1, down]])
    return cv2.warpAffine(depth, shift, depth.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def place(truth, depth, *, soft=False):
    return displacement(truth.rgb, depth, Grid.of(depth.shape), soft)


@pytest.mark.parametrize("name", NAMES)
def test_sharp_steps_are_one_cell_wide_whatever_slopes_and_levels_there_are(name):
    depth = scene(name, *SIZE).disparity + np.linspace(0, 0.15, SIZE[1], dtype=np.float32)
    assert step_width(depth) < SOFT / 2
    assert step_width(np.rint(depth * 255).astype(np.float32) / np.float32(255)) < SOFT / 2


@pytest.mark.parametrize("blur", [2.0, 3.0, 5.0])
def test_blurred_steps_are_as_wide_as_their_blur(blur):
    depth = cv2.GaussianBlur(scene("ball", *SIZE).disparity, (0, 0), blur)
    assert step_width(depth) == pytest.approx(2.5 * blur, rel=0.15)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (9, 9), (60, 5)])
def test_a_depth_without_steps_counts_as_sharp(shape):
    assert step_width(np.zeros(shape, np.float32)) == 1.0
    assert step_width(np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)) == 1.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("move", [(0, 0), (4, 0), (-3, 5), (0, -6)])
def test_depth_beside_its_photo_is_found_and_depth_on_it_stays(name, move):
    truth = scene(name, *SIZE)
    back = place(truth, moved(truth.disparity, *move))
    assert back == (-move[0], -move[1])


@pytest.mark.parametrize("name", ["ball", "leaves"])
def test_soft_depth_beside_its_photo_is_found_too(name):
    truth = scene(name, *SIZE)
    back = place(truth, cv2.GaussianBlur(moved(truth.disparity, 4, -3), (0, 0), 3.0), soft=True)
    assert np.hypot(back[0] + 4, back[1] - 3) <= 1.5


def test_a_photo_that_says_nothing_moves_nothing():
    truth = scene("ball", *SIZE)
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for rgb in (np.full((*SIZE, 3), 90, np.uint8), noise):
        assert displacement(rgb, truth.disparity, Grid.of(SIZE), True) == (0.0, 0.0)
    assert place(truth, np.zeros(SIZE, np.float32)) == (0.0, 0.0)
    small = scene("ball", 20, 30)
    assert place(small, small.disparity) == (0.0, 0.0)
