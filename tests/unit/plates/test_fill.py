"""Promises of pipeline.layers.plates.fill and pipeline.layers.plates.texture."""

import cv2
import numpy as np
import pytest

from pipeline.layers.plates.fill import MAX_PARALLAX, Filler
from pipeline.layers.plates.membrane import push_pull
from pipeline.layers.plates.texture import find_texture
from tests.benchmarks.pictures.bench_layers import exposed_by_parallax, psnr
from tests.scenes import scene, wall


def filled(rgb, labels, layer=0, everywhere=True):
    filler = Filler(np.dstack([rgb, np.full(labels.shape, 255, np.uint8)]), None, labels, np.zeros(labels.shape, np.bool_))
    fill = filler.fill(layer, everywhere)
    index = np.arange(labels.size)
    return filler.colours_at(fill, index)[:, :3].reshape(rgb.shape), fill


def test_push_pull_keeps_what_is_known_and_fills_the_rest_from_it():
    known = np.zeros((33, 47), np.float32)
    known[:, :10] = 1
    got = push_pull(np.full((33, 47, 3), 90, np.float32) * known[..., None], known)
    assert got == pytest.approx(np.full_like(got, 90), abs=0.01)


def test_a_slope_is_carried_on_behind_an_object():
    slope = np.tile(np.linspace(40, 200, 120, dtype=np.float32), (90, 1))
    rgb = np.repeat(np.rint(slope).astype(np.uint8)[..., None], 3, axis=2)
    labels = np.zeros((90, 120), np.uint8)
    labels[30:60, 50:70] = 1
    rgb[labels == 1] = 0
    got, _ = filled(rgb, labels)
    assert np.abs(got[..., 0].astype(float) - slope)[labels == 1].mean() < 6


def test_texture_goes_on_behind_the_edge():
    truth = scene("ball")
    labels = (truth.matte > 0.02).astype(np.uint8)
    got, _ = filled(truth.rgb, labels)
    exposed = exposed_by_parallax(truth)
    telea = cv2.inpaint(truth.rgb, labels, 3, cv2.INPAINT_TELEA)
    assert psnr(got, truth.background, exposed) > psnr(telea, truth.background, exposed) + 2
    assert got[exposed].std() > 0.7 * truth.background[exposed].std()


def test_a_layer_is_filled_from_its_own_pixels_alone():
    rgb = np.zeros((80, 120, 3), np.uint8)
    labels = np.zeros((80, 120), np.uint8)
    labels[:, 40:80] = 1
    labels[:, 80:] = 2
    for k, colour in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        rgb[labels == k] = colour
    got, fill = filled(rgb, labels, layer=1, everywhere=False)
    index = np.flatnonzero(fill.near)
    assert np.abs(got.reshape(-1, 3)[index].astype(int) - (0, 250, 0)).max() <= 1


def test_a_middle_layer_reaches_as_far_as_it_can_be_uncovered_and_no_further_than_its_neighbours():
    labels = np.zeros((200, 200), np.uint8)
    labels[100:] = 1
    labels[:, 90:160] = 2
    rgb = np.full((200, 200, 3), 99, np.uint8)
    _, fill = filled(rgb, labels, layer=1, everywhere=False)
    reach = int(MAX_PARALLAX * 200)
    assert (fill.reach[110:, 90 : 90 + reach] == 1).all()
    assert (fill.reach[:98] == 0).all()


@pytest.mark.parametrize("size", [(300, 400), (480, 640)])
def test_nothing_of_an_object_runs_into_what_is_behind_it(size):
    rgb = np.full((*size, 3), 200, np.uint8)
    labels = np.zeros(size, np.uint8)
    for k in range(12):
        cv2.line(labels, (20 + 31 * k, 20), (47 + 31 * k, size[0] - 30), 1, 5)
    rgb[labels == 1] = (10, 60, 20)
    got, _ = filled(rgb, labels)
    assert np.abs(got.astype(int) - 200).max() <= 3


def test_an_outline_goes_straight_on_behind_what_is_nearer():
    y, x = np.mgrid[:300, :400]
    below = y > 150
    slanted = x + y > 350
    labels = np.where(slanted, 2, below).astype(np.uint8)
    _, fill = filled(np.full((300, 400, 3), 99, np.uint8), labels, layer=1, everywhere=False)
    inward = cv2.distanceTransform(slanted.astype(np.uint8), cv2.DIST_L2, 5)
    doubtful = slanted & (inward < MAX_PARALLAX * 400) & (np.abs(y - 150) > 2) & (np.abs(y - 150) < 20)
    assert (fill.reach[doubtful] == below[doubtful]).mean() > 0.9


def test_texture_repeats_at_its_own_period():
    bricks = wall((120, 160), 4)
    weight = np.ones((120, 160), np.float32)
    weight[50:70, 70:90] = 0
    colour = bricks - bricks.mean(axis=(0, 1))
    texture = find_texture(colour * weight[..., None], weight, weight == 0, 8.0, 3.0)
    assert texture is not None
    y, x = np.nonzero(weight == 0)
    move = texture.offsets[texture.choice[y, x]]
    copied = colour[y + move[:, 0], x + move[:, 1]]
    assert np.square(copied - colour[y, x]).mean() < 0.5 * np.square(colour[y, x]).mean()


def test_nothing_known_is_no_texture():
    nothing = np.zeros((20, 20), np.float32)
    assert find_texture(np.zeros((20, 20, 3), np.float32), nothing, nothing == 0, 2.0, 3.0) is None
