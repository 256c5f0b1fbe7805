"""Decoding: every supported kind of picture comes out upright, in 8 bits, with its alpha and its profile."""

import os
import struct

import numpy as np
import pytest
from pictures import SAMPLES, chunk, encoded, exif, landscape, png16, stored, tiff16
from PIL import Image, ImageCms

from daemon.contract.messages import Limits
from daemon.errors import ImageTooLarge, SourceMissing
from pipeline.image import decode, source_file

LIMITS = Limits(max_bytes=500_000_000, max_pixels=100_000_000)
LOSSLESS = [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})]
LOSSY = [("JPEG", {"quality": 95, "subsampling": 0}), ("AVIF", {"quality": 95, "subsampling": "4:4:4"})]
PUG = SAMPLES / "iphone_pug_original.heic"
needs_pug = pytest.mark.skipif(not PUG.exists(), reason=f"{PUG} is not at hand")


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, **options):
        path = tmp_path / "photo"
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=LIMITS, **options)

    return write_and_read


def differ(a, b):
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize(("form", "options"), LOSSLESS + LOSSY)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_in_every_format(read, form, options, orientation):
    picture = landscape()
    photo = read(encoded(stored(picture, orientation), form, exif=exif(orientation), **options))
    assert differ(photo.rgb, picture) <= (0 if (form, options) in LOSSLESS else 8)
    assert photo.rgb.flags.c_contiguous
    assert photo.orientation == orientation
    assert photo.format == form


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_16_bit_tiff_comes_out_upright(read, orientation):
    deep = landscape().astype(np.uint16) * 257
    photo = read(tiff16(stored(deep, orientation), orientation=orientation))
    assert differ(photo.rgb, landscape()) == 0
    assert photo.orientation == orientation


def test_16_bits_are_rounded_to_8_and_the_picture_says_16(read):
    deep = np.random.default_rng(1).integers(0, 65536, (30, 20, 4), dtype=np.uint16)
    rounded = np.floor(deep / 257.0 + 0.5).astype(np.uint8)
    for data in (png16(deep), tiff16(deep, extra=2)):
        photo = read(data)
        assert photo.bits == 16
        assert differ(photo.rgb, rounded[..., :3]) == 0
        assert differ(photo.alpha, rounded[..., 3]) == 0
    for data in (png16(deep[..., :3]), tiff16(deep[..., :3])):
        assert differ(read(data).rgb, rounded[..., :3]) == 0
    grey = read(png16(deep[..., 0]))
    assert (grey.bits, differ(grey.rgb, np.repeat(rounded[..., :1], 3, axis=2))) == (16, 0)
    grey_alpha = read(png16(deep[..., :2]))
    assert differ(grey_alpha.rgb, np.repeat(rounded[..., :1], 3, axis=2)) == 0
    assert differ(grey_alpha.alpha, rounded[..., 1]) == 0


def test_a_premultiplied_16_bit_tiff_is_within_one_level(read):
    deep = np.random.default_rng(1).integers(0, 65536, (30, 20, 4), dtype=np.uint16)
    deep[..., 3] = 65535
    deep[0, 0] = 0
    photo = read(tiff16(deep, extra=1))
    assert differ(photo.rgb, np.floor(deep / 257.0 + 0.5)[..., :3]) <= 1
    assert photo.alpha[0, 0] == 0


def test_the_transparent_colour_of_a_png_becomes_alpha(read):
    deep = (np.arange(600) * 100).reshape(10, 20, 3).astype(np.uint16)
    key = deep[3, 4]
    colour = read(png16(deep, extra=chunk(b"tRNS", struct.pack(">HHH", *key))))
    assert np.argwhere(colour.alpha == 0).tolist() == [[3, 4]]
    grey = read(png16(deep[..., 0], extra=chunk(b"tRNS", struct.pack(">H", key[0]))))
    assert np.argwhere(grey.alpha == 0).tolist() == [[3, 4]]
    flat = np.full((5, 5), 10, np.uint8)
    flat[1, 2] = 77
    eight = read(encoded(flat, "PNG", transparency=77))
    assert np.argwhere(eight.alpha == 0).tolist() == [[1, 2]]
    assert eight.rgb[0, 0].tolist() == [10, 10, 10]


def test_alpha_is_kept_whatever_carries_it(read):
    rgba = np.dstack([landscape(), landscape()[..., 0]])
    for form, options in LOSSLESS:
        photo = read(encoded(rgba, form, **options))
        assert differ(photo.alpha, rgba[..., 3]) == 0, form
        assert differ(photo.rgb[photo.alpha > 0], rgba[..., :3][photo.alpha > 0]) == 0
    grey_alpha = read(encoded(Image.fromarray(rgba[..., 1:3].copy(), "LA"), "PNG"))
    assert differ(grey_alpha.alpha, rgba[..., 2]) == 0
    palette = Image.fromarray(landscape()).quantize(16)
    photo = read(encoded(palette, "PNG", transparency=bytes([0, 128] + [255] * 14)))
    indices = np.asarray(palette)
    assert (photo.alpha[indices == 0] == 0).all()
    assert (photo.alpha[indices == 1] == 128).all()
    assert differ(photo.rgb, np.asarray(palette.convert("RGB"))) == 0


def test_alpha_that_is_opaque_everywhere_is_none(read):
    assert read(encoded(np.dstack([landscape(), np.full((40, 60), 255, np.uint8)]), "PNG")).alpha is None


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize(("form", "options"), LOSSLESS + LOSSY)
def test_the_thinnest_pictures_can_be_read(read, size, form, options):
    assert read(encoded(landscape(*size), form, **options)).rgb.shape == (*size, 3)


def test_one_bit_and_palette_pictures_become_rgb(read):
    bit = Image.fromarray(landscape()[..., 0]).convert("1")
    photo = read(encoded(bit, "TIFF", compression="group4"))
    assert differ(photo.rgb[..., 1], np.asarray(bit.convert("L"))) == 0
    assert differ(read(encoded(Image.fromarray(landscape()).quantize(8), "TIFF")).rgb, landscape()) < 120


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken_with_a_warning(read, form):
    first, second = (Image.fromarray(np.full((8, 9, 3), shade, np.uint8)) for shade in (40, 200))
    options = {"lossless": True} if form == "WEBP" else {}
    photo = read(encoded(first, form, save_all=True, append_images=[second], **options))
    assert (photo.rgb == 40).all()
    assert any("2 frames" in each or "2 pages" in each for each in photo.warnings)


def test_a_phones_multi_picture_jpeg_is_read_as_jpeg_without_remark(read):
    first = Image.fromarray(landscape())
    photo = read(
        encoded(first, "MPO", save_all=True, append_images=[Image.fromarray(np.zeros((20, 30, 3), np.uint8))], quality=95)
    )
    assert (photo.format, photo.warnings) == ("JPEG", ())
    assert differ(photo.rgb, landscape()) < 20


def test_an_rgb_profile_is_kept_and_the_numbers_are_untouched(read):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for form, options in LOSSLESS:
        photo = read(encoded(landscape(), form, icc_profile=icc, **options))
        assert photo.icc == icc
        assert "sRGB" in photo.profile
        assert differ(photo.rgb, landscape()) == 0
    assert (read(encoded(landscape(), "PNG")).icc, read(encoded(landscape(), "PNG")).profile) == (None, "sRGB")


def test_a_cmyk_jpeg_comes_out_in_its_colours_not_inverted(read):
    ink = Image.fromarray(np.full((16, 16, 3), (200, 30, 40), np.uint8)).convert("CMYK")
    photo = read(encoded(ink, "JPEG", quality=95))
    assert np.abs(photo.rgb.astype(int) - (200, 30, 40)).max() < 8


def test_damaged_exif_is_reported_and_the_picture_taken_as_it_is(read):
    data = encoded(landscape(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    photo = read(data)
    assert photo.rgb.shape == (40, 60, 3)
    assert photo.orientation == 1


def test_size_and_hash_are_those_of_the_bytes(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert source_file.digest(os.fsencode(path), LIMITS) == (3, sha256)
    with pytest.raises(SourceMissing, match=r"gone\.jpg"):
        source_file.digest(os.fsencode(tmp_path / "gone.jpg"), LIMITS)


def test_what_is_too_large_is_not_hashed(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(400 << 30)
    with pytest.raises(ImageTooLarge, match=r"huge\.jpg has 429,496\.7 MB; at most 500\.0 MB are allowed"):
        source_file.digest(os.fsencode(path), LIMITS)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux has files that say they are empty and are not")
def test_a_file_with_more_in_it_than_its_size_says_is_read_no_further_than_is_allowed():
    with pytest.raises(ImageTooLarge, match="at most 100 bytes"):
        source_file.digest(b"/proc/%d/status" % os.getpid(), Limits(max_bytes=100, max_pixels=1))


@needs_pug
def test_a_phones_heic_is_read_with_its_profile():
    photo = decode.read(os.fsencode(PUG), limits=LIMITS)
    assert photo.rgb.shape == (3024, 4032, 3)
    assert (photo.format, photo.bits, photo.orientation) == ("HEIF", 8, 1)
    assert photo.profile == "Display P3"


@needs_pug
def test_a_rotated_heic_is_rotated_once(tmp_path):
    """The container's rotation is set to 90°, and EXIF says so too, as phones write it."""
    data = bytearray(PUG.read_bytes())
    at = data.index(b"irot") + 4
    data[at] = 3  # anticlockwise quarter turns
    turned = tmp_path / "turned.heic"
    entry = data.index(b"MM\0*", data.index(b"Exif\0\0"))
    tag = data.index(struct.pack(">HHI", 0x0112, 3, 1), entry)
    data[tag + 8 : tag + 10] = b"\0\x06"
    turned.write_bytes(data)
    upright = decode.read(os.fsencode(PUG), limits=LIMITS)
    photo = decode.read(os.fsencode(turned), limits=LIMITS)
    assert photo.orientation == 6
    assert np.array_equal(photo.rgb, np.rot90(upright.rgb, -1))
