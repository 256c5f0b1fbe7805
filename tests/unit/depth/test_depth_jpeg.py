"""The depth that phones store, in each carrier: the numbers that another reader finds, near is bright, and upright."""

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from daemon.contract.messages import Limits
from daemon.errors import DepthUnreadable, JobError
from pipeline.depth import photo
from pipeline.image import decode, jpeg
from pipeline.image.auxiliary import beside
from tests.carriers import heic_files, phone_files
from tests.carriers.phone_files import slope
from tests.unit.pictures import landscape, stored

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
RGB = landscape(60, 80)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data):
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        return photo.read(os.fsencode(path), photo=decode.read(os.fsencode(path), limits=LIMITS), limits=LIMITS)

    return write_and_read


def by_pillow(data, frame):
    """The numbers of a further picture, as Pillow's reader of multi-picture files finds them."""
    image = Image.open(io.BytesIO(data))
    image.seek(frame)
    return np.asarray(image.convert("L")).astype(float)


CARRIERS = {
    "iPhone, disparity": lambda rgb, depth, turn: phone_files.iphone(
        rgb, phone_files.apple("disparity", depth, 0.5, 2.5), orientation=turn
    ),
    "GDepth": lambda rgb, depth, turn: phone_files.gdepth(rgb, 255 - depth, 0.4, 2.0, orientation=turn),
    "Dynamic Depth": lambda rgb, depth, turn: phone_files.dynamic_depth(rgb, 255 - depth, 0.4, 2.0, orientation=turn),
    "iPhone, distance": lambda rgb, depth, turn: phone_files.iphone(
        rgb, phone_files.apple("depth", 255 - depth, 0.4, 2.0), orientation=turn
    ),
    "HEIC": lambda rgb, depth, turn: heic_files.portrait(rgb, depth, 0.5, 2.5, heic_files.TURNS[turn]),
}


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_iphones_disparity_is_what_pillow_reads_between_its_bounds(read, order):
    data = phone_files.iphone(RGB, phone_files.apple("disparity", slope(), 0.36, 1.8), order=order)
    found = read(data)
    assert found.disparity == pytest.approx(0.36 + by_pillow(data, 1) / 255 * (1.8 - 0.36))
    assert (found.polarity, found.warnings) == ("disparity", ())


def test_an_iphones_distance_is_inverted(read):
    data = phone_files.iphone(RGB, phone_files.apple("depth", slope(), 0.5, 4.0))
    found = read(data)
    assert found.disparity == pytest.approx(1 / (0.5 + by_pillow(data, 1) / 255 * 3.5))
    assert found.polarity == "distance"


def test_a_distance_without_bounds_is_far_where_it_is_large(read):
    found = read(phone_files.iphone(RGB, phone_files.apple("depth", slope())))
    assert found.disparity[0, 0] > found.disparity[-1, -1]
    assert "no scale" in found.warnings[0]


def test_a_gain_map_and_a_matte_are_no_depth(read):
    gain = phone_files.apple("urn:com:apple:photo:2020:aux:hdrgainmap", slope())
    matte = phone_files.apple("depth", slope(), 0, 1, subtype="portraiteffectsmatte")
    assert read(phone_files.iphone(RGB, gain, matte)) is None


@pytest.mark.parametrize("extended", [True, False])
def test_the_numbers_of_a_gdepth_range_mean_what_its_specification_says(read, extended):
    numbers, near, far = np.uint8([[0, 51, 255]] * 3), 0.5, 4.0
    rgb = landscape(30, 30)
    inverse = read(phone_files.gdepth(rgb, numbers, near, far, extended=extended))
    share = numbers / 255
    assert 1 / inverse.disparity == pytest.approx(far * near / (far - share * (far - near)))
    linear = read(phone_files.gdepth(rgb, numbers, near, far, "RangeLinear", extended=extended))
    assert 1 / linear.disparity == pytest.approx(near + share * (far - near))
    assert (inverse.polarity, linear.polarity) == ("disparity", "distance")


def test_gdepth_may_extend_over_many_segments_in_any_order_and_have_16_bits(read):
    numbers = (slope().astype(np.uint16) << 8) + 7
    data = phone_files.gdepth(RGB, numbers, 0.5, 4.0, part=50)
    assert read(data).disparity == pytest.approx(2 - numbers / 65535 * (2 - 0.25))
    head = phone_files.with_segments(b"\xff\xd8", *reversed(phone_files.extended_xmp(b"x" * 10, part=3)))
    assert jpeg._extension(jpeg.header_segments(io.BytesIO(head)), b"0123456789ABCDEF0123456789ABCDEF") == b"x" * 10


@pytest.mark.parametrize(
    "options", [{}, {"wrapped": True}, {"between": b"\0" * 5}, {"after": b"a film", "between": b"\0"}], ids=str
)
def test_dynamic_depth_is_found_behind_the_photo(read, options):
    data = phone_files.dynamic_depth(RGB, slope(), 0.5, 4.0, **options)
    tail = data[data.rindex(b"\xff\xd8") :]
    numbers = np.asarray(Image.open(io.BytesIO(tail))).astype(float)
    assert read(data).disparity == pytest.approx(2 - numbers / 255 * (2 - 0.25))


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_near_is_bright_and_upright_at_every_orientation(read, carrier, orientation):
    """The depth of a disc that is near lies on the disc in the photo, to half a stored pixel."""
    y, x = np.mgrid[:60, :80]
    disc = (x - 25) ** 2 + (y - 20) ** 2 <= 12**2
    rgb = np.where(disc[..., None], np.uint8([230, 60, 40]), np.uint8([20, 60, 160])).astype(np.uint8)
    depth = np.uint8(np.where(disc, 200, 40))[::2, ::2]
    path_data = CARRIERS[carrier](stored(rgb, orientation), stored(depth, orientation), orientation)
    values = read(path_data).depth_map().values
    assert values.shape == depth.shape
    near = values > 0.5
    rows, columns = np.nonzero(near)
    assert rows.mean() * 2 + 0.5 == pytest.approx(20, abs=1)  # a stored pixel is two of the photo's wide
    assert columns.mean() * 2 + 0.5 == pytest.approx(25, abs=1)
    assert np.mean(near == (depth > 100)) > 0.99


def test_depth_that_is_upright_already_is_not_turned_again(read):
    data = phone_files.iphone(stored(RGB, 6), phone_files.apple("disparity", slope(), 0, 1), orientation=6)
    assert read(data).disparity.shape == (30, 40)


DYNAMIC = phone_files.dynamic_depth(RGB, slope(), 1, 2)


@pytest.mark.parametrize(
    "data",
    [
        phone_files.iphone(RGB, phone_files.apple("disparity", slope(), 0, 1))[:-200],
        phone_files.iphone(RGB, phone_files.apple("disparity", slope(40, 30), 0, 1)),
        phone_files.gdepth(RGB, slope(), 1, 2).replace(
            b"http://ns.adobe.com/xmp/extension/", b"http://ns.adobe.com/xmp/extensiom/"
        ),
        DYNAMIC[: DYNAMIC.rindex(b"\xff\xd8")],
    ],
    ids=["cut off", "another shape", "without its extension", "without its depth"],
)
def test_damaged_depth_is_told(read, data):
    with pytest.raises(DepthUnreadable, match=r"photo\.jpg"):
        read(data)


def test_a_lost_extension_of_a_photo_without_depth_is_no_damage(read):
    note = phone_files.packet("", 'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="AB"')
    data = phone_files.with_segments(phone_files.iphone(RGB), phone_files.standard_xmp(note))
    assert read(data) is None


def test_entities_in_xmp_are_not_expanded(read):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    assert read(phone_files.with_segments(phone_files.iphone(RGB), phone_files.standard_xmp(bomb))) is None


MATTE = np.uint8(np.mgrid[:60, :80][1] > 40) * np.uint8(255)


@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_mattes_in_jpeg_are_found_upright_and_named(tmp_path, orientation):
    matte = stored(MATTE, orientation)
    data = phone_files.iphone(
        stored(RGB, orientation),
        phone_files.apple("disparity", stored(slope(), orientation), 0, 1),
        phone_files.apple("depth", matte, subtype="portraiteffectsmatte"),
        phone_files.apple("urn:com:apple:photo:2020:aux:semanticskymatte", 255 - matte),
        phone_files.apple("urn:com:apple:photo:2019:aux:semanticskinmatte", stored(slope(30, 30), orientation)),
        orientation=orientation,
    )
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    found = beside.mattes(os.fsencode(path), photo=decode.read(os.fsencode(path), limits=LIMITS), limits=LIMITS)
    assert set(found) == {"portrait", "sky"}  # the skin's has another shape
    assert np.mean((found["portrait"] > 127) == (MATTE > 127)) > 0.99
    assert np.mean((found["sky"] > 127) == (MATTE < 127)) > 0.99


WHOLE = [make(RGB, slope(), 1) for make in CARRIERS.values()]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4), st.floats(0.05, 1))
def test_damaged_containers_give_depth_or_a_plain_error(tmp_path_factory, which, edits, kept):
    data = bytearray(WHOLE[which])
    for at, value in edits:
        start = int(at * (len(data) - 1))
        data[start : start + len(value)] = value
    path = tmp_path_factory.mktemp("damaged") / "photo.jpg"
    path.write_bytes(data[: int(len(data) * kept)])
    name = os.fsencode(path)
    try:
        picture = decode.read(name, limits=LIMITS)
        found = photo.read(name, photo=picture, limits=LIMITS)
    except JobError:
        return
    assert found is None or np.isfinite(found.depth_map().values).all()
