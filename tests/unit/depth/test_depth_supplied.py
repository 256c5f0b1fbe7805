"""The dropped depth picture: linear disparity, holes preserved, and the photo's shape required."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, exif, png16, stored, tiff16
from PIL import Image

from daemon.contract.messages import Limits
from daemon.errors import DepthMissing, DepthUnreadable
from pipeline.depth import supplied
from pipeline.depth.depth_map import inverse, normalised
from pipeline.image.auxiliary.beside import same_shape
from pipeline.image.decode import Photo

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)


def photo(height, width, orientation=1):
    return Photo(np.zeros((height, width, 3), np.uint8), None, None, "sRGB", 8, "JPEG", orientation)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, kind="disparity", of=None):
        path = tmp_path / "photo.depth.png"
        path.write_bytes(data)
        return supplied.read(os.fsencode(path), kind, photo=of or photo(40, 60), limits=LIMITS)

    return write_and_read


def ramp(dtype, top, height=40, width=60):
    return np.linspace(1, top, height * width).reshape(height, width).astype(dtype)


@pytest.mark.parametrize(
    ("samples", "form"),
    [
        (ramp(np.uint8, 255), "PNG"),
        (ramp(np.uint8, 255), "TIFF"),
        (ramp(np.uint16, 65535), "PNG"),
        (ramp(np.uint16, 65535), "TIFF"),
        (ramp(np.uint16, 5000), "PNG"),
        (ramp(np.float32, 7.5), "TIFF"),
        (ramp(np.int32, 100_000), "TIFF"),
    ],
)
def test_every_kind_of_number_is_stretched_exactly_and_evenly(read, samples, form):
    reading = read(encoded(samples, form))
    low, high = float(samples.min()), float(samples.max())
    assert np.abs(reading.values - (samples.astype(np.float64) - low) / (high - low)).max() < 1e-6
    assert (reading.values.dtype, reading.values.min(), reading.values.max()) == (np.float32, 0.0, 1.0)
    assert (reading.valid, reading.warnings) == (None, ())
    assert (reading.provenance.source, reading.provenance.polarity, reading.provenance.valid) == ("file", "disparity", 1.0)


def test_distances_are_inverted_not_just_turned_around(read):
    metres = np.tile(np.array([1, 2, 4, 8], np.uint16) * 1000, (40, 15))
    reading = read(encoded(metres, "PNG"), "distance")
    assert np.allclose(reading.values[0, :4], [1.0, 3 / 7, 1 / 7, 0.0])
    assert reading.provenance.polarity == "distance"


@pytest.mark.parametrize("kind", ["disparity", "distance"])
def test_zeros_amid_readings_from_the_middle_are_no_reading_for_both_kinds(read, kind):
    samples = ramp(np.uint16, 900)
    samples[20:30, :30] = 0
    reading = read(encoded(samples, "PNG"), kind)
    assert np.array_equal(reading.valid, samples > 0)
    assert (reading.values[~reading.valid] == 0).all()
    assert reading.values[reading.valid].min() == 0.0
    assert reading.provenance.valid == pytest.approx(1 - 300 / 2400)


def test_many_zeros_in_a_disparity_map_are_remarked_on(read):
    samples = ramp(np.uint8, 255)
    samples[:20] = 0
    assert "write 1 instead of 0" in read(encoded(samples, "PNG")).warnings[0]
    assert read(encoded(samples, "PNG"), "distance").warnings == ()


def test_what_is_no_number_or_negative_is_no_reading(read):
    samples = ramp(np.float32, 3.0)
    samples[0, :4] = np.nan, np.inf, -np.inf, -2.0
    reading = read(encoded(samples, "TIFF"))
    assert np.argwhere(~reading.valid).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert np.isfinite(reading.values).all()


def test_what_is_transparent_is_no_reading(read):
    grey = ramp(np.uint8, 255)
    alpha = np.full_like(grey, 255)
    alpha[5, 6] = 0
    reading = read(encoded(Image.fromarray(np.dstack([grey, alpha]), "LA"), "PNG"))
    assert np.argwhere(~reading.valid).tolist() == [[5, 6]]


def test_grey_written_as_rgb_is_accepted_and_colour_is_not(read):
    deep = np.repeat(ramp(np.uint16, 60000)[..., None], 3, axis=2)
    for data in (png16(deep), tiff16(deep), encoded((deep >> 8).astype(np.uint8), "PNG")):
        assert read(data).values.max() == 1.0
    deep[3, 3, 1] += 300
    for data in (png16(deep), encoded((deep >> 8).astype(np.uint8), "PNG")):
        with pytest.raises(DepthUnreadable, match="colour picture"):
            read(data)


@pytest.mark.parametrize("shape", [(40, 60), (80, 120), (20, 30), (400, 604)])
def test_the_same_proportions_at_any_size_are_accepted(read, shape):
    assert read(encoded(ramp(np.uint8, 255, *shape), "PNG")).values.shape == shape


@pytest.mark.parametrize("shape", [(60, 40), (40, 62), (400, 608), (40, 58)])
def test_other_proportions_are_refused_with_both_sizes(read, shape):
    with pytest.raises(DepthUnreadable, match=f"{shape[1]} × {shape[0]}.*60 × 40"):
        read(encoded(ramp(np.uint8, 255, *shape), "PNG"))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_depth_picture_of_the_unrotated_photo_is_turned_like_it(read, orientation):
    upright = ramp(np.uint16, 2401)
    reading = read(encoded(stored(upright, orientation), "PNG"), of=photo(40, 60, orientation))
    assert np.allclose(reading.values, (upright - 1.0) / 2400, atol=1e-6)


def test_a_depth_picture_with_its_own_orientation_is_turned_by_it(read):
    upright = ramp(np.uint8, 255)
    reading = read(encoded(stored(upright, 6), "PNG", exif=exif(6)))
    assert np.array_equal(reading.values, normalised(upright, np.ones(upright.shape, bool)))


def test_the_same_depth_everywhere_is_remarked_on_and_far(read):
    reading = read(encoded(np.full((40, 60), 9, np.uint8), "PNG"))
    assert not reading.values.any()
    assert "same depth everywhere" in reading.warnings[0]


def test_unusable_files_are_refused_by_name(read, tmp_path):
    for data in (b"text", encoded(ramp(np.uint8, 255), "JPEG"), encoded(ramp(np.uint8, 255), "PNG")[:100], b""):
        with pytest.raises(DepthUnreadable, match=r"photo\.depth\.png"):
            read(data)
    with pytest.raises(DepthUnreadable, match="no depth at all"):
        read(encoded(np.zeros((40, 60), np.uint8), "PNG"))
    with pytest.raises(DepthMissing):
        supplied.read(os.fsencode(tmp_path / "none.png"), "disparity", photo=photo(40, 60), limits=LIMITS)


@settings(max_examples=200)
@given(st.integers(1, 6000), st.integers(1, 6000), st.floats(0.05, 20))
def test_a_rounded_resize_always_counts_as_the_same_shape(height, width, scale):
    resized = max(1, round(height * scale)), max(1, round(width * scale))
    assert same_shape(resized, (height, width))


@settings(max_examples=100)
@given(st.lists(st.integers(1, 65535), min_size=2, max_size=50, unique=True))
def test_inverting_keeps_the_order_and_reverses_near_and_far(distances):
    raw = np.array([distances], np.uint16)
    values = normalised(inverse(raw, raw > 0), raw > 0)
    assert np.array_equal(np.argsort(-raw[0], kind="stable"), np.argsort(values[0], kind="stable"))


def scene(kind: str) -> np.ndarray:
    """A person on the ground, in front of a far background, in the values of one kind of depth picture."""
    metres = np.repeat(np.linspace(12.0, 2.0, 120)[:, None], 160, axis=1)
    metres[:50] = 20.0
    metres[30:105, 65:95] = 3.0
    return (metres * 1000 if kind == "distance" else 60_000 / metres).astype(np.uint16)


@pytest.mark.parametrize("kind", ["disparity", "distance"])
def test_a_depth_picture_whose_far_is_bright_gets_a_warning_that_names_the_other_kind(read, kind):
    other = "distance" if kind == "disparity" else "disparity"
    assert read(encoded(scene(kind), "PNG"), kind, of=photo(120, 160)).warnings == ()
    (said,) = read(encoded(scene(other), "PNG"), kind, of=photo(120, 160)).warnings
    bright = "far" if kind == "disparity" else "near"
    assert said == (
        "photo.depth.png looks inside out: what is lower in the picture counts as farther. "
        f"If {bright} is bright in it, write \0`depth_kind: {other}`\0."
    )


@pytest.mark.parametrize("name", ["a wall", "a ceiling over a figure", "only the upper half was measured"])
def test_a_depth_picture_that_may_be_right_gets_no_warning(read, name):
    samples = np.full((120, 160), 30_000, np.uint16)
    if name == "a ceiling over a figure":
        samples = np.repeat(np.linspace(40_000, 20_000, 120)[:, None], 160, axis=1).astype(np.uint16)
        samples[30:100, 50:110] = 60_000
    if name == "only the upper half was measured":
        samples[:8] = np.linspace(60_000, 20_000, 8)[:, None]
        samples[8:] = 0
    assert not any("inside out" in said for said in read(encoded(samples, "PNG"), of=photo(120, 160)).warnings)
