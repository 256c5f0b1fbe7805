"""The camera model: at rest it shows the photo, planes stand where the source says, and nothing moves further than allowed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export.camera import ASSUMED_FAR, ASSUMED_NEAR, MOST_APART, Camera, camera_before
from pipeline.layers.distances import Distances

RANGES = ((0.0, 0.2), (0.2, 0.6), (0.6, 1.0))
SHIFTS = (0.0, 0.03 * 3 / 7, 0.03)


def before(
    size: tuple[int, int] = (1200, 800),
    distances: Distances | None = None,
    shifts: tuple[float, ...] = SHIFTS,
    ranges: tuple[tuple[float, float], ...] = RANGES,
    filled: tuple[bool, ...] = (True, True, True),
    focal: float | None = None,
) -> Camera:
    return camera_before(size, shifts, ranges, filled, distances, focal)


def seen_at(camera: Camera, plane: int, x: float, aside: float = 0.0, forward: float = 0.0) -> float:
    """Where a point of a plane, at a fraction x of its width from its left, is seen, in pixels from the middle."""
    place = camera.planes[plane]
    across = (x - 0.5) * place.size[0]
    return camera.focal_length * (across - aside) / (place.distance - forward)


def test_at_rest_every_plane_fills_the_frame() -> None:
    camera = before(distances=Distances(0.02, 0.8, in_metres=True), focal=26.0)
    for plane in range(3):
        assert [seen_at(camera, plane, x) for x in (0.0, 0.5, 1.0)] == pytest.approx([-600, 0, 600])
        width, height = camera.planes[plane].size
        assert width / height == pytest.approx(1200 / 800)
        assert camera.planes[plane].scale == pytest.approx(width / (1200 * camera.pivot / camera.focal_length))


def test_planes_stand_at_true_metres_where_the_source_measured_them() -> None:
    camera = before(distances=Distances(0.1, 0.6, in_metres=True))
    assert camera.unit == "metre"
    assert [plane.distance for plane in camera.planes] == pytest.approx([1 / (0.1 + 0.5 * m) for m in (0.1, 0.4, 0.8)])


def test_planes_stand_in_true_proportion_where_only_the_unit_is_unknown() -> None:
    camera = before(distances=Distances(0.001, 0.004, in_metres=False))
    distances = [plane.distance for plane in camera.planes]
    assert camera.unit == "relative"
    assert distances[0] / distances[2] == pytest.approx((1 + 3 * 0.8) / (1 + 3 * 0.1))
    assert distances[2] == pytest.approx(ASSUMED_NEAR * 4 / (1 + 3 * 0.8))


@pytest.mark.parametrize("distances", [None, Distances(0.0, 0.0, in_metres=True), Distances(-2.0, -1.0, in_metres=True)])
def test_without_distances_the_documented_scale_is_used(distances: Distances | None) -> None:
    camera = before(distances=distances, ranges=((0.0, 0.0), (0.4, 0.4), (1.0, 1.0)), shifts=(0.0, 0.012, 0.03))
    assert [plane.distance for plane in camera.planes] == pytest.approx([ASSUMED_FAR, 1 / 0.26, ASSUMED_NEAR])


def test_metres_that_no_photo_shows_only_give_proportions() -> None:
    for near in (1e5, 1e-5):
        camera = before(distances=Distances(near / 4, near, in_metres=True))
        assert camera.unit == "relative"
        assert camera.planes == before(distances=Distances(0.25, 1.0, in_metres=False)).planes


def test_infinity_is_a_plane_far_away_and_keeps_the_order() -> None:
    camera = before(distances=Distances(0.0, 1.0, in_metres=True), ranges=((0.0, 0.0), (0.004, 0.004), (1.0, 1.0)))
    far, middle, near = (plane.distance for plane in camera.planes)
    assert far == pytest.approx(MOST_APART * near)
    assert far > middle > near == pytest.approx(1.0)


def test_moving_by_its_reach_moves_planes_as_far_as_they_travel_and_no_further_apart_than_allowed() -> None:
    for size in ((1200, 800), (800, 1200)):
        camera = before(size)
        pivot = camera.focal_length * camera.reach[0] / camera.pivot
        moved = [(seen_at(camera, plane, 0.5, aside=-camera.reach[0]) - pivot) / size[0] for plane in range(3)]
        assert moved == pytest.approx([plane.travel for plane in camera.planes])
        assert moved[2] == pytest.approx(-2 * moved[0])
        assert moved[2] - moved[0] == pytest.approx(0.03)
        assert camera.reach[1] / camera.reach[0] == pytest.approx(size[1] / size[0])


def test_the_farthest_push_uncovers_no_more_than_the_farthest_move_aside() -> None:
    camera = before()
    corner = math.hypot(1200, 800) / 2
    # What is seen in the corner, on each plane, in pixels of the picture.
    on_plane = [corner * (plane.distance - camera.push) / plane.distance for plane in camera.planes]
    assert on_plane[0] - on_plane[2] == pytest.approx(0.03 * 1200)


def test_a_flat_picture_has_one_distance_and_no_reach() -> None:
    camera = before(shifts=(0.0, 0.0), ranges=((0.5, 0.5), (0.5, 0.5)), filled=(True, False))
    assert [plane.distance for plane in camera.planes] == pytest.approx([1 / 0.3] * 2)
    assert {plane.travel for plane in camera.planes} == {0.0}
    assert camera.reach == (0.0, 0.0)
    assert 0 < camera.push < camera.planes[0].distance / 4


def test_the_lens_comes_from_the_picture_unless_no_lens_is_like_that() -> None:
    assert before(focal=50.0).fov == pytest.approx(
        (2 * math.degrees(math.atan(600 / before(focal=50.0).focal_length)),) * 2, rel=0.4
    )
    assert before((3600, 2400), focal=50.0).focal_length == pytest.approx(5000.0)
    assert before(focal=50.0).lens == "exif"
    for wrong in (None, 0.0, math.nan, 1e9):
        assert before(focal=wrong).lens == "assumed"
        assert before(focal=wrong).focal_length == before().focal_length


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        before(filled=(True, True))


@given(
    st.lists(st.floats(0.0, 1.0, width=32), min_size=2, max_size=12, unique=True),
    st.one_of(st.none(), st.builds(Distances, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.booleans())),
    st.tuples(st.integers(1, 60_000), st.integers(1, 60_000)),
)
def test_any_planes_stand_in_order_within_bounds(
    middles: list[float], distances: Distances | None, size: tuple[int, int]
) -> None:
    middles = sorted(middles)
    span = middles[-1] - middles[0]
    shifts = tuple(0.03 * (each - middles[0]) / span if span else 0.0 for each in middles)
    camera = before(size, distances, shifts, tuple((each, each) for each in middles), (True,) * len(middles))
    away = [plane.distance for plane in camera.planes]
    assert away == sorted(away, reverse=True)
    assert 0 < away[-1] <= away[0] <= away[-1] * MOST_APART * 1.001
    assert away[-1] <= camera.pivot * 1.000001 <= away[0] * 1.00001
    assert all(math.isfinite(each) and each >= 0 for each in (*camera.reach, camera.push))
    assert camera.push < away[-1]
