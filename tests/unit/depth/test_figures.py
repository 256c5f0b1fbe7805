"""Figures detected without a model stay whole, in a layer of their own, and none is detected where there is none."""

import cv2
import numpy as np
import pytest
from skimage import data

from pipeline.depth import cues
from pipeline.depth.figures import finding, proposals
from pipeline.depth.figures.colours import EVEN, PARTS, distinct, mixture
from pipeline.depth.figures.likelihood import plausible
from pipeline.depth.figures.proposals import Evidence, whole
from pipeline.layers.layering import layer_picture
from tests.estimates import each_photo_searched_once


def scene(*things, height=300, width=400):
    """Grass under a pale sky, with a striped ellipse (x, y, half width, half height) for each thing; and where they are."""
    rng = np.random.default_rng(4)
    rgb = np.empty((height, width, 3), np.float32)
    rgb[:] = (205, 215, 225)
    rgb[height // 2 :] = (95, 130, 70)
    rgb += rng.normal(0, 6, rgb.shape)
    where = []
    for x, y, w, h in things:
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (x, y), (w, h), 0, 0, 360, 1, -1)
        rgb[mask > 0] = (190, 40, 40)
        rgb[(mask > 0) & (np.arange(height)[:, None] // 12 % 2 > 0)] = (230, 190, 60)
        where.append(mask > 0)
    return np.clip(rgb, 0, 255).astype(np.uint8), where


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def labels_of(rgb, num_layers=4):
    reading = cues.read(rgb, fetch="m", wanted=num_layers)
    layers = layer_picture(rgb, None, reading.values, reading.valid, num_layers=num_layers, cuts=reading.cuts)
    return reading, layers


@pytest.fixture(scope="module")
def found():
    return {}


@pytest.fixture
def searched_once(found):
    """For tests that look at the same scene."""
    with each_photo_searched_once(found):
        yield


@pytest.mark.usefixtures("searched_once")
def test_a_figure_on_a_ground_is_seen_whole():
    rgb, (thing,) = scene((200, 180, 55, 90))
    found = finding.find(rgb)
    assert found.max() == 1
    assert overlap(found > 0, thing) > 0.95


@pytest.mark.usefixtures("searched_once")
def test_the_pixels_of_a_figure_lie_in_one_layer_and_nothing_else_does():
    rgb, (thing,) = scene((200, 180, 55, 90))
    _, layers = labels_of(rgb)
    shares = np.bincount(layers.labels[thing], minlength=4) / thing.sum()
    assert shares[3] > 0.98
    assert overlap(layers.labels == 3, thing) > 0.95
    assert layers.max_error <= 1


@pytest.mark.usefixtures("searched_once")
def test_layers_that_the_estimate_does_not_know_are_empty_and_that_is_said():
    rgb, _ = scene((200, 180, 55, 90))
    reading, layers = labels_of(rgb, num_layers=5)
    assert [box is not None for box in layers.bboxes] == [True, False, False, False, True]
    assert layers.coverage[1:4] == (0.0, 0.0, 0.0)
    assert reading.provenance.figures == 1
    assert "one figure was seen" in reading.warnings[0]
    assert "tells 2 depths apart, not the 5 that were asked for, so 3 layers are empty" in reading.warnings[0]


@pytest.mark.usefixtures("searched_once")
def test_the_figure_whose_foot_is_lower_is_nearer():
    rgb, (left, right) = scene((110, 165, 45, 70), (290, 215, 45, 70))
    reading, layers = labels_of(rgb)
    assert reading.provenance.figures == 2
    assert np.median(layers.labels[left]) == 2
    assert np.median(layers.labels[right]) == 3
    assert "2 figures were seen" in reading.warnings[0]


@pytest.mark.usefixtures("searched_once")
def test_two_layers_hold_all_figures_before_the_ground():
    rgb, (left, right) = scene((110, 165, 45, 70), (290, 215, 45, 70))
    _, layers = labels_of(rgb, num_layers=2)
    assert layers.labels[left | right].mean() > 0.98
    assert layers.labels[~(left | right)].mean() < 0.02


def test_figures_that_stand_beside_each_other_share_a_layer():
    rgb, (left, right) = scene((110, 180, 45, 80), (290, 180, 45, 80))
    reading, _ = labels_of(rgb)
    assert reading.provenance.figures == 2
    assert len(reading.cuts) == 1
    assert abs(np.median(reading.values[cv2.resize(left.view(np.uint8), reading.values.shape[::-1]) > 0])
               - np.median(reading.values[cv2.resize(right.view(np.uint8), reading.values.shape[::-1]) > 0])) < 0.01  # fmt: skip


@pytest.mark.parametrize("name", ["grass", "gravel", "brick", "noise", "flat", "slope", "empty scene"])
def test_no_figure_is_seen_where_there_is_none_and_the_ground_estimate_stays(name):
    pictures = {
        "noise": lambda: np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8),
        "flat": lambda: np.full((200, 300, 3), 90, np.uint8),
        "slope": lambda: np.broadcast_to(np.linspace(0, 255, 300)[None, :, None], (200, 300, 3)).astype(np.uint8),
        "empty scene": lambda: scene()[0],
    }
    rgb = pictures[name]() if name in pictures else cv2.cvtColor(getattr(data, name)(), cv2.COLOR_GRAY2RGB)
    reading = cues.read(rgb, fetch="m", wanted=4)
    rows, columns = reading.values.shape
    ground = cues.ramp(rows, columns) + cues.DARKNESS * cues.darkness(
        cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
    )
    assert reading.cuts == ()
    assert reading.provenance.figures == 0
    assert np.allclose(reading.values, ground / (1 + cues.DARKNESS), atol=1e-2)
    assert "lower in the picture counts as nearer" in reading.warnings[0]


def halves():
    rgb = np.full((64, 96, 3), 250, np.uint8)
    rgb[:, 48:] = 5
    return rgb


@pytest.mark.parametrize(
    "rgb",
    [np.full((64, 96, 3), level, np.uint8) for level in (0, 90, 255)] + [halves()],
    ids=["black", "grey", "white", "two colours"],
)
def test_no_even_area_is_cut_because_that_takes_minutes(rgb, monkeypatch):
    """In even areas all cuts cost the same, and GrabCut tries one after the other."""
    real, shares = cv2.grabCut, []

    def counting(picture, *others):
        across = (picture[:, 1:] == picture[:, :-1]).all(axis=2)
        shares.append(across.mean())
        assert shares[-1] < 0.05
        return real(picture, *others)

    monkeypatch.setattr(cv2, "grabCut", counting)
    finding.find(rgb)
    assert shares


def test_only_even_areas_get_grain_and_little_of_it():
    rgb = np.random.default_rng(2).integers(0, 256, (90, 120, 3), np.uint8)
    assert (proposals.grained(rgb) == rgb).all()
    rgb[:40, :50] = 254
    grained = proposals.grained(rgb)
    assert (grained[40:] == rgb[40:]).all()
    assert (grained[:, 50:] == rgb[:, 50:]).all()
    assert np.abs(grained.astype(int) - rgb).max() <= proposals.GRAIN
    assert grained[:39, :49].std() > 1
    assert (grained == proposals.grained(rgb)).all()


def test_a_figure_is_taken_instead_of_the_ground_that_it_stands_on():
    rgb, (thing,) = scene((200, 180, 55, 90))
    evidence = Evidence(rgb, rgb)
    ground = thing.copy()
    ground[150:] = True
    head = thing & (np.arange(300)[:, None] < 120)
    # Each four times, as if found from four starts.
    assert (finding.choose([ground] * 4 + [thing] * 4, evidence) == thing).all()
    assert (finding.choose([ground] * 4, evidence) == ground).all()
    assert (finding.choose([ground] * 4 + [thing & ~head] * 4, evidence) == thing).all()


def test_a_thing_that_hangs_above_the_ground_is_no_figure_before_it():
    rgb, _ = scene((200, 80, 70, 55))
    assert finding.find(rgb).max() == 0


def test_the_same_photo_gives_the_same_figures_on_any_number_of_threads():
    rgb = data.coffee()
    before = cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append(finding.find(rgb))
    finally:
        cv2.setNumThreads(before)
    assert found[0].max() == 1
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_a_large_photo_is_looked_at_at_a_small_size():
    rgb, (thing,) = scene((200, 180, 55, 90))
    large = cv2.resize(rgb, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    found = finding.find(large)
    assert max(found.shape) == finding.FINE_SIDE
    assert overlap(cv2.resize((found > 0).view(np.uint8), (400, 300)) > 0, thing) > 0.93


def test_holes_of_a_figure_are_filled_and_its_crumbs_are_dropped():
    mask = np.zeros((200, 200), bool)
    mask[40:160, 60:140] = True
    mask[90:110, 90:110] = False
    mask[20:34, 20:34] = True
    tidy = whole(mask)
    assert tidy[100, 100]
    assert not tidy[27, 27]
    assert overlap(tidy, mask | tidy) > 0.95


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_the_subject_of_a_real_photo_is_seen(name):
    """A point inside the subject and one beside it, chosen by eye."""
    inside, beside = {"coffee": ((0.5, 0.45), (0.2, 0.93)), "astronaut": ((0.75, 0.3), (0.2, 0.75))}[name]
    found = finding.find(getattr(data, name)())
    at = [found[int(y * found.shape[0]), int(x * found.shape[1])] for y, x in (inside, beside)]
    assert at[0] > 0
    assert at[1] == 0


def as_jpeg(rgb, quality):
    _, stored = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(stored, cv2.IMREAD_COLOR)[:, :, ::-1].copy()


def test_a_jpeg_shows_the_same_figure_with_its_face():
    rgb = data.astronaut()
    as_png, jpeg = finding.find(rgb) > 0, finding.find(as_jpeg(rgb, 75)) > 0
    assert overlap(as_png, jpeg) > 0.95
    face, suit, helmet, wall = (110, 225), (400, 200), (420, 430), (100, 60)
    assert [bool(jpeg[at]) for at in (face, suit, helmet, wall)] == [True, True, True, False]


def test_a_head_stays_on_whichever_of_body_and_surroundings_is_a_little_better(monkeypatch):
    """The body alone and the body with its head and ground: noise decides which of them has the better score."""
    rgb, (thing,) = scene((200, 180, 55, 90))
    evidence = Evidence(rgb, rgb)
    ground = thing.copy()
    ground[150:] = True
    body = thing & (np.arange(300)[:, None] >= 120)
    for better in (0.6, 0.7), (0.7, 0.6):
        given = iter(better)
        monkeypatch.setattr(finding, "score", lambda _traits, given=given: next(given))
        assert (finding.choose([ground, body], evidence) == thing).all()


def test_a_mixture_hardly_changes_with_noise_and_does_not_depend_on_chance():
    rng = np.random.default_rng(5)
    colours = np.concatenate([rng.normal(centre, 6, (4000, 3)) for centre in ((60, 70, 80), (200, 90, 60), (90, 180, 200))])
    noisy = colours + rng.normal(0, 2, colours.shape)
    first, second = (mixture(np.clip(np.rint(each), 0, 255).astype(np.uint8)) for each in (colours, noisy))
    assert np.abs(first[0, :PARTS] - second[0, :PARTS]).max() < 0.05
    assert np.abs(first[0, PARTS : 4 * PARTS] - second[0, PARTS : 4 * PARTS]).max() < 4
    cv2.setRNGSeed(99)
    assert (mixture(np.clip(np.rint(colours), 0, 255).astype(np.uint8)) == first).all()


def test_pixels_of_one_colour_make_a_mixture_with_one_part():
    model = mixture(np.full((50, 3), 77, np.uint8))
    assert model[0, :PARTS].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert model[0, PARTS : PARTS + 3].tolist() == [77.0, 77.0, 77.0]


def test_a_picture_without_colours_is_told_apart_by_brightness_and_texture():
    grey = cv2.cvtColor(data.gravel()[:120, :160], cv2.COLOR_GRAY2RGB)
    seen = distinct(grey)
    assert (seen[:, :, 0] == grey[:, :, 0]).all()
    assert seen[:, :, 1].std() < grey[:, :, 1].std()
    assert seen[:, :, 2].mean() > 20
    tinted = grey.copy()
    tinted[:, :, 0] = np.minimum(tinted[:, :, 0], 245) + np.uint8(2 * EVEN - 6)
    assert distinct(tinted) is tinted


def test_the_most_plausible_figure_has_the_greatest_expected_overlap():
    likelihood, sizes = np.array([0.9, 0.1, 0.6, 0.4]), np.array([10, 60, 20, 10])
    # The expected overlaps, from one patch to four, are 0.28, 0.53, 0.54 and 0.31.
    assert plausible(likelihood, sizes).tolist() == [True, False, True, True]
