"""A slope that was stored in levels is cut along a smooth line, not along its stairs; steps of the scene stay where they are."""

import numpy as np
import pytest

from pipeline.layers.refine import between_levels, refine

PHOTO = np.full((500, 700, 3), 128, np.uint8)


def stored(surface: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """The surface at a fifth of the photo's size, in 256 levels, as a phone stores it. `noise`: in levels."""
    small = surface[2::5, 2::5] * 255
    small = small + np.random.default_rng(1).uniform(-noise, noise, small.shape)
    return (np.round(small) / 255).astype(np.float32)


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_the_border_on_a_slope_has_no_teeth(noise: float) -> None:
    rows, columns = np.mgrid[:500, :700].astype(np.float32)
    disparity = refine(PHOTO, stored(0.3 + 0.0004 * columns + 0.00006 * rows, noise), None)
    border = np.argmax(disparity > 0.4505, axis=1)[40:-40].astype(float)
    line = np.polyval(np.polyfit(np.arange(border.size), border, 1), np.arange(border.size))
    assert np.abs(border - line).max() < 4.0  # a depth pixel is 5 wide
    assert np.abs(np.diff(border)).max() <= 2.0


def test_a_step_of_the_scene_stays() -> None:
    step = np.where(np.arange(140) < 70, 0.2, 0.6).astype(np.float32)[None].repeat(100, axis=0)
    slope = (np.round((step + np.linspace(0, 0.1, 100)[:, None]) * 255) / 255).astype(np.float32)
    smooth = between_levels(slope)
    assert np.abs(smooth - slope).max() <= 1 / 255 + 1e-6
    assert (smooth[:, 70] - smooth[:, 69]).min() > 0.4 - 3 / 255


@pytest.mark.parametrize("values", [np.float32([[0.0, 0.5], [0.5, 1.0]]), np.zeros((3, 4), np.float32)])
def test_a_map_of_few_flat_things_is_left_alone(values: np.ndarray) -> None:
    assert between_levels(values) is values


def test_a_map_in_fine_levels_is_left_alone() -> None:
    values = np.linspace(0, 1, 6000, dtype=np.float32).reshape(60, 100)
    assert between_levels(values) is values
