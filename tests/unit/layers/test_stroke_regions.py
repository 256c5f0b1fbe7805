"""Borders between layers go around brush strokes."""

import numpy as np

from pipeline.layers.layering import layer_picture
from pipeline.layers.stroke_regions import LARGEST_MOVED, keep_whole
from pipeline.painterly import strokes, styles

SHAPE = (60, 100)


def border(at=50):
    return np.tile((np.arange(SHAPE[1]) >= at).astype(np.uint8), (SHAPE[0], 1))


def test_a_stroke_across_a_border_goes_where_most_of_it_is():
    strokes = np.zeros(SHAPE, np.int32)
    strokes[10:12, 46:52], strokes[20:22, 48:56] = 1, 2
    kept = keep_whole(border(), strokes, 2)
    assert (kept[strokes == 1] == 0).all()
    assert (kept[strokes == 2] == 1).all()
    assert (kept[strokes == 0] == border()[strokes == 0]).all()


def test_a_stroke_that_lies_evenly_goes_to_the_farther_layer():
    strokes = np.zeros(SHAPE, np.int32)
    strokes[10, 48:52] = 7
    assert (keep_whole(border(), strokes, 2)[strokes == 7] == 0).all()


def test_so_large_a_part_that_it_is_a_thing_of_its_own_keeps_its_layer():
    strokes = np.zeros(SHAPE, np.int32)
    strokes[:, 10:60] = 1
    assert LARGEST_MOVED * strokes.size < 60 * 10
    assert (keep_whole(border(), strokes, 2) == border()).all()


def test_a_map_of_strokes_may_be_smaller_than_the_picture():
    strokes = np.zeros((30, 50), np.int32)
    strokes[5, 23:26] = 1
    kept = keep_whole(border(), strokes, 2)
    assert kept.shape == SHAPE
    assert (kept[10:12, 46:52] == 0).all()


def cut_off(labels, owners):
    """For every stroke that is cut, the pixels that are in another layer than most of it."""
    counts = np.stack([np.bincount(owners[labels == layer], minlength=owners.max() + 1) for layer in (0, 1)])
    smaller = counts.min(axis=0)[1:]
    return smaller[smaller > 0]


def test_the_layers_of_a_painting_keep_its_strokes_whole():
    rows, columns = np.mgrid[:150, :200].astype(np.float32)
    photo = np.dstack([90 + columns * 0.4, 60 + rows * 0.5, 160 - columns * 0.3]).astype(np.uint8)
    near = np.hypot(rows - 75, columns - 100) < 45
    photo[near] = photo[near] * 0.7 + 40
    depth = np.where(near, np.float32(0.9), np.float32(0.1))
    painted = strokes.paint(photo, styles.styles()["oil-strokes"], strength=0.5, seed=1)
    assert painted.owners.shape == photo.shape[:2]
    options = {"num_layers": 2, "split": [0.5]}
    before = cut_off(layer_picture(painted.rgb, None, depth, None, **options).labels, painted.owners)
    layers = layer_picture(painted.rgb, None, depth, None, **options, stroke_regions=painted.owners)
    after = cut_off(layers.labels, painted.owners)
    assert len(before) > 40
    assert len(after) < 0.1 * len(before)
    # How much is still cut off is a matter of the seed; what counts is that no small part is.
    assert (after > LARGEST_MOVED * painted.owners.size).all()
    assert layers.max_error <= 1
    # The border still is where the depth has it, within a stroke's length.
    assert (layers.labels == near).mean() > 0.93


def test_what_is_painted_thinly_is_cut_along_the_photos_own_forms():
    photo = np.full((20, 30, 3), 100, np.uint8)
    style = styles.styles()["oil-strokes"]
    assert strokes.paint(photo, style, strength=0.1, seed=1).owners is None
    assert strokes.paint(photo, style, strength=0.0, seed=1).owners is None
    owners = strokes.paint(photo, style, strength=0.5, seed=1).owners
    assert (owners > 0).mean() > 0.95
