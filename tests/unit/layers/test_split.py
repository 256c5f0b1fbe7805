"""Promises of pipeline.layers.split."""

import itertools

import cv2
import numpy as np
import pytest

from pipeline.layers.natural_breaks import MIN_SHARE, border_on_surfaces
from pipeline.layers.split import find_thresholds, label, without_slivers


def heaps(*places, size=1000, spread=0.01):
    rng = np.random.default_rng(1)
    return np.clip(np.concatenate([rng.normal(p, spread, size) for p in places]), 0, 1).astype(np.float32).reshape(-1, size)


def within_groups(values, thresholds):
    groups = np.searchsorted(thresholds, values, side="right")
    return sum(((values[groups == g] - values[groups == g].mean()) ** 2).sum() for g in np.unique(groups))


def test_natural_breaks_separate_heaps_of_depth():
    disparity = heaps(0.1, 0.4, 0.9)
    thresholds = find_thresholds(disparity, None, 3, "natural")
    assert 0.15 < thresholds[0] < 0.35
    assert 0.5 < thresholds[1] < 0.8
    assert np.bincount(label(disparity, thresholds).ravel()).tolist() == [1000, 1000, 1000]


def test_natural_breaks_are_the_exact_optimum_over_all_groupings():
    rng = np.random.default_rng(3)
    places = np.sort(rng.choice(np.arange(1, 60), 9, replace=False)) / 60
    values = np.repeat(places, 50).astype(np.float32)[None]
    best = min(within_groups(values.ravel(), np.array(cuts) - 1e-3) for cuts in itertools.combinations(places[1:], 2))
    thresholds = np.float32(find_thresholds(values, None, 3, "natural"))
    assert within_groups(values.ravel(), thresholds) == pytest.approx(best, abs=1e-6)


def test_no_layer_is_smaller_than_the_least_share_if_there_is_another_way():
    disparity = np.concatenate([np.linspace(0.0, 0.1, 9850), np.linspace(0.95, 1.0, 150)]).astype(np.float32).reshape(100, 100)
    shares = np.bincount(label(disparity, find_thresholds(disparity, None, 2, "natural")).ravel(), minlength=2) / disparity.size
    assert shares.min() >= MIN_SHARE - 0.005


def test_a_cut_lies_in_the_valley_not_beside_it():
    rng = np.random.default_rng(2)
    big, small = rng.normal(0.3, 0.08, 18000), rng.normal(0.8, 0.03, 2000)
    disparity = np.clip(np.concatenate([big, small]), 0, 1).astype(np.float32).reshape(100, 200)
    (threshold,) = find_thresholds(disparity, None, 2, "natural")
    assert 0.58 < threshold < 0.72


@pytest.mark.parametrize("num_layers", [2, 3, 7, 12])
@pytest.mark.parametrize("split", ["natural", "equal", "quantile"])
@pytest.mark.parametrize("depths", [[0.0], [1.0], [0.5], [0.0, 1.0], [0.5, 0.50002], [0.1, 0.2, 0.9, 1.0]])
def test_fewer_depths_than_layers_still_give_rising_thresholds_and_whole_depths(depths, split, num_layers):
    disparity = np.resize(np.float32(depths), (5, 7))
    thresholds = find_thresholds(disparity, None, num_layers, split)
    assert len(thresholds) == num_layers - 1
    assert (np.diff(np.float32(thresholds)) > 0).all()
    if split != "equal":
        labels = label(disparity, thresholds)
        assert len(np.unique(labels)) == min(num_layers, len(depths))


def test_a_flat_picture_is_all_background():
    disparity = np.full((4, 4), 0.3, np.float32)
    disparity[0, 0] = np.nextafter(np.float32(0.3), np.float32(1))
    assert not label(disparity, find_thresholds(disparity, None, 4, "natural")).any()


def test_quantile_layers_are_of_equal_size():
    disparity = (np.random.default_rng(0).random((200, 200)) ** 3).astype(np.float32)
    shares = np.bincount(label(disparity, find_thresholds(disparity, None, 4, "quantile")).ravel()) / disparity.size
    assert shares == pytest.approx([0.25] * 4, abs=0.03)


def test_equal_steps_lie_between_farthest_and_nearest():
    disparity = np.linspace(0.2, 0.8, 101, dtype=np.float32)[None]
    assert find_thresholds(disparity, None, 3, "equal") == pytest.approx([0.4, 0.6], abs=1e-6)


def test_given_thresholds_are_used_as_they_are():
    assert find_thresholds(np.zeros((2, 2), np.float32), None, 3, [0.25, 0.5]) == (0.25, 0.5)


@pytest.mark.parametrize(("split", "names"), [([0.5], "1 given"), ([0.6, 0.5], "rise"), ("nature", "nature")])
def test_thresholds_that_do_not_fit_are_refused(split, names):
    with pytest.raises(ValueError, match=names):
        find_thresholds(np.zeros((2, 2), np.float32), None, 3, split)


def test_invisible_pixels_do_not_count():
    disparity = np.concatenate([heaps(0.1, 0.3), np.full((5, 1000), 0.9, np.float32)])
    visible = disparity < 0.8
    (threshold,) = find_thresholds(disparity, visible, 2, "natural")
    assert 0.12 < threshold < 0.28


def floor_with_a_box():
    """A floor that runs from far to near, and a box before it; nothing else jumps."""
    floor = np.repeat(np.linspace(0.0, 0.6, 240, dtype=np.float32)[:, None], 320, axis=1)
    floor[60:150, 60:260] = 0.9
    return floor


def test_a_cut_prefers_the_step_around_a_thing_to_a_line_across_the_floor():
    disparity = floor_with_a_box()
    (threshold,) = find_thresholds(disparity, None, 2, "natural")
    assert (label(disparity, [threshold]) == (disparity == np.float32(0.9))).all()


def test_the_border_through_surfaces_is_as_long_as_it_would_be_drawn():
    disparity = floor_with_a_box()
    edges = np.linspace(0.0, 0.9, 101)
    border = border_on_surfaces(disparity, None, edges)
    assert border[80] == pytest.approx(0.0, abs=1e-9)
    assert border[55] == pytest.approx(1.0, abs=0.02)
    assert border[30] == pytest.approx(120 / 320, abs=0.02)
    right = np.ones(disparity.shape, np.bool_)
    right[:, :160] = False
    assert border_on_surfaces(disparity, right, edges)[55] == pytest.approx(0.5, abs=0.02)


def stripes(*widths_and_labels):
    widths, labels = zip(*widths_and_labels, strict=True)
    return np.repeat(np.uint8(labels), widths)[None].repeat(60, axis=0)


def test_a_strip_between_far_and_near_goes_to_the_nearest_side():
    labels = stripes((40, 0), (3, 1), (2, 2), (40, 3))
    clean = without_slivers(labels, 4, 4)
    assert set(np.unique(clean)) == {0, 3}
    assert (clean[:, :40] == 0).all()
    assert (clean[:, 45:] == 3).all()
    assert (np.diff(clean[0].astype(int)) != 0).sum() == 1


@pytest.mark.parametrize("kept", [((40, 0), (3, 3), (40, 0)), ((40, 3), (3, 0), (40, 3)), ((40, 0), (30, 1), (40, 3))])
def test_thin_things_in_front_gaps_and_wide_layers_are_kept(kept):
    labels = stripes(*kept)
    assert (without_slivers(labels, 4, 4) == labels).all()


@pytest.mark.parametrize("at", range(6))
def test_a_thread_of_one_pixel_is_given_away_wherever_it_lies(at):
    labels = stripes((60 + at, 0), (1, 1), (1, 0), (60, 3))
    clean = without_slivers(labels, 4, 12)
    assert set(np.unique(clean)) == {0, 3}
    assert np.count_nonzero(clean != labels) == len(labels)


def test_where_three_layers_meet_no_fragments_are_left():
    labels = np.zeros((300, 300), np.uint8)
    labels[150:] = 1
    labels[:, 150:] = 2
    clean = labels.copy()
    rng = np.random.default_rng(4)
    labels[130:170, 130:150] = np.kron(rng.integers(0, 3, (10, 5)), np.ones((4, 4)))
    got = without_slivers(labels, 3, 8)
    parts = sum(cv2.connectedComponents((got == k).view(np.uint8))[0] - 1 for k in range(3))
    assert parts == 3
    assert (got != clean).mean() < 0.005


def test_known_places_are_cut_first_and_nowhere_else():
    disparity = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    assert find_thresholds(disparity, None, 2, "natural", (0.6, 0.8)) == pytest.approx((0.6,))
    assert find_thresholds(disparity, None, 3, "natural", (0.6, 0.8, 0.7)) == pytest.approx((0.6, 0.8))
    assert find_thresholds(disparity, None, 4, "natural", (0.6, 0.8, 0.7)) == pytest.approx((0.6, 0.7, 0.8))


@pytest.mark.parametrize("num_layers", [4, 12])
def test_layers_for_which_no_place_is_known_are_empty_and_lie_before_the_first_known_one(num_layers):
    disparity = np.repeat(np.float32([0.1, 0.5, 0.9]), 3000).reshape(90, 100)
    thresholds = find_thresholds(disparity, None, num_layers, "natural", (0.7, 0.3))
    assert len(thresholds) == num_layers - 1
    assert list(thresholds) == sorted(set(thresholds))
    counts = np.bincount(label(disparity, thresholds).ravel(), minlength=num_layers)
    assert list(counts) == [3000, 3000, *[0] * (num_layers - 3), 3000]


@pytest.mark.parametrize("split", ["equal", "quantile", (0.2,)])
def test_a_split_that_was_asked_for_goes_by_itself(split):
    disparity = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    assert find_thresholds(disparity, None, 2, split, (0.7,)) == find_thresholds(disparity, None, 2, split)
