"""What the moving camera sees: the photo at rest, no hole and no border of a layer on its way, and no seam in the loop."""

import itertools
import os
from dataclasses import replace
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from daemon.contract.manifest import Depth
from daemon.contract.spec import JobSpec, MotionName
from pipeline.depth import cues
from pipeline.export.format import Pictures
from pipeline.export.moving.frames import Frames, frame_size
from pipeline.export.moving.motion import REST, Motion, pose, poses
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture
from tests.scenes import scene
from tests.unit.pictures import SAMPLES

NAMES: tuple[MotionName, ...] = get_args(MotionName)
SOAK = bool(os.environ.get("SOAK_TESTS"))
EXTREMES = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 7 / 8)


def pictures(rgb, values, alpha=None, icc=None, num_layers=4) -> Pictures:
    layers = layer_picture(rgb, alpha, values, None, num_layers=num_layers)
    photo = Photo(rgb, alpha, icc, "sRGB", 8, "PNG")
    return Pictures("a", photo, layers, Depth(source="file", polarity="disparity"), "a file", None)


@pytest.fixture(scope="module")
def leaves() -> Pictures:
    truth = scene("leaves")
    return pictures(truth.rgb, truth.disparity)


def psnr(a, b) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def camera_of(travel=0.02):
    """A camera whose farthest plane travels half as far as its nearest."""
    rgb = np.zeros((30, 40, 3), np.uint8)
    values = np.kron([[0.0, 1.0]], np.ones((30, 20))).astype(np.float32)
    camera = pictures(rgb, values, num_layers=2).camera
    assert [plane.travel for plane in camera.planes] == pytest.approx([-travel / 2, travel])
    return camera


def test_a_job_moves_as_its_spec_says():
    spec = JobSpec(motion="orbit", seconds=2.5, fps=24, amount=0.5, size=640)
    assert Motion.of(spec) == Motion("orbit", 2.5, 24, 0.5, 640)
    assert Motion.of(spec).frames == 60
    assert Motion.of(JobSpec()) == Motion()


@pytest.mark.parametrize("name", NAMES)
def test_every_path_begins_and_ends_at_rest_and_goes_as_far_as_it_may(name):
    camera = camera_of()
    motion = Motion(name, seconds=4.0, amount=1.0)
    path = list(poses(motion, camera))
    assert len(path) == 120
    assert path[0] == REST
    for each in (pose(motion, camera, 1e-6), pose(motion, camera, 1 - 1e-6)):
        assert (abs(each.aside), abs(each.above), each.forward, each.zoom - 1) == pytest.approx((0, 0, 0, 0), abs=1e-9)
    farthest = max(max(abs(each.aside), abs(each.above), each.forward) for each in path)
    assert farthest == pytest.approx(1.0, abs=0.01)
    half = list(poses(replace(motion, amount=0.5), camera))
    assert max(max(abs(each.aside), abs(each.above), each.forward) for each in half) == pytest.approx(0.5, abs=0.01)
    # Eased: from frame to frame, neither the place nor the speed jumps.
    places = np.array([(each.aside, each.above, each.forward, 10 * (each.zoom - 1)) for each in [*path, *path[:3]]])
    assert np.abs(np.diff(places, axis=0)).max() < 0.12
    assert np.abs(np.diff(places, 2, axis=0)).max() < 0.015
    assert np.abs(np.diff(places, axis=0))[[0, 119]].max() < 0.01


@pytest.mark.parametrize("name", NAMES)
@given(st.floats(0, 1), st.floats(0.01, 1.0))
@settings(max_examples=10, deadline=None)
def test_no_border_of_a_layer_comes_into_view(name, time, amount):
    camera = camera_of()
    at = pose(Motion(name, amount=amount), camera, time)
    for plane in camera.planes:
        factor = 1 / (1 - at.forward * camera.push / plane.distance)
        for shift in (plane.travel * at.aside + at.across, plane.travel * at.above + at.down):
            assert at.zoom * (factor / 2 - abs(shift)) >= 0.5 - 1e-9


def test_at_rest_the_frame_is_the_photo(leaves):
    whole = Frames(leaves, 1920)
    assert whole.size == (400, 300)
    assert psnr(whole.at(REST), leaves.photo.rgb) > 46
    small = Frames(leaves, 160)
    assert psnr(small.at(REST), cv2.resize(leaves.photo.rgb, (160, 120), interpolation=cv2.INTER_AREA)) > 48
    large = Frames(leaves, 1920, 2)
    assert large.size == (800, 600)
    assert psnr(cv2.resize(large.at(REST), (400, 300), interpolation=cv2.INTER_AREA), leaves.photo.rgb) > 40


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_hole_at_the_extremes_and_no_seam_in_the_loop(name, leaves):
    motion = Motion(name, seconds=2.0, fps=10, size=200)
    frames = Frames(leaves, motion.size)
    for time in EXTREMES:
        assert frames.seen(pose(motion, frames.camera, time))[..., 3].min() >= 254
    drawn = [frames.at(each).astype(float) for each in poses(motion, frames.camera)]
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise([*drawn, drawn[0]])]
    assert steps[-1] <= np.median(steps)
    assert min(steps) > 0


def test_detail_keeps_its_contrast_while_it_moves(leaves):
    """A picture that is sharp at one frame and soft at the next shimmers."""
    frames = Frames(leaves, 400)

    def contrast(across: float) -> float:
        drawn = frames.at(replace(REST, across=across / 400, zoom=1.0))[20:-20, 20:-20]
        return float(cv2.Laplacian(drawn.astype(np.float32), cv2.CV_32F).std())

    found = [contrast(across) for across in (0.0, 0.25, 0.5, 0.75)]
    assert max(found) / min(found) < 1.35

    def plainly(across: float) -> float:
        matrix = np.float32([[1, 0, across], [0, 1, 0]])
        moved = cv2.warpAffine(leaves.photo.rgb, matrix, (400, 300))[20:-20, 20:-20]
        return float(cv2.Laplacian(moved.astype(np.float32), cv2.CV_32F).std())

    assert plainly(0.0) / plainly(0.5) > 1.5 * max(found) / min(found) / 1.35


def test_planes_move_by_what_the_manifest_says(leaves):
    frames = Frames(leaves, 400)
    near = replace(leaves, layers=replace(leaves.layers, bboxes=(None, None, None, leaves.layers.bboxes[3])))
    only = Frames(near, 400)
    only._planes[0].plane = frames.camera.planes[3]
    rest, moved = (only.seen(replace(REST, aside=aside))[..., 3].astype(np.float32) for aside in (0.0, 1.0))
    (across, down), _ = cv2.phaseCorrelate(rest, moved)
    assert (across, down) == pytest.approx((frames.camera.planes[3].travel * 400, 0.0), abs=0.1)


def test_a_transparent_picture_is_shown_on_white():
    truth = scene("leaves", 90, 120)
    alpha = np.full((90, 120), 255, np.uint8)
    alpha[:45] = 0
    frames = Frames(pictures(truth.rgb, truth.disparity, alpha), 120)
    for at in (REST, pose(Motion("orbit"), frames.camera, 0.5)):
        assert (frames.at(at)[:30] == 255).all()
    assert psnr(frames.at(REST)[50:], truth.rgb[50:]) > 40


def test_colours_of_another_profile_become_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    values = np.zeros((40, 60), np.float32)
    assert np.abs(Frames(pictures(rgb, values, icc=lab), 60).at(REST).astype(int) - rgb).max() <= 1


@pytest.mark.parametrize(
    ("picture", "longer", "enlarged", "size"),
    [
        ((4000, 3000), 1920, 1, (1920, 1440)),
        ((4000, 3000), 1920, 2, (1920, 1440)),
        ((641, 479), 1920, 1, (640, 480)),
        ((641, 479), 1920, 2, (1282, 958)),
        ((1600, 1200), 1920, 2, (1920, 1440)),
        ((1, 65_000), 1920, 1, (16, 1920)),
        ((1, 1), 1920, 2, (16, 16)),
        ((3000, 4001), 1000, 1, (750, 1000)),
    ],
)
def test_frames_are_even_and_no_larger_than_asked_for(picture, longer, enlarged, size):
    assert frame_size(*picture, longer, enlarged) == size


@pytest.mark.skipif(not SOAK or not SAMPLES.is_dir(), reason="only in make soak, with the sample pictures beside the project")
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"])
def test_no_sample_shows_holes(name):
    rgb = np.asarray(Image.open(SAMPLES / name).convert("RGB"))
    frames = Frames(pictures(rgb, cues.read(rgb, fetch=None, wanted=4).values), 640)
    for motion in NAMES:
        for time in EXTREMES:
            assert frames.seen(pose(Motion(motion), frames.camera, time))[..., 3].min() >= 254


@given(
    st.integers(1, 48), st.integers(1, 64), st.integers(0, 2**32 - 1), st.sampled_from((2, 4, 7)), st.booleans(),
    st.sampled_from(NAMES),
)  # fmt: skip
@settings(max_examples=100 if SOAK else 8, deadline=None)
def test_no_picture_shows_holes(height, width, seed, num_layers, flat, name):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    values = np.zeros((3, 3), np.float32) if flat else rng.random((3, 5)).astype(np.float32)
    made = pictures(rgb, np.kron(values, np.ones((8, 8), np.float32)), num_layers=num_layers)
    frames = Frames(made, 64)
    for time in (0.0, *EXTREMES):
        assert frames.seen(pose(Motion(name), frames.camera, time))[..., 3].min() >= 254
