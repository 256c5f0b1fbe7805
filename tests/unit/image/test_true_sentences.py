"""A file that is whole but of a kind that is not read is never called damaged: the sentence names the kind and the remedy."""

import os
import struct

import numpy as np
import pytest
import tifffile

from daemon.contract.messages import Limits
from daemon.errors import ImageTooLarge, ImageType, ImageUnreadable
from pipeline.image import decode
from pipeline.image.source_file import check_limits, damage_reported
from pipeline.worker.entry import told
from tests.unit.pictures import chunk, encoded, landscape, png16

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, name="photo.tif"):
        path = tmp_path / name
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=LIMITS)

    return write_and_read


def tiff(samples, tmp_path, **options):
    path = tmp_path / "made.tif"
    tifffile.imwrite(path, samples, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("samples", "options", "said"),
    [
        (np.zeros((8, 8, 3), np.float32), {"photometric": "rgb"}, "floating-point numbers (32 bits per channel)"),
        (np.zeros((8, 8, 3), np.float16), {"photometric": "rgb"}, "floating-point numbers (16 bits per channel)"),
        (np.zeros((8, 8), np.int16), {"photometric": "minisblack"}, "numbers with a sign (16 bits per channel)"),
        (np.zeros((8, 8), np.uint32), {"photometric": "minisblack"}, "32 bits per channel"),
        (np.zeros((8, 8, 3), np.uint16), {"photometric": "cielab"}, "Lab TIFF with 16 bits per channel"),
        (
            np.zeros((8, 8, 5), np.uint16),
            {"photometric": "separated", "extrasamples": ["unassalpha"]},
            "CMYK TIFF with transparency",
        ),
    ],
)
def test_kinds_of_tiff_that_are_not_read_are_named(read, tmp_path, samples, options, said):
    with pytest.raises(ImageType) as refused:
        read(tiff(samples, tmp_path, **options))
    assert said in refused.value.message
    assert "damaged" not in refused.value.message
    assert "Save it as an RGB or grey TIFF or PNG" in refused.value.info().hint


def jpeg_with(marker, bits):
    """A JPEG whose frame header says that it is of another kind."""
    data = bytearray(encoded(landscape(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


@pytest.mark.parametrize(
    ("marker", "bits", "said"),
    [(0xC1, 12, "12 bits per channel"), (0xC3, 8, "lossless JPEG"), (0xF7, 8, "lossless JPEG"), (0xC5, 8, "hierarchical JPEG")],
)
def test_kinds_of_jpeg_that_are_not_read_are_named(read, marker, bits, said):
    with pytest.raises(ImageType, match=said) as refused:
        read(jpeg_with(marker, bits), "photo.jpg")
    assert "ordinary JPEG" in refused.value.info().hint


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\xff\x4f\xff\x51\0\0", "JPEG 2000 picture, which is not read"),
        (b"gimp xcf v011\0", "GIMP document, which is not read"),
        (b"%!PS-Adobe-3.0 EPSF\0", "PostScript drawing, which is not read"),
        (b"icns\0\0\1\0", "Mac icon, which is not read"),
    ],
)
def test_pictures_of_other_programs_are_named_with_what_to_do(read, head, said):
    with pytest.raises(ImageType, match=said) as refused:
        read(head + bytes(100), "photo.jpg")
    assert "export it as PNG or TIFF" in refused.value.info().hint


@pytest.mark.parametrize(
    "said", ["Unsupported feature: Unsupported codec", "Unsupported BMP compression (4)", "No codec available"]
)
def test_what_a_decoder_does_not_support_is_not_called_damage(tmp_path, said):
    path = tmp_path / "photo.heic"
    path.write_bytes(encoded(landscape(), "AVIF"))
    with (
        path.open("rb") as file,
        pytest.raises(ImageType, match="of a kind that is not read"),
        damage_reported(b"photo.heic", file),
    ):
        raise ValueError(said)
    with (
        path.open("rb") as file,
        pytest.raises(ImageUnreadable, match="damaged"),
        damage_reported(b"photo.heic", file),
    ):
        raise OSError("Unsupported marker type 0x13")


def test_a_picture_one_pixel_too_large_is_not_said_to_be_as_large_as_allowed():
    with pytest.raises(ImageTooLarge) as refused:
        check_limits(b"a.jpg", Limits(max_bytes=10, max_pixels=100_000_000), pixels=(100_000_001, 1))
    assert "(100,000,001 pixels); at most 100,000,000 pixels are allowed" in refused.value.message


def test_bmp_and_the_first_frame_of_a_gif_are_read(read):
    rgb = landscape()
    assert np.array_equal(read(encoded(rgb, "BMP"), "photo.bmp").rgb, rgb)
    from PIL import Image

    frames = [Image.fromarray(rgb // shade * shade).quantize(64) for shade in (64, 128)]
    photo = read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "photo.gif")
    assert np.array_equal(photo.rgb, np.asarray(frames[0].convert("RGB")))
    assert photo.warnings == ("photo.gif is an animation; its first frame was used.",)
    for data in (encoded(rgb, "BMP"), encoded(frames[0], "GIF")):
        with pytest.raises(ImageUnreadable, match="cut off"):
            read(data[: len(data) // 2], "photo.gif")


def test_sixteen_bits_are_told_once(read):
    photo = read(png16(np.full((4, 4, 3), 30_000, np.uint16)), "photo.png")
    assert photo.warnings == ("photo.png has 16 bits per channel; the layers have 8.",)


def test_grey_with_transparency_and_a_gamma_is_not_black(read):
    samples = np.full((4, 4, 2), 30_000, np.uint16)
    photo = read(png16(samples, extra=chunk(b"gAMA", struct.pack(">I", 55_556))), "photo.png")
    assert photo.rgb[0, 0, 0] == 117


def test_an_expected_refusal_leaves_no_traceback_in_the_log(read):
    with pytest.raises(ImageUnreadable) as refused:
        read(encoded(landscape(), "PNG")[:90], "photo.png")
    said = told(refused.value)
    assert said.startswith("image_unreadable: photo.png is cut off")
    assert "Traceback" not in said
    with pytest.raises(ZeroDivisionError) as mistake:
        1 / 0  # noqa: B018
    assert "Traceback" in told(mistake.value)
