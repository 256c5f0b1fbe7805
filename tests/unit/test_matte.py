"""Promises of pipeline.matte."""

import cv2
import numpy as np
import pytest

from pipeline.bands import band_radius
from pipeline.matte import find_borders
from tests.scenes import NAMES, scene


def estimate(truth):
    labels = (truth.disparity > 0.5).astype(np.uint8)
    (border,) = find_borders(truth.rgb, None, labels, 2)
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


def test_only_a_band_along_the_border_is_touched():
    truth = scene("ball")
    labels = (truth.disparity > 0.5).astype(np.uint8)
    (border,) = find_borders(truth.rgb, None, labels, 2)
    reach = 2 * int(np.ceil(band_radius(labels.shape))) + 3
    band = cv2.dilate(labels, np.ones((reach, reach))) != cv2.erode(labels, np.ones((reach, reach)))
    assert border.index.size > 0
    assert band.ravel()[border.index].all()


def test_no_border_costs_nothing():
    (border,) = find_borders(np.zeros((20, 30, 3), np.uint8), None, np.zeros((20, 30), np.uint8), 2)
    assert border.index.size == 0


def test_colour_that_nobody_sees_does_not_colour_the_matte():
    truth = scene("ball")
    labels = (truth.disparity > 0.5).astype(np.uint8)
    opaque = np.ones(labels.shape, np.bool_)
    opaque[:, :100] = False
    garish = truth.rgb.copy()
    garish[:, :100] = (255, 0, 255)
    (one,) = find_borders(truth.rgb, opaque, labels, 2)
    (two,) = find_borders(garish, opaque, labels, 2)
    assert (one.index == two.index).all()
    assert np.abs(one.alpha.astype(int) - two.alpha).mean() < 1.0
    assert opaque.ravel()[one.index].all()
