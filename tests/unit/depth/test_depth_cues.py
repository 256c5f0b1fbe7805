"""The estimate without a model: a ground plane, reported as an estimate, and better than chance where depth is known."""

import cv2
import numpy as np
import pytest
from pictures import SAMPLES

from daemon.contract.commands import has_marks
from pipeline.depth import cues

SCENES = ("icl_livingroom_b1", "icl_livingroom_b3", "icl_livingroom_b5", "tum_desk")


def test_the_sky_is_far_and_the_ground_comes_nearer_evenly():
    ramp = cues.ramp(200, 30)
    assert (ramp.dtype, ramp.shape) == (np.float32, (200, 30))
    assert (ramp[:90] == 0).all()
    below = ramp[90:, 0]
    assert np.allclose(np.diff(below), 1 / 110, atol=1e-5)
    assert 0.99 < below[-1] < 1.0
    assert (ramp == ramp[:, :1]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3024, 4032)])
def test_the_guess_has_the_pictures_proportions_and_says_it_is_one(size):
    reading = cues.read(np.zeros((*size, 3), np.uint8), fetch="some-model")
    rows, columns = reading.values.shape
    assert rows <= 256
    assert abs(columns - min(size[1] * rows / size[0], 1024)) <= 1
    assert (reading.provenance.source, reading.provenance.model) == ("heuristic", None)
    assert "multiplane models fetch some-model" in reading.warnings[0]
    assert reading.warnings[0].startswith(reading.note)
    assert not has_marks(reading.note)  # the preview page may be sent to somebody for whom no command of ours works


@pytest.mark.skipif(not (SAMPLES / "tum_desk_depth.png").exists(), reason=f"no pictures with true depth in {SAMPLES}")
def test_more_pairs_than_by_chance_are_in_the_right_order():
    """Small rooms are hard, hardly above chance; no picture may be below chance, and the average must be clearly above."""
    scores = []
    for scene in SCENES:
        depth = cv2.imread(str(SAMPLES / f"{scene}_depth.png"), cv2.IMREAD_UNCHANGED)
        rgb = cv2.cvtColor(cv2.imread(str(SAMPLES / f"{scene}_rgb.png")), cv2.COLOR_BGR2RGB)
        alone = in_order(cues.ramp(*depth.shape), depth)
        scores.append((in_order(cues.read(rgb, fetch="m").values, depth), alone))
    assert min(estimate for estimate, _ in scores) > 0.5, scores
    assert all(estimate > alone - 0.01 for estimate, alone in scores), scores
    assert np.mean([estimate - alone for estimate, alone in scores]) > 0.01, scores


def test_of_two_places_at_one_height_the_darker_is_nearer_and_the_ground_is_never_overruled():
    rgb = np.full((200, 300, 3), 250, np.uint8)
    rgb[:, 150:] = 5
    values = cues.read(rgb, fetch="m").values
    assert (values[:, 200:] > values[:, :100].max(axis=1, keepdims=True)).all()
    assert values[199, 0] > values[0, 299]
    assert (values.min() >= 0.0, values.max() <= 1.0) == (True, True)


def in_order(values, distance, pairs=50_000):
    """Share of random pairs of readings, at least 5 % apart in distance, that `values` orders as they are; ties count half."""
    values = cv2.resize(values, distance.shape[::-1], interpolation=cv2.INTER_LINEAR)
    known = np.flatnonzero(distance)
    first, second = np.random.default_rng(0).choice(known, (2, pairs))
    near, far = distance.ravel()[first].astype(float), distance.ravel()[second].astype(float)
    apart = np.abs(np.log(near / far)) > np.log(1.05)
    right = np.sign(values.ravel()[first] - values.ravel()[second]) * np.sign(far - near)
    return float(((right[apart] + 1) / 2).mean())


def test_whoever_asked_for_the_estimate_is_not_told_to_fetch_a_model():
    said = cues.read(np.zeros((40, 60, 3), np.uint8), fetch=None).warnings[0]
    assert said == "The depth was estimated without a model (lower in the picture counts as nearer), as asked for."
