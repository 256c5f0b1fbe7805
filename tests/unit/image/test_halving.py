"""Tests of making pictures smaller by halves, whatever their sides."""

import cv2
import numpy as np
import pytest

from pipeline.image.filters import reduce, resize
from pipeline.image.halving import Halved, prepared


@pytest.mark.parametrize("shape", [(96, 128), (97, 129), (96, 127), (101, 125), (99, 131)])
def test_nothing_moves_however_odd_the_sides(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    small = (9, 13)
    for place in (x, y):
        assert Halved.of(place).towards(small).picture.shape < shape  # it was halved
        exact = cv2.resize(place, small[::-1], interpolation=cv2.INTER_AREA)
        far = np.s_[5:, 8:]
        assert abs((resize(place, small, cv2.INTER_AREA) - exact)[far].mean()) < 0.2  # pixels
        assert abs((reduce(place, small) - exact)[far].mean()) < 0.2


@pytest.mark.parametrize("shape", [(97, 129, 4), (97, 129), (64, 48, 3)])
def test_strips_give_what_the_whole_gives(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    monkeypatch.setattr("pipeline.image.halving.STRIP_BYTES", 1)
    half, whole = prepared(picture, (9, 11), lambda rows: 255 - picture[rows]), Halved.of(255 - picture).towards((9, 11))
    assert half.extent == whole.extent
    assert np.array_equal(half.picture, whole.picture)


def test_a_last_pixel_counts_once() -> None:
    picture = np.zeros((6, 7), np.float32)
    picture[:, 6] = 70.0
    assert np.allclose(resize(picture, (1, 1), cv2.INTER_AREA), 10.0)
