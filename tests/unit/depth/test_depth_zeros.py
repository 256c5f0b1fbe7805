"""Zeros in a dropped depth picture: the end of a network's scale or a sensor's holes, judged by adjacent values."""

import os

import cv2
import numpy as np
import pytest
from pictures import SAMPLES, encoded
from PIL import Image

from daemon.contract.messages import Limits
from pipeline.depth import supplied
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture

HEIGHT, WIDTH = 240, 320
Y, X = np.mgrid[:HEIGHT, :WIDTH]
LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)


def ellipse(field, value, across, down, wide, high):
    """The field with an upright ellipse of one value in it; sizes as shares of the picture."""
    inside = ((X / WIDTH - across) / wide) ** 2 + ((Y / HEIGHT - down) / high) ** 2 < 1
    return np.where(inside, value, field)


def ground(horizon, power=1.0):
    """Sky at 0 and ground that comes nearer below it: disparity 0 to 1."""
    return np.clip((Y / HEIGHT - horizon) / (1 - horizon), 0, 1) ** power


def skyline(horizon, value):
    """Hard-edged buildings of one disparity before the sky, and ground before them."""
    roofs = horizon - 0.1 * (np.sin(X / 9.0) > 0)
    return np.where(roofs > Y / HEIGHT, 0, np.maximum(ground(horizon), value))


def person(field):
    """Someone with an arm at the hip: sky shows between arm and body."""
    field = ellipse(field, 0.7, 0.5, 0.6, 0.14, 0.5)
    ring = ((X / WIDTH - 0.62) / 0.1) ** 2 + ((Y / HEIGHT - 0.4) / 0.12) ** 2
    return np.where(ring < 0.3, 0, np.where(ring < 1, 0.72, field))


def trunks(field):
    """Trees that stand out into the sky."""
    return np.where((X % 90 < 25) & (Y > 10), 0.55, field)


def hills(horizon):
    """Two ranges of hills, far behind the ground."""
    far = horizon - 0.06 * np.sin(X / 40.0) - 0.05
    return np.where(far > Y / HEIGHT, 0, np.maximum(ground(horizon), 0.02 + 0.02 * (far + 0.04 < Y / HEIGHT)))


def blurred(field, sigma):
    return cv2.GaussianBlur(np.float32(field), (0, 0), sigma)


def noisy(field, sigma=0.004):
    return np.clip(field + np.random.default_rng(1).normal(0, sigma, field.shape) * (field > 0), 0, 1)


def in_bits(field, bits, levels=None):
    """Stretched to the whole range, as networks' maps are written; `levels` fewer than the bits allow."""
    steps = levels or 2**bits
    top = 2**bits - 1
    return (np.round(np.clip(field, 0, 1) * (steps - 1)) / (steps - 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


NETWORKS = {
    "a ramp": in_bits(ground(0.3), 8),
    "a ramp in 16 bits": in_bits(ground(0.3), 16),
    "little sky": in_bits(ground(0.04), 8),
    "a ramp that starts gently": in_bits(ground(0.2, 1.6), 8),
    "a ramp with a person before the sky": in_bits(person(ground(0.35)), 8),
    "a person, softened, in 16 bits": in_bits(blurred(person(ground(0.35)), 1.2), 16),
    "trees before the sky": in_bits(trunks(ground(0.3)), 8),
    "trees, softened": in_bits(blurred(trunks(ground(0.3)), 1.5), 8),
    "hard-edged buildings": in_bits(skyline(0.3, 0.06), 8),
    "hills in 16 bits": in_bits(hills(0.3), 16),
    "noise on a ramp": in_bits(noisy(ellipse(ground(0.25), 0.9, 0.3, 0.8, 0.2, 0.3)), 8),
    "64 levels": in_bits(person(ground(0.3)), 8, levels=64),
}


def room(farthest=0.18):
    """A wall, a floor that comes nearer, and two things before them: disparity as a sensor in a room measures it."""
    field = np.maximum(farthest + 0.04 * X / WIDTH, ground(0.55))
    field = ellipse(field, 0.6, 0.35, 0.5, 0.12, 0.25)
    return noisy(ellipse(field, 0.8, 0.7, 0.6, 0.1, 0.3))


def shadows(field, long=14):
    """Holes to the left of near things, where one of the sensor's two eyes sees nothing."""
    right = np.roll(field, -long, axis=1)
    right[:, -long:] = 0
    return np.where(right - field > 0.2, 0, field)


def speckled(field, share=0.03):
    small = np.random.default_rng(2).random((HEIGHT // 3 + 1, WIDTH // 3 + 1)) < share
    return np.where(np.kron(small, np.ones((3, 3)))[:HEIGHT, :WIDTH] > 0, 0, field)


def framed(field):
    """No reading along the left edge and the lower one, where only one of the two eyes looks."""
    return np.where((X < 20) | (Y > HEIGHT - 8), 0, field)


def wall_lost(field):
    """Parts of the wall are beyond the sensor's range."""
    return np.where((field < 0.25) & (np.sin(X / 23.0) + np.sin(Y / 17.0) > 0.6), 0, field)


SENSORS = {
    "shadows": in_bits(shadows(room()), 8),
    "shadows in 16 bits": in_bits(shadows(room()), 16),
    "speckles": in_bits(speckled(room()), 8),
    "an empty frame": in_bits(framed(room()), 16),
    "a wall lost, and shadows": in_bits(wall_lost(shadows(room(0.13))), 8),
    "everything at once, in 16 bits": in_bits(framed(speckled(wall_lost(shadows(room(0.13))))), 16),
}


@pytest.fixture
def read(tmp_path):
    def write_and_read(samples, kind="disparity", form="PNG"):
        path = tmp_path / "photo.depth.png"
        path.write_bytes(encoded(samples, form))
        photo = Photo(np.zeros((*samples.shape[:2], 3), np.uint8), None, None, "sRGB", 8, "JPEG", 1)
        return supplied.read(os.fsencode(path), kind, photo=photo, limits=LIMITS)

    return write_and_read


def as_distance(disparity):
    """Millimetres, uint16; 0 stays 0."""
    share = disparity / np.iinfo(disparity.dtype).max
    return np.where(disparity > 0, 500 / np.maximum(share, 0.02), 0).astype(np.uint16)


@pytest.mark.parametrize("name", NETWORKS)
def test_zeros_at_the_end_of_a_networks_scale_are_the_farthest(read, name):
    samples = NETWORKS[name]
    assert 0.03 < np.mean(samples == 0) < 0.36
    reading = read(samples)
    assert reading.valid is None
    assert np.array_equal(reading.values == 0, samples == 0)
    assert reading.provenance.valid == 1.0
    assert "taken as the farthest" in reading.warnings[0]
    assert "transparent" in reading.warnings[0]


@pytest.mark.parametrize("kind", ["disparity", "distance"])
@pytest.mark.parametrize("name", SENSORS)
def test_holes_of_a_sensor_are_no_reading(read, name, kind):
    samples = SENSORS[name] if kind == "disparity" else as_distance(SENSORS[name])
    assert np.mean(samples == 0) > 0.01
    reading = read(samples, kind)
    assert np.array_equal(reading.valid, samples > 0)
    assert reading.provenance.valid == pytest.approx(np.mean(samples > 0))
    if kind == "disparity":
        assert "“no reading”" in reading.warnings[0]
        assert "write 1 instead of 0" in reading.warnings[0]


def test_little_of_the_skys_border_being_far_is_enough(read):
    """Four poles before the sky: 5 of 6 pixels of its border are near."""
    samples = in_bits(np.where((X % 80 < 8) & (Y > 5), 0.6, ground(0.85)), 8)
    assert np.mean(samples == 0) > 0.5
    assert read(samples).valid is None


@pytest.mark.parametrize("scale", [0.37, 0.5, 2, 3.3])
@pytest.mark.parametrize("name", [*NETWORKS, *SENSORS])
def test_the_answer_is_the_same_for_a_map_of_another_size(read, name, scale):
    samples = cv2.resize({**NETWORKS, **SENSORS}[name], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    assert (read(samples).valid is None) == (name in NETWORKS)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_answer_is_the_same_for_a_turned_picture(read, turns):
    assert read(np.rot90(NETWORKS["a ramp"], turns)).valid is None
    assert read(np.rot90(SENSORS["shadows"], turns)).valid is not None


def test_zeros_that_a_distance_ramp_runs_down_to_are_the_nearest(read):
    samples = in_bits(1 - np.clip(Y / HEIGHT * 1.1, 0, 1), 8)
    reading = read(samples, "distance")
    assert reading.valid is None
    assert (reading.values[samples == 0] == 1.0).all()
    assert "taken as the nearest" in reading.warnings[0]


def test_zeros_made_transparent_are_no_reading_as_the_warning_says(read):
    samples = NETWORKS["a ramp"]
    reading = read(np.dstack([samples, np.where(samples > 0, 255, 0).astype(np.uint8)]))
    assert np.array_equal(reading.valid, samples > 0)
    assert reading.warnings == ()


def test_ones_instead_of_zeros_are_the_farthest_as_the_warning_says(read):
    wall = np.where(Y < 80, 0, 120 + Y // 4).astype(np.uint8)
    assert "write 1 instead of 0" in read(wall).warnings[0]
    reading = read(np.maximum(wall, 1))
    assert reading.valid is None
    assert (reading.values[wall == 0] == 0).all()


def test_numbers_with_fractions_are_judged_and_remarked_on_in_their_own_scale(read):
    ramp = np.where(Y < 80, 0, ground(0.3)).astype(np.float32)
    assert read(ramp, form="TIFF").valid is None
    holes = np.where(Y < 80, 0, 0.5 + ground(0.3) / 2).astype(np.float32)
    assert "write a number just above 0 instead of 0" in read(holes, form="TIFF").warnings[0]


def test_one_reading_far_too_large_does_not_set_the_scale(read):
    samples = np.uint16(SENSORS["shadows"]) * 4
    samples[5, 5] = 65535
    assert read(samples).valid is not None


def test_a_few_zeros_are_judged_alike_but_not_remarked_on(read):
    samples = np.maximum(in_bits(ground(0.0), 8), 1)
    samples[0, :20] = 0
    reading = read(samples)
    assert (reading.valid, reading.warnings) == (None, ())


def test_the_sky_of_a_networks_map_is_in_the_farthest_layer(read):
    rng = np.random.default_rng(3)
    samples = NETWORKS["trees before the sky"]
    colours = np.where((samples == 140)[..., None], [60, 45, 30], [80, 140, 60])
    colours[samples == 0] = 120, 170, 230
    rgb = np.clip(colours + rng.integers(-12, 13, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
    reading = read(samples)
    layers = layer_picture(rgb, None, reading.values, reading.valid, num_layers=4)
    inner_sky = cv2.erode(np.uint8(samples == 0), np.ones((9, 9), np.uint8), borderValue=1) > 0
    assert (layers.labels[inner_sky] == 0).all()


@pytest.mark.skipif(not (SAMPLES / "tum_desk_depth.png").is_file(), reason="tum_desk_depth.png is not beside the project")
@pytest.mark.parametrize("kind", ["distance", "disparity in 8 bits", "disparity in 16 bits"])
def test_holes_of_a_real_kinect_are_no_reading(read, kind):
    with Image.open(SAMPLES / "tum_desk_depth.png") as picture:
        samples = np.asarray(picture).astype(np.uint16)
    holes = samples == 0
    if kind != "distance":
        disparity = np.where(holes, 0, samples[~holes].min() / np.maximum(samples, 1.0))
        samples = in_bits(disparity, 8 if "8" in kind else 16)
    reading = read(samples, kind.split()[0])
    assert np.array_equal(reading.valid, ~holes)
    assert reading.provenance.valid == pytest.approx(0.667, abs=0.001)


@pytest.mark.parametrize("room_number", ["b1", "b3", "b5"])
def test_a_real_map_without_zeros_is_read_everywhere(read, room_number):
    path = SAMPLES / f"icl_livingroom_{room_number}_depth.png"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    with Image.open(path) as picture:
        reading = read(np.asarray(picture).astype(np.uint16), "distance")
    assert (reading.valid, reading.warnings) == (None, ())


@pytest.mark.parametrize("room_number", ["b1", "b3", "b5"])
def test_a_real_map_stretched_to_0_has_its_zeros_at_the_farthest(read, room_number):
    path = SAMPLES / f"icl_livingroom_{room_number}_depth.png"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    with Image.open(path) as picture:
        disparity = 1.0 / np.asarray(picture).astype(np.float64)
    samples = in_bits((disparity - disparity.min()) / (disparity.max() - disparity.min()), 8)
    reading = read(samples)
    assert reading.valid is None
    assert (reading.values[samples == 0] == 0).all()
