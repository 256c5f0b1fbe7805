"""Depth from the two views of a stereo photo, in each carrier: right to a pixel, holes marked, off if the views do not match."""

import os
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.errors import DepthMissing, DepthUnreadable, JobError
from pipeline import depth
from pipeline.depth import stereo
from pipeline.depth.photo import SOURCE
from pipeline.depth.source import PassedOver
from pipeline.image import decode
from pipeline.image.stereo import matching
from pipeline.image.turning import upright
from pipeline.layers.layering import layer_picture
from tests.carriers import heic_files, phone_files, stereo_scenes
from tests.unit.pictures import encoded, landscape, stored

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)


@cache
def scene(seed=1, height=256, width=352, **options):
    return stereo_scenes.pair(height, width, seed=seed, **options)


@pytest.fixture
def command(tmp_path):
    def write(data, name="photo.jpg", wanted="photo"):
        (tmp_path / name).write_bytes(data)
        return JobCommand(
            job_id="j", attempt=str(tmp_path), source=str(tmp_path), image=name, image_bytes=1, image_mtime_ns=1,
            spec=JobSpec(depth=wanted), limits=LIMITS, models=str(tmp_path / "none"), device="cpu", threads=1, model_lists=[],
        )  # fmt: skip

    return write


def read(job):
    photo = decode.read(os.fsencode(f"{job.source}/{job.image}"), limits=LIMITS)
    return photo, depth.choose(photo, job)


#: carrier → (file name, the bytes of a pair's file)
CARRIERS = {
    "spatial HEIC": ("photo.heic", lambda left, right: heic_files.spatial(left, right)),
    "spatial HEIC, the right view first": (
        "photo.heic",
        lambda left, right: heic_files.spatial(left[:, ::-1], right[:, ::-1], primary=1).replace(
            heic_files.stereo_group(1, 2), heic_files.stereo_group(2, 1)
        ),
    ),
    "MPO": ("photo.mpo", phone_files.stereo_mpo),
    "side by side, JPS descriptor": ("photo.jpg", phone_files.stereo_jpeg),
    "side by side, .jps": ("PHOTO.JPS", lambda left, right: phone_files.stereo_jpeg(left, right, flags=0, descriptor=False)),
    "side by side, named": ("photo.sbs.jpg", lambda left, right: phone_files.stereo_jpeg(left, right, descriptor=False)),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_depth_is_right_to_a_pixel_and_holes_are_marked(command, carrier):
    left, right, truth, visible = scene()
    name, write = CARRIERS[carrier]
    photo, found = read(command(write(left, right), name))
    is_mirrored = "right view first" in carrier
    expected, seen = (truth[:, ::-1], visible[:, ::-1]) if is_mirrored else (truth, visible)
    assert photo.rgb.shape == left.shape
    assert np.abs(photo.rgb.astype(float) - (left[:, ::-1] if is_mirrored else left)).mean() < 8
    assert (found.provenance.source, found.provenance.method) == ("photo", "stereo")
    assert not any("pictures" in each for each in photo.warnings)
    # The map is stretched to 0…1; undo that with the scene's own ends.
    low, high = expected[found.valid].min(), expected[found.valid].max()
    pixels = low + found.values * (high - low)
    right_to_a_pixel = found.valid & (np.abs(pixels - expected) <= 1.0)
    assert right_to_a_pixel.mean() >= 0.8
    assert right_to_a_pixel.sum() >= 0.97 * found.valid.sum()
    assert (~found.valid)[~seen].mean() >= 0.8


def test_layers_are_those_of_the_true_depth(command):
    left, right, truth, _ = scene()
    photo, found = read(command(heic_files.spatial(left, right), "photo.heic"))
    scaled = (truth - truth.min()) / np.ptp(truth)
    made, true = (
        layer_picture(photo.rgb, None, values.astype(np.float32), valid, num_layers=4)
        for values, valid in ((found.values, found.valid), (scaled, None))
    )
    assert np.mean(made.labels == true.labels) >= 0.9


@pytest.mark.parametrize(("degrees", "rise", "zoom"), [(0.7, 3.0, 1.0), (-0.5, -4.0, 1.012)])
def test_a_camera_that_hangs_askew_is_rectified(degrees, rise, zoom):
    left, right, truth, _ = scene(3, shift=8.0)
    found = matching.measure(*(view[..., 1].copy() for view in (left, stereo_scenes.misaligned(right, degrees, rise, zoom))))
    apart = found.disparity - truth
    apart -= np.median(apart[found.valid])
    assert (found.valid & (np.abs(apart) <= 1.0)).mean() >= 0.8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_near_is_near_and_upright_at_every_orientation(command, orientation):
    left, right, truth, _ = scene(4, 160, 224)
    photo, found = read(command(phone_files.stereo_mpo(left, right, orientation=orientation), "photo.mpo"))
    assert found.values.shape == photo.rgb.shape[:2]
    back = stored(found.values, orientation)
    mask = stored(found.valid, orientation)
    assert np.corrcoef(back[mask], truth[mask])[0, 1] > 0.95


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_spatial_photo_may_be_turned_by_its_properties(command, orientation):
    left, right, truth, _ = scene(4, 160, 224)
    photo, found = read(command(heic_files.spatial(left, right, extra=heic_files.TURNS[orientation]), "photo.heic"))
    assert np.array_equal(photo.rgb, upright(left, orientation))
    mask = stored(found.valid, orientation)
    assert np.corrcoef(stored(found.values, orientation)[mask], truth[mask])[0, 1] > 0.95


def test_distances_are_in_metres_if_the_file_says_how_the_cameras_stand(command):
    left, right, truth, _ = scene()
    reach = 0.8 * left.shape[1] * 0.0192
    _, found = read(command(heic_files.spatial(left, right, focal=0.8, baseline=0.0192), "photo.heic"))
    assert found.distances.in_metres
    assert (found.distances.near, found.distances.far) == pytest.approx((truth.max() / reach, truth.min() / reach), rel=0.1)
    _, found = read(command(heic_files.spatial(left, right, calibrated=False), "photo.heic"))
    assert found.distances is None


OTHER = scene(9)[0]


@pytest.mark.parametrize(
    ("views", "said"),
    [((scene()[0], OTHER), "show different things"), ((scene()[0], scene()[0]), "are the same")],
    ids=["other scene", "twice the same"],
)
def test_views_that_do_not_match_give_no_depth_and_say_so(command, views, said):
    data = phone_files.stereo_mpo(*views)
    with pytest.raises(DepthUnreadable, match=rf"photo\.mpo is a stereo photo, but its two views .*{said}.* gave no depth"):
        read(command(data, "photo.mpo"))
    job = command(data, "photo.mpo", wanted="auto")
    picture = decode.read(os.fsencode(f"{job.source}/{job.image}"), limits=LIMITS)
    with pytest.raises(PassedOver, match=f"{said}.* Another source was used"):
        SOURCE.find(picture, job, lambda _: None)


def test_a_second_view_that_is_damaged_or_of_another_size_is_told(command):
    left, right, _, _ = scene()
    whole = phone_files.stereo_mpo(left, right)
    for data in (whole[: -len(whole) // 3], phone_files.stereo_mpo(left, right[:-8])):
        with pytest.raises(DepthUnreadable, match="second view cannot be read"):
            read(command(data, "photo.mpo"))


def test_pictures_that_do_not_call_themselves_a_pair_are_none(command):
    left, right, _, _ = scene()
    for data in (phone_files.stereo_mpo(left, right, kind=0x020001), heic_files.heic((left, 8, []), (right, 8, []))):
        with pytest.raises(DepthMissing, match="neither depth nor a second view"):
            read(command(data))


def test_a_pair_side_by_side_that_does_not_say_so_is_left_whole_with_a_hint(command):
    left, right, _, _ = scene()
    photo = decode.read(os.fsencode(_written(command, phone_files.stereo_jpeg(left, right, descriptor=False))), limits=LIMITS)
    assert photo.rgb.shape == (256, 704, 3)
    assert "looks like a stereo pair" in photo.warnings[0]
    assert "photo.jpg" in photo.warnings[0]
    for whole in (np.concatenate([left, OTHER], axis=1), np.concatenate([left, left], axis=1), landscape(100, 200)):
        assert decode.read(os.fsencode(_written(command, encoded(whole, "JPEG"))), limits=LIMITS).warnings == ()


def test_halves_that_differ_and_other_arrangements_are_left_whole(command):
    left, right, _, _ = scene()
    for data, name, said in (
        (phone_files.stereo_jpeg(left, OTHER), "photo.jps", "its halves differ"),
        (phone_files.stereo_jpeg(left, right, layout=3), "photo.jps", "not side by side"),
        (phone_files.stereo_jpeg(left, right, flags=6), "photo.jps", "not side by side"),
    ):
        photo = decode.read(os.fsencode(_written(command, data, name)), limits=LIMITS)
        assert photo.rgb.shape == (256, 704, 3)
        assert said in photo.warnings[0]


def _written(command, data, name="photo.jpg"):
    job = command(data, name)
    return f"{job.source}/{job.image}"


SMALL = heic_files.spatial(*(view[:64, :96] for view in scene()[:2]))
META = SMALL.index(b"mdat")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(24, META), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
def test_hostile_spatial_photos_give_depth_or_a_plain_error(tmp_path_factory, edits):
    data = bytearray(SMALL)
    for at, value in edits:
        data[at : at + len(value)] = value
    path = tmp_path_factory.mktemp("hostile") / "photo.heic"
    path.write_bytes(data)
    name = os.fsencode(path)
    try:
        found = stereo.read(name, photo=decode.read(name, limits=LIMITS), limits=LIMITS)
    except JobError:
        return
    assert found is None or np.isfinite(found.values).all()
