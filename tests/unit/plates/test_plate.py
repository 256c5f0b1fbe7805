"""Promises of pipeline.layers.plates.plate, completion, structure and patches: what lies deep in large holes."""

import cv2
import numpy as np
import pytest

from pipeline.layers.bands import Pixels, Tile
from pipeline.layers.layering import layer_picture
from pipeline.layers.plates.completion import complete
from pipeline.layers.plates.fill import MAX_PARALLAX, Filler
from pipeline.layers.plates.patches import describe, whole
from tests.benchmarks.pictures.bench_plates import beyond, figure, measures, ours
from tests.scenes import meadow, scene, sky, wall

SHAPE = (480, 640)


def grained(picture):
    grain = np.random.default_rng(1).normal(0, 1.5, picture.shape)
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)


def behind(truth, share=0.15):
    """The plate behind a magenta figure, the figure, and where the preview cannot reach."""
    mask = figure(truth.shape, share, 1)
    picture = truth.copy()
    picture[mask] = (200, 30, 200)
    return ours(picture, mask), mask, beyond(mask)


@pytest.mark.parametrize("ground", [wall, meadow])
def test_deep_in_a_large_hole_there_is_as_much_texture_as_around_it(ground):
    truth = grained(ground(SHAPE, 3))
    got, _, where = behind(truth)
    found = measures(got, truth, where)
    assert 0.7 < found["detail"] < 1.3
    assert found["spectrum"] < 0.5
    assert found["histogram"] < 0.25


def test_the_horizon_goes_on_behind_a_large_thing():
    above = (np.arange(SHAPE[0]) < 264)[:, None]
    truth = grained(np.where(above[..., None], sky(SHAPE, 3), meadow(SHAPE, 3)))
    got, _, where = behind(truth)
    bluish = got[..., 2].astype(int) > got[..., 0].astype(int) + 15
    assert (bluish == np.broadcast_to(above, SHAPE))[where].mean() > 0.95


def test_rows_of_bricks_go_on_where_they_are():
    truth = grained(wall(SHAPE, 3))
    got, _, where = behind(truth)
    mortar = {name: cv2.GaussianBlur(picture[..., 2], (0, 0), 1.0) > 115 for name, picture in (("got", got), ("truth", truth))}
    hit = mortar["got"] & mortar["truth"] & where
    assert hit.sum() / (mortar["truth"] & where).sum() > 0.6


def test_a_plate_is_made_of_its_layers_own_pixels_alone():
    got, mask, _ = behind(grained(np.dstack([meadow(SHAPE, 3)[..., 1]] * 3)))
    spread = got.max(axis=2).astype(int) - got.min(axis=2)
    assert spread[mask].max() < 40  # the figure's is 170


def test_nothing_that_is_seen_changes_and_the_layers_give_the_picture_back():
    truth = grained(wall(SHAPE, 3))
    mask = figure(SHAPE, 0.15, 1)
    picture = truth.copy()
    picture[mask] = (200, 30, 200)
    layers = layer_picture(picture, None, mask.astype(np.float32), None, num_layers=2, split=(0.5,))
    assert layers.max_error <= 1
    assert (layers.rgba[0][..., 3] == 255).all()
    far = cv2.dilate(mask.astype(np.uint8), np.ones((25, 25))) == 0
    assert (layers.rgba[0][..., :3][far] == picture[far]).all()


def test_the_same_picture_gives_the_same_plate():
    truth = grained(meadow(SHAPE, 5))
    assert (behind(truth)[0] == behind(truth)[0]).all()


def filler(rgb, labels):
    return Filler(np.dstack([rgb, np.full(labels.shape, 255, np.uint8)]), None, labels, np.zeros(labels.shape, np.bool_))


def test_near_the_edge_and_in_thin_holes_the_fill_stays_as_it_was():
    truth = scene("poles", *SHAPE)
    assert filler(truth.rgb, (truth.matte > 0.02).astype(np.uint8)).fill(0, everywhere=True).plate is None
    mask = figure(SHAPE, 0.15, 1)
    fill = filler(grained(wall(SHAPE, 3)), mask.astype(np.uint8)).fill(0, everywhere=True)
    assert fill.plate is not None
    inward = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    share = cv2.resize(fill.plate.share, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    assert share[inward < 0.4 * MAX_PARALLAX * max(SHAPE)].max() == 0.0  # of 0.6, less a cell
    assert share[inward > 1.2 * MAX_PARALLAX * max(SHAPE)].min() == 1.0


def test_a_speck_of_the_background_does_not_spread_in_a_large_hole():
    mask = figure(SHAPE, 0.3, 1)
    picture = grained(meadow(SHAPE, 3))
    picture[mask] = (200, 30, 200)
    y, x = np.argwhere(cv2.erode(mask.astype(np.uint8), np.ones((101, 101))) > 0)[0]
    mask[y - 6 : y + 6, x - 6 : x + 6] = False
    picture[y - 6 : y + 6, x - 6 : x + 6] = (250, 250, 250)
    got = ours(picture, mask)
    assert (got[y - 1 : y + 1, x - 1 : x + 1] == 250).all()  # what is seen stays
    wake = np.hypot(*(np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array([y, x])[:, None, None]))
    near, far = (got[(wake > inner) & (wake < inner + 6)].mean() for inner in (12, 26))
    assert near - far < 20  # 60 where the speck is filled around as far as the preview reaches


@pytest.mark.parametrize(
    "known", [np.s_[:, :], np.s_[:0], np.s_[:4, :40]], ids=["everything", "nothing", "less than a few whole patches"]
)
def test_without_a_hole_or_without_anything_to_copy_there_is_no_completion(known):
    weight = np.zeros((90, 120), np.float32)
    weight[known] = 1
    assert complete(np.full((90, 120, 3), 90, np.float32), weight) is None


@pytest.mark.parametrize("shape", [(8, 700), (700, 8), (40, 500), (1, 300), (61, 333)])
def test_strips_and_odd_sizes_are_filled(shape):
    rng = np.random.default_rng(0)
    rgb = rng.integers(90, 110, (*shape, 3), dtype=np.uint8)
    labels = np.zeros(shape, np.uint8)
    labels[:, shape[1] // 4 : shape[1] // 2] = 1
    layers = layer_picture(rgb, None, labels.astype(np.float32), None, num_layers=2, split=(0.5,))
    assert layers.max_error <= 1
    assert 85 <= layers.rgba[0][..., :3].min() <= layers.rgba[0][..., :3].max() <= 115


def test_a_completion_is_copied_from_whole_patches_of_what_is_known():
    rng = np.random.default_rng(2)
    weight = np.ones((120, 160), np.float32)
    weight[30:100, 50:110] = 0
    found = complete(rng.random((120, 160, 3), dtype=np.float32) * 255, weight)
    assert found is not None
    assert (found.hole == (weight == 0)).all()
    assert whole(weight == 1).reshape(-1)[found.source[found.hole]].all()


def test_descriptions_tell_patches_apart_as_their_pixels_do():
    picture = cv2.GaussianBlur(np.random.default_rng(3).random((60, 60, 3), dtype=np.float32) * 255, (0, 0), 2)
    told = describe(picture, np.zeros((60, 60, 0), np.float32)).reshape(60, 60, -1)
    places = np.random.default_rng(4).integers(5, 55, (200, 2, 2))
    pixels, words = [], []
    for (y, x), (v, u) in places:
        difference = picture[y - 3 : y + 4, x - 3 : x + 4] - picture[v - 3 : v + 4, u - 3 : u + 4]
        pixels.append(np.linalg.norm(difference))
        words.append(np.linalg.norm(told[y, x] - told[v, u]))
    assert np.corrcoef(pixels, words)[0, 1] > 0.9


def test_tiles_cover_a_picture_once_and_read_a_coarse_one_as_single_pixels_do():
    full = (300, 520)
    coarse = np.random.default_rng(5).random((25, 40, 4), dtype=np.float32)
    seen = np.zeros(full, int)
    for tile in Tile.over(full):
        seen[tile.place] += 1
        index = np.ravel_multi_index(np.meshgrid(tile.rows, tile.columns, indexing="ij"), full).ravel()
        expected = Pixels.at(index, full).sample(coarse).reshape(tile.rows.size, tile.columns.size, 4)
        assert tile.sample(coarse) == pytest.approx(expected, abs=1e-5)
    assert (seen == 1).all()
