"""Promises of pipeline.layers.refine."""

import cv2
import numpy as np
import pytest

from pipeline.layers.refine import refine
from pipeline.layers.split import find_thresholds, label
from tests.benchmarks.pictures.bench_agreement import ROOMS, SAMPLES, agreement, room
from tests.scenes import camera_depth, scene


def given(name):
    if not SAMPLES.is_dir():
        pytest.skip(f"the sample pictures are not at {SAMPLES}")
    return room(name)


def kept(rgb, values, valid):
    """The shares of the true depth's labels that are kept: over all readings, and within 8 pixels of a true edge."""
    got = refine(rgb, values, valid)
    return agreement(label(got, find_thresholds(got, None, 4, "natural")), values, valid)


@pytest.mark.parametrize("name", ROOMS)
def test_true_depth_keeps_its_own_partition(name):
    everywhere, near_edges = kept(*given(name))
    assert everywhere >= 0.97
    assert near_edges >= 0.85


def test_true_depth_keeps_its_own_partition_in_a_large_photo():
    rgb, values, valid = given("icl_livingroom_b3")
    size = (2000, 1500)
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    values = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    everywhere, near_edges = kept(rgb, values, np.ones(values.shape, np.bool_))
    assert everywhere >= 0.97
    assert near_edges >= 0.85
    assert valid.all()


def test_small_soft_depth_comes_onto_the_photos_edges():
    truth = scene("ball")
    soft = camera_depth(truth)
    plain = cv2.resize(soft, truth.rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    wrong = np.abs(refine(truth.rgb, soft, None) - truth.disparity) > 0.1
    assert wrong.mean() < 0.3 * (np.abs(plain - truth.disparity) > 0.1).mean()


def test_a_step_stays_a_step_without_depths_in_between():
    truth = scene("ball")
    soft = camera_depth(truth)
    plain = cv2.resize(soft, truth.rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    got = refine(truth.rgb, soft, None)
    assert ((got > 0.35) & (got < 0.65)).mean() < 0.1 * ((plain > 0.35) & (plain < 0.65)).mean()


def wrong(got, truth):
    return (np.abs(got - truth.disparity) > 0.1).mean()


@pytest.mark.parametrize(("name", "left"), [("ball", 0.2), ("hair", 0.6), ("leaves", 0.6)])
def test_depth_as_networks_give_it_comes_onto_the_photos_edges_at_any_resolution(name, left):
    truth = scene(name, 480, 640)
    small = cv2.resize(truth.disparity, (80, 60), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)
    for soft in (large, cv2.GaussianBlur(truth.disparity, (0, 0), 3.4)):
        assert wrong(refine(truth.rgb, soft, None), truth) < left * wrong(soft, truth)


def test_hair_that_soft_depth_flattens_gets_the_depth_of_its_head():
    truth = scene("hair", 480, 640)
    got = refine(truth.rgb, camera_depth(truth), None)
    y, x = np.mgrid[:480, :640]
    head = ((x - 320) / 100) ** 2 + ((y - 300) / 141) ** 2 < 1
    hair = (truth.matte > 0.8) & ~head
    assert (got[hair] > 0.5).mean() > 0.65
    assert (got[truth.matte < 0.02] > 0.5).mean() < 0.001


@pytest.mark.parametrize("name", ["ball", "hair", "leaves", "poles"])
def test_sharp_depth_beside_its_photo_is_moved_onto_it(name):
    truth = scene(name, 480, 640)
    move = np.float32([[1, 0, 4], [0, 1, -2]])
    beside = cv2.warpAffine(truth.disparity, move, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    assert wrong(refine(truth.rgb, beside, None), truth) < 0.25 * wrong(beside, truth)


def test_a_slanted_surface_keeps_its_slope_beside_a_soft_step():
    truth = scene("ball", 480, 640)
    slanted = truth.disparity * np.float32(0.6) + np.linspace(0, 0.3, 480, dtype=np.float32)[:, None]
    got = refine(truth.rgb, cv2.GaussianBlur(slanted, (0, 0), 3.4), None)
    assert np.quantile(np.abs(got - slanted), 0.98) < 0.03


def test_a_slope_is_no_edge():
    slope = np.tile(np.linspace(0, 1, 200, dtype=np.float32), (150, 1))
    rgb = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    assert np.abs(refine(rgb, slope, None) - slope).max() < 1e-6


def test_halves_of_pixels_are_aligned():
    columns = np.linspace(0.1, 0.9, 10, dtype=np.float32)
    got = refine(np.zeros((4, 40, 3), np.uint8), np.tile(columns, (1, 1)), None)
    centres = (np.arange(40) + 0.5) / 4 - 0.5
    assert got[0, 2:-2] == pytest.approx(np.interp(centres, np.arange(10), columns)[2:-2], abs=1e-5)


def test_unknown_readings_beside_an_object_belong_to_what_is_behind():
    rgb = np.full((60, 300, 3), 120, np.uint8)
    far = []
    for start in range(30, 46):
        values = np.full((60, 300), 0.2, np.float32)
        values[:, start + 10 :] = 0.9
        valid = np.ones(values.shape, np.bool_)
        valid[:, start : start + 10] = False
        got = refine(rgb, np.where(valid, values, 0.5).astype(np.float32), valid)
        far.append((got[:, start : start + 10] < 0.5).mean())
    assert np.mean(far) > 0.9


def test_no_reading_at_all_is_flat_and_far():
    got = refine(np.zeros((5, 6, 3), np.uint8), np.full((3, 3), np.nan, np.float32), None)
    assert got.shape == (5, 6)
    assert not got.any()


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="valid"):
        refine(np.zeros((5, 6, 3), np.uint8), np.zeros((3, 3), np.float32), np.ones((3, 4), np.bool_))
