"""Promises of pipeline.layers.recompose."""

import numpy as np
import pytest
from PIL import Image

from pipeline.layers.recompose import compose, over, solve


def stacked(alpha, estimate, ground):
    """Two layers of n pixels: an opaque ground, and a top with estimated colours."""
    count = len(alpha)
    back = np.dstack([ground.reshape(1, count, 3), np.full((1, count), 255)]).astype(np.uint8)
    front = np.dstack([estimate.reshape(1, count, 3), np.asarray(alpha).reshape(1, count)]).astype(np.uint8)
    return [np.ascontiguousarray(back), np.ascontiguousarray(front)]


def with_pillow(layers):
    out = Image.new("RGBA", layers[0].shape[1::-1])
    for layer in layers:
        out = Image.alpha_composite(out, Image.fromarray(layer))
    return np.asarray(out)


def test_over_is_what_pillow_computes_for_every_alpha_and_colour():
    """Three pairs of colours per pixel, one in each channel."""
    colours = np.arange(256, dtype=np.uint8)
    top, ground = (np.resize(a, (-(-a.size // 3), 3)) for a in np.meshgrid(colours, colours, indexing="ij"))
    for alpha in range(1, 256):
        mine = over(top, np.full(len(top), alpha, np.uint8), ground)
        theirs = with_pillow(stacked([alpha] * len(top), top, ground))[0, :, :3]
        assert (mine == theirs).all()
        assert (mine == np.floor((alpha * top.astype(int) + (255 - alpha) * ground.astype(int)) / 255 + 0.5)).all()


@pytest.mark.parametrize("seed", range(5))
def test_any_estimate_on_any_ground_is_made_exact(seed):
    rng = np.random.default_rng(seed)
    picture, estimate, ground = rng.integers(0, 256, (3, 20000, 3)).astype(np.uint8)
    layers = stacked(rng.integers(0, 255, 20000), estimate, ground)
    layers[1][layers[1][..., 3] == 0] = 0
    hidden = layers[1][0, :, 3] == 0
    picture[hidden] = ground[hidden]
    solve(picture[None], layers, np.arange(20000))
    assert np.abs(with_pillow(layers)[0, :, :3].astype(int) - picture).max() <= 1
    assert compose(picture[None], None, layers).error <= 1


def test_a_solved_colour_stays_near_its_estimate_or_is_the_pictures_own():
    rng = np.random.default_rng(9)
    picture, estimate, ground = rng.integers(0, 256, (3, 20000, 3)).astype(np.uint8)
    layers = stacked(rng.integers(1, 255, 20000), estimate, ground)
    solve(picture[None], layers, np.arange(20000))
    front = layers[1][0]
    distance = np.abs(front[:, :3].astype(int) - estimate).max(axis=1)
    soft = (front[:, 3] > 0) & (front[:, 3] < 255)
    assert soft.any()
    assert distance[soft].max() <= 16
    assert (front[front[:, 3] == 255, :3] == picture[front[:, 3] == 255]).all()


def test_a_good_matte_is_hardly_changed():
    rng = np.random.default_rng(4)
    cover, ground = np.array([200.0, 60.0, 40.0]), np.array([30.0, 90.0, 160.0])
    alpha = rng.integers(1, 255, 5000)
    picture = np.rint((alpha[:, None] * cover + (255 - alpha[:, None]) * ground) / 255).astype(np.uint8)
    layers = stacked(alpha, np.tile(cover, (5000, 1)), np.tile(ground, (5000, 1)))
    solved = solve(picture[None], layers, np.arange(5000))
    assert np.abs(layers[1][0, :, 3].astype(int) - alpha).max() <= 8
    assert np.abs(layers[0][0, :, :3] - ground).max() <= 4
    assert solved.distance < 4
    assert solved.raised_alpha < 50


@pytest.mark.parametrize(("alpha", "covered"), [(60, 0), (195, 255)])
def test_a_pixel_of_neither_colour_goes_to_the_side_that_the_matte_gave_it_to(alpha, covered):
    cover, ground, odd = np.array([200, 40, 40]), np.array([40, 40, 200]), np.array([120, 255, 120])
    layers = stacked([alpha] * 9, np.tile(cover, (9, 1)), np.tile(ground, (9, 1)))
    picture = np.tile(odd, (1, 9, 1)).astype(np.uint8)
    solve(picture, layers, np.arange(9))
    assert (layers[1][0, :, 3] == covered).all()
    assert (with_pillow(layers)[..., :3] == picture).all()


def test_three_soft_layers_over_each_other_are_exact_too():
    rng = np.random.default_rng(5)
    layers = [rng.integers(0, 256, (40, 50, 4)).astype(np.uint8) for _ in range(4)]
    layers[0][..., 3] = 255
    picture = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    layers[3][layers[3][..., 3] < 100] = 0
    layers[1][..., 3] = 128
    layers[2][..., 3] = 77
    solve(picture, layers, np.arange(2000))
    top_is_soft = layers[3][..., 3] < 255
    composed = compose(picture, None, layers)
    error = np.abs(composed.picture.astype(int) - picture).max(axis=2)
    assert composed.error == error.max()
    assert error[top_is_soft].max() <= 1
    assert (composed.picture == with_pillow(layers)[..., :3]).all()


def test_the_check_sees_a_single_wrong_level():
    picture = np.full((300, 2000, 3), 7, np.uint8)
    layer = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    assert compose(picture, None, [layer]).error == 0
    layer[299, 1999, 2] = 9
    assert compose(picture, None, [layer]).error == 2
    layer[150, 3, 3] = 250
    assert compose(picture, None, [layer]).error == 5


def test_colour_under_alpha_zero_is_not_compared():
    picture = np.full((2, 2, 3), 7, np.uint8)
    layer = np.zeros((2, 2, 4), np.uint8)
    assert compose(picture, np.zeros((2, 2), np.uint8), [layer]).error == 0
    assert compose(picture, np.full((2, 2), 3, np.uint8), [layer]).error > 0


def test_what_is_seen_of_each_layer_is_measured_across_strips():
    rows, columns = 300, 2000  # three strips
    back = np.full((rows, columns, 4), 255, np.uint8)
    middle, front, empty = (np.zeros_like(back) for _ in range(3))
    middle[100:250, 500:1500] = 255
    front[200:300, 1000:1800, 3] = 1
    composed = compose(np.full((rows, columns, 3), 255, np.uint8), None, [back, middle, front, empty])
    hidden = 50 * 500
    assert composed.bboxes == ((0, 0, columns, rows), (500, 100, 1000, 150), (1000, 200, 800, 100), None)
    seen = [rows * columns - 1000 * 150 - 800 * 100 + hidden, 1000 * 150 - hidden, 800 * 100, 0]
    assert composed.coverage == tuple(count / (rows * columns) for count in seen)
