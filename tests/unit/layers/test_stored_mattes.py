"""A phone's own mattes soften the borders of what they show, and only those."""

import numpy as np
import pytest

from pipeline.layers.layering import layer_picture
from pipeline.layers.matte import estimate_borders
from pipeline.layers.stored_mattes import StoredMattes
from tests.scenes import scene


def error(truth, alpha_estimator):
    labels = (truth.disparity > 0.5).astype(np.uint8)
    (border,) = estimate_borders(truth.rgb, None, labels, 2, alpha_estimator)
    alpha = (labels * np.uint8(255)).ravel()
    alpha[border.index] = border.alpha
    return np.abs(alpha / 255 - truth.matte.ravel())


@pytest.mark.parametrize("name", ["ball", "hair"])
def test_a_matte_brings_alpha_nearer_to_the_truth_than_colours_do(name):
    truth = scene(name)
    matte = np.rint(truth.matte * 255).astype(np.uint8)
    plain = error(truth, None).mean()
    assert error(truth, StoredMattes({"portrait": matte})).mean() < 0.85 * plain
    assert error(truth, StoredMattes({"sky": 255 - matte})).mean() < 0.85 * plain  # of what is behind


def test_a_matte_of_another_thing_changes_nothing():
    truth = scene("ball")
    everywhere, elsewhere = np.full(truth.matte.shape, 255, np.uint8), np.zeros(truth.matte.shape, np.uint8)
    elsewhere[:20, :20] = 255
    assert np.array_equal(error(truth, StoredMattes({"skin": everywhere, "hair": elsewhere})), error(truth, None))


def test_a_clear_matte_decides_beside_a_faint_one():
    truth = scene("ball")
    matte = np.rint(truth.matte * 255).astype(np.uint8)
    faint = np.where(truth.disparity > 0.5, np.uint8(150), np.uint8(10))
    one, both = (error(truth, StoredMattes(each)) for each in ({"portrait": matte}, {"portrait": matte, "skin": faint}))
    assert both.mean() < 1.05 * one.mean()


def test_layers_with_a_matte_of_half_the_size_recompose_exactly():
    truth = scene("ball")
    matte = np.rint(truth.matte[::2, ::2] * 255).astype(np.uint8)
    depth = truth.disparity.astype(np.float32)
    layers = layer_picture(truth.rgb, None, depth, None, num_layers=3, alpha_estimator=StoredMattes({"portrait": matte}))
    assert layers.max_error <= 1
