"""Several passes over a picture: tiles are fitted to the whole, and leave no seams."""

import itertools

import cv2
import numpy as np
import pytest

from pipeline.depth import tiled_averaging

SIDE = 40


def truth_of(rgb):
    """What a perfect network would return: the red channel."""
    return rgb[..., 0].astype(np.float32) / 255


def coarse(rgb, side=SIDE):
    """A network that sees `side` pixels on the shorter side."""
    scale = side / min(rgb.shape[:2])
    height, width = (round(each * scale) for each in rgb.shape[:2])
    return cv2.resize(truth_of(rgb), (width, height), interpolation=cv2.INTER_AREA)


def landscape(height, width):
    """A slope with thin posts, which a coarse look blurs away."""
    depth = np.tile(np.linspace(40, 200, height)[:, None], (1, width))
    depth[:, np.arange(width) % 26 < 6] += 50
    return np.repeat(depth[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (320, 240), (120, 900), (900, 120)])
def test_parts_cover_the_picture_and_overlap(height, width):
    parts = tiled_averaging._parts(height, width)
    covered = np.zeros((height, width), int)
    for part in parts:
        covered[part] += 1
    assert covered.min() == 1
    assert len(parts) == {320: 4, 240: 4}.get(width, 7)
    for axis in (0, 1):
        spans = sorted({(part[axis].start, part[axis].stop) for part in parts})
        for (start, stop), (following, _) in itertools.pairwise(spans):
            assert stop - following >= 0.3 * (stop - start)


def test_parts_bring_out_what_the_whole_does_not_show():
    rgb = landscape(240, 320)
    got = tiled_averaging.estimate(rgb, coarse, SIDE)
    error = {}
    for name, plane in (("whole", coarse(rgb)), ("parts", got)):
        full = cv2.resize(plane, (320, 240), interpolation=cv2.INTER_LINEAR)
        error[name] = float(np.abs(full - truth_of(rgb)).mean())
    assert min(got.shape) > 1.5 * SIDE
    assert error["parts"] < 0.85 * error["whole"]


def test_every_part_is_fitted_to_the_whole_whatever_its_own_scale():
    rgb = landscape(240, 320)
    calls = []

    def varying(picture):
        calls.append(picture.shape)
        own = coarse(picture)
        return own if len(calls) <= 2 else own * np.float32(0.3 + 0.2 * len(calls)) - np.float32(len(calls))

    calm = tiled_averaging.estimate(rgb, coarse, SIDE)
    assert np.abs(tiled_averaging.estimate(rgb, varying, SIDE) - calm).max() < 0.02
    assert len(calls) == 6


def test_parts_that_show_nothing_recognisable_leave_the_whole():
    rgb = landscape(240, 320)
    rng = np.random.default_rng(3)

    def lost(picture):
        return coarse(picture) if picture.shape == rgb.shape else rng.random((SIDE, SIDE), dtype=np.float32)

    got = tiled_averaging.estimate(rgb, lost, SIDE)
    whole = cv2.resize(coarse(rgb), got.shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(got - whole).max() < 1e-3


def test_what_a_network_believes_of_left_and_right_is_taken_out():
    rgb = landscape(50, 60)

    def biased(picture):
        own = coarse(picture)
        return own + np.linspace(-0.2, 0.2, own.shape[1], dtype=np.float32)

    got = tiled_averaging.estimate(rgb, biased, SIDE)
    assert np.abs(got - (coarse(rgb) + coarse(rgb[:, ::-1])[:, ::-1]) / 2).max() < 1e-5


def test_small_photos_are_not_cut_and_progress_reaches_the_end():
    shares = []
    got = tiled_averaging.estimate(landscape(50, 60), coarse, SIDE, progress=shares.append)
    assert got.shape == coarse(landscape(50, 60)).shape
    assert shares == [0.5, 1.0]
