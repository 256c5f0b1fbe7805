"""The layering keeps its promises for any picture, depth and number of layers."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from daemon.contract.manifest import Depth
from pipeline.export.format import Pictures
from pipeline.export.result import png_tasks, write
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture, shifts
from tests.scenes import camera_depth, scene


@st.composite
def jobs(draw):
    """A picture with or without alpha, a depth of its own size, and how to cut it."""
    height, width = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    slope = np.add.outer(np.linspace(0, 0.5, height), np.linspace(0, 0.5, width))
    rgb = {
        "noise": rng.integers(0, 256, (height, width, 3)),
        "flat": np.full((height, width, 3), rng.integers(0, 256)),
        "slope": slope[..., None] * rng.integers(0, 256, 3),
        "extremes": rng.choice([0, 255], (height, width, 3)),
    }[draw(st.sampled_from(["noise", "flat", "slope", "extremes"]))].astype(np.uint8)
    alpha = draw(st.sampled_from([None, "noise", "hard", "soft"]))
    if alpha is not None:
        levels = {"noise": np.arange(256), "hard": [0, 255], "soft": [0, 1, 128, 254, 255, 255, 255]}[alpha]
        alpha = rng.choice(levels, (height, width)).astype(np.uint8)
    h, w = draw(st.sampled_from([(height, width), (1, 1), (7, 5), (40, 70)]))
    values = {
        "noise": rng.random((h, w)),
        "flat": np.full((h, w), rng.choice([0.0, 0.5, 1.0])),
        "slope": np.add.outer(np.linspace(0, 0.5, h), np.linspace(0, 0.5, w)),
        "steps": rng.choice([0.0, 0.4, 1.0], (h, w)),
        "blocks": np.kron(rng.random((3, 3)), np.ones((h, w)))[:h, :w],
    }[draw(st.sampled_from(["noise", "flat", "slope", "steps", "blocks"]))].astype(np.float32)
    valid = draw(st.sampled_from([None, 0.0, 0.5]))
    num_layers = draw(st.sampled_from([2, 4, 7, 12]))
    given_split = tuple(float(t) for t in np.arange(1, num_layers) / num_layers)
    return {
        "rgb": rgb,
        "alpha": alpha,
        "values": values,
        "valid": None if valid is None else rng.random((h, w)) < valid,
        "num_layers": num_layers,
        "split": draw(st.sampled_from(["natural", "equal", "quantile", given_split])),
    }


def make(job):
    wishes = {k: job[k] for k in ("num_layers", "split")}
    return layer_picture(job["rgb"], job["alpha"], job["values"], job["valid"], **wishes)


def with_pillow(job, layers):
    """The layers' files, composited by Pillow, and the composite's file."""
    photo = Photo(job["rgb"], job["alpha"], None, "sRGB", 8, "PNG")
    depth = Depth(source="file", polarity="disparity", valid=1.0)
    with tempfile.TemporaryDirectory() as folder:
        outputs = write(
            Path(folder), png_tasks(Pictures("a", photo, layers, depth, "a file", None)), threads=1, progress=lambda _: None
        )
        files = {output.path: Path(folder) / Path(output.path).name for output in outputs}
        out = Image.new("RGBA", layers.labels.shape[::-1])
        for output in outputs:
            if output.kind == "layer":
                with Image.open(files[output.path]) as written:
                    out = Image.alpha_composite(out, written)
        with Image.open(files["result/composite.png"]) as written:
            composite = np.asarray(written.convert("RGBA"))
    return np.asarray(out).astype(int), composite.astype(int)


@given(jobs())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_layers_recompose_and_hold_every_promise(job):
    layers = make(job)
    rgb = job["rgb"]
    alpha = np.full(rgb.shape[:2], 255, np.uint8) if job["alpha"] is None else job["alpha"]
    composite, written = with_pillow(job, layers)
    assert (np.abs(composite - written).max(axis=2)[written[..., 3] > 0] <= 1).all()
    assert np.abs(composite[..., 3] - alpha).max() <= 1
    assert np.abs(composite[..., :3] - rgb)[alpha > 0].max(initial=0) <= 1
    assert layers.max_error <= 1

    present = sum((layer[..., 3] > 0).astype(int) for layer in layers.rgba)
    assert (present[(alpha > 0) & (alpha < 255)] == 1).all()
    assert (present[alpha == 0] == 0).all()

    assert len(layers.rgba) == job["num_layers"] == len(layers.thresholds) + 1
    assert (np.diff(np.float32(layers.thresholds)) > 0).all()
    assert sum(layers.coverage) == pytest.approx((alpha > 0).mean())
    for layer, box in zip(layers.rgba, layers.bboxes, strict=True):
        assert (box is None) == (not layer[..., 3].any())
        assert not layer[layer[..., 3] == 0].any()


@given(jobs(), st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, -0.7)]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_moving_the_layers_apart_opens_no_holes(job, direction):
    layers = make(job)
    height, width = layers.labels.shape
    opaque = np.ones((height, width), np.bool_) if job["alpha"] is None else job["alpha"] == 255
    seen = np.zeros((height, width), np.float32)
    for layer, share in zip(layers.rgba, shifts(layers), strict=True):
        dx, dy = (share * max(height, width) * d for d in direction)
        cover = layer[..., 3].astype(np.float32) / 255
        moved = cv2.warpAffine(cover, np.float32([[1, 0, dx], [0, 1, dy]]), (width, height)).reshape(height, width)
        seen = seen + (1 - seen) * moved
    assert seen[opaque].min(initial=1.0) > 0.999


@pytest.mark.parametrize(("name", "most"), [("hair", 2), ("poles", 4)])
def test_the_number_of_threads_changes_no_byte(name, most):
    truth = scene(name, 600, 800)
    before = cv2.getNumThreads()
    results = []
    try:
        for threads in (1, most):
            cv2.setNumThreads(threads)
            results.append(layer_picture(truth.rgb, None, camera_depth(truth), None, num_layers=4))
    finally:
        cv2.setNumThreads(before)
    alone, together = results
    assert together.thresholds == alone.thresholds
    assert together.mean_colour_distance == alone.mean_colour_distance
    assert all(a.tobytes() == b.tobytes() for a, b in zip(alone.rgba, together.rgba, strict=True))


def test_shifts_rise_from_a_backdrop_that_stays():
    truth = scene("leaves")
    layers = layer_picture(truth.rgb, None, truth.disparity, None, num_layers=5)
    moves = shifts(layers)
    assert moves[0] == 0.0
    assert list(moves) == sorted(moves)
    assert moves[-1] == pytest.approx(0.03)


def test_the_farthest_layer_with_pixels_stays_when_those_behind_it_are_empty():
    rgb = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    values = np.full((60, 80), 0.6, np.float32)
    values[20:40, 20:40] = 0.9
    layers = layer_picture(rgb, None, values, None, num_layers=4, split=(0.2, 0.5, 0.8))
    assert layers.bboxes[:2] == (None, None)
    assert shifts(layers)[2:] == pytest.approx((0.0, 0.03))
    assert (layers.rgba[2][..., 3] == 255).all()


def test_a_layer_that_only_transparent_pixels_belong_to_covers_nothing():
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    values = np.tile(np.float32([0.1] * 4 + [0.9] * 5), (9, 1))
    alpha = np.where(values < 0.5, 255, 0).astype(np.uint8)
    alpha[4, 3:6] = (255, 0, 0)
    layers = layer_picture(rgb, alpha, values, None, num_layers=2, split=(0.5,))
    assert layers.bboxes[1] is None
    composite, _ = with_pillow({"rgb": rgb, "alpha": alpha}, layers)
    assert (composite[..., :3] == rgb)[alpha > 0].all()


def test_the_picture_and_depth_are_not_changed():
    truth = scene("hair")
    rgb, values = truth.rgb.copy(), truth.disparity.copy()
    layer_picture(rgb, None, values, None, num_layers=3)
    assert (rgb == truth.rgb).all()
    assert (values == truth.disparity).all()


def test_progress_names_every_stage_in_order():
    seen = []
    layer_picture(
        np.zeros((9, 9, 3), np.uint8), None, np.zeros((9, 9), np.float32), None, num_layers=2, progress=lambda *a: seen.append(a)
    )
    assert list(dict.fromkeys(stage for stage, _ in seen)) == ["refine", "split", "matte", "fill", "recompose"]
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
