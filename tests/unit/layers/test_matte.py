"""Promises of pipeline.layers.matte."""

import cv2
import numpy as np
import pytest

from pipeline.layers.bands import band_radius
from pipeline.layers.layering import layer_picture
from pipeline.layers.matte import GLOW, GLOW_REACH, estimate_borders
from tests.scenes import NAMES, scene


def estimate(truth):
    labels = (truth.disparity > 0.5).astype(np.uint8)
    (border,) = estimate_borders(truth.rgb, None, labels, 2)
    alpha = (labels * np.uint8(255)).ravel()
    alpha[border.index] = border.alpha
    colour = truth.rgb.copy()
    colour.reshape(-1, 3)[border.index] = border.colour
    return alpha.reshape(labels.shape).astype(np.float32) / 255, colour, labels


def soft_zone(truth):
    return cv2.dilate(truth.matte, np.ones((9, 9))) - cv2.erode(truth.matte, np.ones((9, 9))) > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_the_soft_border_is_nearer_the_truth_than_a_cut(name):
    truth = scene(name)
    alpha, _, labels = estimate(truth)
    zone = soft_zone(truth)
    assert np.abs(alpha - truth.matte)[zone].mean() < 0.9 * np.abs(labels - truth.matte)[zone].mean()


@pytest.mark.parametrize("name", NAMES)
def test_colours_are_cleaned_of_what_is_behind(name):
    truth = scene(name)
    alpha, colour, _ = estimate(truth)
    mixed = (truth.matte > 0.1) & (truth.matte < 0.9) & (alpha > 0.1)
    clean = np.linalg.norm(colour[mixed] - truth.object_colour[mixed], axis=1).mean()
    raw = np.linalg.norm(truth.rgb[mixed] - truth.object_colour[mixed], axis=1).mean()
    assert clean < 0.6 * raw


def test_an_alpha_estimator_decides_within_the_band_and_nowhere_else():
    """One that knows the truth brings alpha nearer to it than colours do; one that is always wrong changes no pixel outside."""
    truth = scene("ball")
    labels = (truth.disparity > 0.5).astype(np.uint8)
    exact = np.asarray(truth.matte, np.float32).ravel()

    def error(alpha_estimator):
        (border,) = estimate_borders(truth.rgb, None, labels, 2, alpha_estimator)
        alpha = (labels * np.uint8(255)).ravel()
        alpha[border.index] = border.alpha
        return np.abs(alpha / 255 - exact), set(border.index.tolist())

    plain, band = error(None)
    knowing, _ = error(lambda _rgb, _front, index: exact[index])
    assert knowing.mean() < 0.8 * plain.mean()
    _, contrary = error(lambda _rgb, front, index: 1 - front.ravel()[index] / np.float32(255))
    radius = int(np.ceil(band_radius(labels.shape))) + 1
    around = cv2.dilate(labels, np.ones((2 * radius + 1, 2 * radius + 1))).ravel() > 0
    assert around[sorted(contrary - band)].all()


def test_what_an_alpha_estimator_says_still_recomposes_exactly():
    truth = scene("ball")
    chance = np.random.default_rng(4)
    layers = layer_picture(
        truth.rgb, None, truth.disparity.astype(np.float32), None, num_layers=2,
        alpha_estimator=lambda _rgb, _front, index: chance.random(index.size, np.float32),
    )  # fmt: skip
    assert layers.max_error <= 1


def test_only_a_band_along_the_border_is_touched_and_faintly_what_is_around_it():
    truth = scene("ball")
    labels = (truth.disparity > 0.5).astype(np.uint8)
    (border,) = estimate_borders(truth.rgb, None, labels, 2)
    radius = int(np.ceil(band_radius(labels.shape))) + 1
    band, around = (cv2.dilate(labels, np.ones((2 * r + 1, 2 * r + 1))) for r in (radius, GLOW_REACH * radius))
    inner = cv2.erode(labels, np.ones((2 * radius + 1, 2 * radius + 1))).ravel()[border.index]
    assert border.index.size > 0
    assert not inner.any()
    assert around.ravel()[border.index].all()
    assert border.alpha[band.ravel()[border.index] == 0].max(initial=0) <= GLOW * 255 + 1


def test_the_blur_of_a_lens_goes_with_what_it_blurs():
    y, x = np.mgrid[:1200, :1600]
    inside = 400.0 - np.hypot(y - 600, x - 800)
    cover = np.clip(inside + 0.5, 0, 1)
    reach = np.clip(1 + inside / 14, 0, 1) * (inside < 0)
    share = np.maximum(cover, 0.05 * reach)
    grain = np.random.default_rng(3).normal(0, 1.0, (1200, 1600, 1))
    rgb = np.rint(np.float32([40, 45, 50]) * share[..., None] + np.float32([195, 188, 180]) * (1 - share[..., None]) + grain)
    layers = layer_picture(rgb.astype(np.uint8), None, (inside > 0).astype(np.float32), None, num_layers=2)
    left = layers.rgba[0][..., 0].astype(float)[(inside < -1) & (inside > -12)]
    dimmed = 195 - rgb[..., 0][(inside < -1) & (inside > -12)]
    assert abs(195 - left.mean()) < 0.5 * dimmed.mean()
    assert layers.max_error == 0


def test_colours_like_the_other_sides_leave_no_specks_along_a_border():
    rng = np.random.default_rng(0)
    labels = np.zeros((480, 640), np.uint8)
    labels[:, 320:] = 1
    rgb = np.where(labels[..., None] > 0, np.float32([200, 60, 60]), np.float32([60, 60, 200]))
    odd = rng.random(labels.shape) < 0.03
    rgb[odd] = rgb[:, ::-1][odd]
    (border,) = estimate_borders(np.clip(rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8), None, labels, 2)
    mask = labels * np.uint8(255)
    mask.reshape(-1)[border.index] = border.alpha
    count, _ = cv2.connectedComponents((mask >= 128).astype(np.uint8), connectivity=4)
    holes, _ = cv2.connectedComponents((mask < 128).astype(np.uint8), connectivity=4)
    assert (count - 1, holes - 1) == (1, 1)


def test_no_border_costs_nothing():
    (border,) = estimate_borders(np.zeros((20, 30, 3), np.uint8), None, np.zeros((20, 30), np.uint8), 2)
    assert border.index.size == 0


def test_colour_that_nobody_sees_does_not_colour_the_matte():
    truth = scene("ball")
    labels = (truth.disparity > 0.5).astype(np.uint8)
    opaque = np.ones(labels.shape, np.bool_)
    opaque[:, :100] = False
    garish = truth.rgb.copy()
    garish[:, :100] = (255, 0, 255)
    (one,) = estimate_borders(truth.rgb, opaque, labels, 2)
    (two,) = estimate_borders(garish, opaque, labels, 2)
    assert (one.index == two.index).all()
    assert np.abs(one.alpha.astype(int) - two.alpha).mean() < 1.0
    assert opaque.ravel()[one.index].all()


def test_one_border_is_estimated_once_however_many_layers_are_empty():
    rgb = np.full((40, 60, 3), 40, np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    rgb[:, 30:], labels[:, 30:] = 200, 3
    asked = []

    def estimator(_rgb, front, index):
        asked.append(front.copy())
        return np.full(index.size, np.nan, np.float32)

    borders = estimate_borders(rgb, None, labels, 6, estimator)
    [front] = asked
    assert np.array_equal(front > 0, labels == 3)
    assert borders[0] is borders[1] is borders[2]
    assert borders[0].index.size
    assert not borders[3].index.size
    assert not borders[4].index.size
