"""Promises of pipeline.layers.crumbs."""

import cv2
import numpy as np
import pytest

from pipeline.layers.crumbs import SMALLEST_PIECE, is_crumb, smallest_piece, without_crumbs
from pipeline.layers.layering import layer_picture
from tests.scenes import scene


def pieces(labels):
    sizes = []
    for k in np.unique(labels):
        count, _, found, _ = cv2.connectedComponentsWithStats((labels == k).astype(np.uint8), connectivity=4)
        sizes += [int(found[part, cv2.CC_STAT_AREA]) for part in range(1, count)]
    return sorted(sizes)


def test_crumbs_go_to_the_layer_around_them_and_larger_pieces_stay():
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 2
    whole = labels.copy()
    labels[10:12, 5:8] = 3
    labels[20:22, 40:43] = 0
    labels[:2, :2] = 1
    assert (without_crumbs(labels, 7) == whole).all()
    assert (without_crumbs(labels, 6)[10:12, 5:8] == 3).all()
    assert (without_crumbs(labels, 4) == labels).all()


def test_a_crumb_on_a_border_is_shared_by_both_sides_and_nested_crumbs_vanish():
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 2
    labels[15:22, 26:34] = 1
    labels[18, 29] = 3
    clean = without_crumbs(labels, 60)
    assert set(np.unique(clean)) == {0, 2}
    assert pieces(clean) == [1200, 1200]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 9)])
def test_a_picture_of_crumbs_alone_stays_and_any_shape_is_possible(shape):
    labels = np.random.default_rng(0).integers(0, 12, shape, dtype=np.uint8)
    assert (without_crumbs(labels, labels.size + 1) == labels).all()
    assert (np.isin(without_crumbs(labels, 3), labels)).all()
    assert (without_crumbs(labels, 0) == labels).all()


def test_noise_leaves_no_crumbs_and_its_argument_alone():
    labels = np.random.default_rng(1).integers(0, 4, (200, 300), dtype=np.uint8)
    labels[50:150, 50:200] = 3
    before = labels.copy()
    clean = without_crumbs(labels, 12)
    assert (labels == before).all()
    assert len(pieces(clean)) < 0.2 * len(pieces(labels))


def test_crumbs_of_a_mask_are_marked_in_both_its_colours():
    mask = np.zeros((400, 500), np.uint8)
    mask[:, 250:] = 255
    mask[10, 10:12] = 255
    mask[20, 300] = 0
    mask[100:104, 100:104] = 255
    assert sorted(zip(*np.nonzero(is_crumb(mask, smallest_piece(mask.size))), strict=True)) == [(10, 10), (10, 11), (20, 300)]


def test_layers_hold_no_crumbs():
    truth = scene("ball", 480, 640)
    depth = truth.disparity.copy()
    depth.reshape(-1)[np.random.default_rng(2).choice(depth.size, 300, replace=False)] = 0.5
    layers = layer_picture(truth.rgb, None, depth, None, num_layers=4)
    assert pieces(layers.labels)[0] >= SMALLEST_PIECE * depth.size


@pytest.mark.parametrize("blur", [2, 6])
def test_what_is_a_crumb_does_not_depend_on_which_blocks_are_left_unsearched(blur):
    noise = np.random.default_rng(blur).random((1501, 1203), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    mask = np.where(smooth > np.median(smooth) + 0.3 * smooth.std(), np.uint8(255), np.uint8(0))
    # A thread of one pixel between two blocks makes one piece of them.
    mask[:200, :300] = 0
    mask[16:40, 16:40] = mask[28, 40:60] = mask[20:23, 60:70] = 255
    wanted = np.zeros(mask.shape, np.bool_)
    for value in (0, 255):
        _, parts, found, _ = cv2.connectedComponentsWithStats((mask == value).view(np.uint8), connectivity=4)
        small = found[:, cv2.CC_STAT_AREA] < round(SMALLEST_PIECE * mask.size)
        small[0] = False
        wanted |= small[parts]
    assert wanted.any()
    assert (is_crumb(mask, smallest_piece(mask.size)) == wanted).all()
