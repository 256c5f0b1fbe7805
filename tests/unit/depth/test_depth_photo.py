"""The depth that a phone stored in its photo: in its own units, upright like the photo, and None if there is none."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import SAMPLES, encoded, landscape

from daemon.contract.messages import Limits
from daemon.errors import DepthUnreadable
from pipeline.depth import photo
from pipeline.image import decode, heif
from pipeline.image.auxiliary import beside
from pipeline.image.auxiliary.pictures import DepthImage
from pipeline.image.auxiliary.representation import representation
from tests.carriers import heic_files, phone_files

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
PUG = SAMPLES / "iphone_pug_original.heic"
needs_pug = pytest.mark.skipif(not PUG.exists(), reason=f"{PUG} is not at hand")


def stored(samples, bits=8, **about):
    return DepthImage(np.array([samples], np.uint16 if bits > 8 else np.uint8), bits, about)


def test_disparity_lies_between_its_bounds():
    disparity, polarity, remarks = photo.physical(stored([0, 51, 255], representation_type=1, d_min=1.5, d_max=4.5))
    assert disparity[0].tolist() == pytest.approx([1.5, 2.1, 4.5])
    assert (polarity, remarks) == ("disparity", ())


def test_inverse_distance_lies_between_the_inverses_of_its_bounds():
    disparity, polarity, _ = photo.physical(stored([0, 255], representation_type=0, z_near=0.5, z_far=4.0))
    assert disparity[0].tolist() == pytest.approx([0.25, 2.0])
    assert polarity == "disparity"


def test_distance_is_inverted():
    disparity, polarity, _ = photo.physical(stored([0, 1023], bits=10, representation_type=2, z_near=0.5, z_far=4.0))
    assert disparity[0].tolist() == pytest.approx([2.0, 0.25])
    assert polarity == "distance"


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"representation_type": 1},
        {"representation_type": 1, "d_min": 2.0, "d_max": 2.0},
        {"representation_type": 1, "d_min": -1e308, "d_max": 1e308},
        {"representation_type": 0, "z_near": 1e-320, "z_far": 1},
        {"representation_type": 2, "z_near": 0, "z_far": 1},
    ],
)
def test_without_usable_bounds_the_order_counts_and_a_warning_says_so(about):
    disparity, _, remarks = photo.physical(stored([0, 255], **about))
    is_distance = about.get("representation_type") == 2
    assert disparity[0].tolist() == ([1.0, 0.0] if is_distance else [0.0, 1.0])
    assert "no scale" in remarks[0]


def test_distances_for_a_prompt_end_where_a_phones_lidar_does():
    disparity = np.array([[-1.0, 0.0, 0.125, 0.5, 2.0]])
    prompt = photo.Stored(disparity, "disparity", (), in_metres=True).distance()
    assert (prompt.dtype, prompt.tolist()) == (np.float32, [[8.0, 8.0, 8.0, 2.0, 0.5]])
    assert (photo.Stored(np.zeros((2, 2)), "disparity", (), in_metres=True).distance() == 1.0).all()


def test_photos_of_other_formats_hold_none(tmp_path):
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(landscape(), "JPEG"))
    path = os.fsencode(path)
    assert photo.read(path, photo=decode.read(path, limits=LIMITS), limits=LIMITS) is None


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.5), (1.0, 2.0), (0.36, 1.8)])
def test_bounds_are_read_with_the_bytes_that_keep_start_codes_away(tmp_path, low, high):
    """Without this, libheif 1.23 finds 1.0 and 9e-11 instead of 1.0 and 2.0."""
    data = heic_files.portrait(landscape(60, 80), phone_files.slope(), low, high)
    assert (b"\0\0\3" in data[data.index(b"auxC") : data.index(b"ipma")]) == (low != 0.36)
    path = tmp_path / "photo.heic"
    path.write_bytes(data)
    path = os.fsencode(path)
    found = photo.read(path, photo=decode.read(path, limits=LIMITS), limits=LIMITS)
    assert found.disparity == pytest.approx(low + phone_files.slope() / 255 * (high - low))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=30))
def test_what_is_said_about_a_depth_picture_is_read_within_bounds(data):
    assert set(representation(b"\0\0\0\x20\0\0\0\x20\x4e\x01\xb1" + data)) <= {
        "representation_type", "z_near", "z_far", "d_min", "d_max",
    }  # fmt: skip
    assert representation(data[:8]) == {}


@needs_pug
def test_a_phones_portrait_gives_the_disparity_it_stored():
    path = os.fsencode(PUG)
    reading = photo.read(path, photo=decode.read(path, limits=LIMITS), limits=LIMITS).depth_map()
    assert reading.values.shape == (576, 768)
    assert (reading.values.min(), reading.values.max()) == (0.0, 1.0)
    assert (reading.provenance.source, reading.provenance.polarity, reading.valid) == ("photo", "disparity", None)
    with open(path, "rb") as file:
        (raw,) = heif.depth_images(file)
    disparity, _, _ = photo.physical(raw)
    assert (disparity.min(), disparity.max()) == pytest.approx((1.498, 4.383), abs=0.05)
    dog, wall = reading.values[320:400, 360:480], reading.values[50:200, 200:600]
    assert dog.min() > wall.max() + 0.15


@needs_pug
def test_stored_depth_turns_with_the_photo(tmp_path):
    data = bytearray(PUG.read_bytes())
    data[data.index(b"irot") + 4] = 3
    turned = tmp_path / "turned.heic"
    turned.write_bytes(data)
    first, second = (
        photo.read(path, photo=decode.read(path, limits=LIMITS), limits=LIMITS).depth_map()
        for path in (os.fsencode(PUG), os.fsencode(turned))
    )
    assert np.array_equal(second.values, np.rot90(first.values, -1))


@needs_pug
def test_stored_depth_of_another_shape_is_refused():
    other = decode.Photo(np.zeros((40, 40, 3), np.uint8), None, None, "sRGB", 8, "HEIF")
    with pytest.raises(DepthUnreadable, match="another shape"):
        photo.read(os.fsencode(PUG), photo=other, limits=LIMITS)


@needs_pug
def test_mattes_in_heic_are_found_and_named(tmp_path):
    """The sample's gain map, renamed, stands for a matte: its numbers do not matter here."""
    path = tmp_path / "matte.heic"
    urn = b"urn:com:apple:photo:2018:aux:portraiteffectsmatte"
    path.write_bytes(phone_files.renamed_auxiliary(PUG.read_bytes(), b"urn:com:apple:photo:2020:aux:hdrgainmap", urn))
    frame = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (3024, 4032, 3))
    picture = decode.Photo(frame, None, None, "sRGB", 8, "HEIF")
    assert beside.mattes(os.fsencode(PUG), photo=picture, limits=LIMITS) == {}
    (matte,) = beside.mattes(os.fsencode(path), photo=picture, limits=LIMITS).values()
    with open(PUG, "rb") as file:
        container = heif.parse(file)
        main = container[container.primary_index]
        (number,) = main.info["aux"]["urn:com:apple:photo:2020:aux:hdrgainmap"]
        gain = main.get_aux_image(number).to_pillow()
    assert np.array_equal(matte, np.asarray(gain))
