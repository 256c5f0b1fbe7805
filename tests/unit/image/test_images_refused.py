"""Files that are no pictures, too large or damaged are refused early, with the right code and a helpful sentence."""

import errno
import io
import os
import resource

import numpy as np
import pytest
from pictures import SAMPLES, encoded, landscape, png_header

from daemon.contract.messages import Limits
from daemon.errors import PASSING, ImageTooLarge, ImageType, ImageUnreadable, SourceMissing
from pipeline.image import decode, source_file
from pipeline.image.source_file import damage_reported
from pipeline.worker.entry import classify

LIMITS = Limits(max_bytes=500_000_000, max_pixels=100_000_000)
ALL = [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {})]


def noise():
    return np.random.default_rng(3).integers(0, 256, (80, 90, 3), dtype=np.uint8)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, limits=LIMITS, name="photo.jpg"):
        path = tmp_path / name
        path.write_bytes(data)
        return decode.read(os.fsencode(path), limits=limits)

    return write_and_read


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"just words\nand more", "text file"),
        (encoded(landscape(), "PDF"), "PDF"),
        (encoded(landscape(), "JPEG2000"), "JPEG 2000"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "SVG"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"BMW is a car", "text file"),
        (b"\0\0\0\x20ftypisom\0\0\0\0isomiso2avc1mp41" + bytes(50), "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom" + bytes(50), "camera raw"),
        (b"\0\x05\x16\x07\0\x02\0\0" + bytes(50), "AppleDouble"),
        (
            bytes(200),
            "is not a picture of a known kind. Pictures can be JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL, PSD, BMP or GIF.",
        ),
    ],
)
def test_what_is_no_picture_of_the_list_is_named(read, data, what):
    with pytest.raises(ImageType) as refused:
        read(data)
    assert "photo.jpg" in refused.value.message
    assert what in refused.value.message


def test_a_camera_raw_file_is_not_taken_for_its_thumbnail(read):
    for tags in ({254: 1}, {50706: b"\x01\x04\0\0"}):
        with pytest.raises(ImageType, match="camera raw"):
            read(encoded(landscape(), "TIFF", tiffinfo=tags))


def test_float_pictures_are_refused_by_name(read):
    with pytest.raises(ImageType, match="32 bits"):
        read(encoded(np.ones((4, 4), np.float32), "TIFF"))


def test_a_name_with_the_wrong_ending_does_not_matter(read):
    assert read(encoded(landscape(), "PNG"), name="photo.jpg").format == "PNG"


def test_too_many_pixels_are_refused_before_they_are_loaded(read):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageTooLarge, match="30000 × 30000"):
        read(png_header(30_000, 30_000))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # KB; the pixels would be 3.6 GB


@pytest.mark.parametrize(("form", "options"), ALL)
def test_the_pixel_limit_holds_for_every_format_to_the_pixel(read, form, options):
    data = encoded(landscape(40, 60), form, **options)
    assert read(data, Limits(max_bytes=10**6, max_pixels=2400)).rgb.shape == (40, 60, 3)
    with pytest.raises(ImageTooLarge, match="60 × 40"):
        read(data, Limits(max_bytes=10**6, max_pixels=2399))


@pytest.mark.skipif(not (SAMPLES / "iphone_pug_original.heic").exists(), reason=f"no sample photo in {SAMPLES}")
def test_the_pixel_limit_holds_for_heic():
    path = os.fsencode(SAMPLES / "iphone_pug_original.heic")
    with pytest.raises(ImageTooLarge, match="4032 × 3024"):
        decode.read(path, limits=Limits(max_bytes=10**9, max_pixels=12_000_000))


def test_too_many_bytes_are_refused(read):
    with pytest.raises(ImageTooLarge, match="at most 100 bytes are allowed"):
        read(encoded(landscape(), "PNG"), Limits(max_bytes=100, max_pixels=10**6))


@pytest.mark.parametrize(("form", "options"), ALL)
@pytest.mark.parametrize("kept", [0.15, 0.5, 0.9])
def test_a_file_that_was_cut_off_says_so(read, form, options, kept):
    data = encoded(noise(), form, **options)
    with pytest.raises(ImageUnreadable) as refused:
        read(data[: int(len(data) * kept)])
    assert refused.value.detail.startswith(source_file.TRUNCATED)
    assert "cut off" in refused.value.message


@pytest.mark.skipif(not (SAMPLES / "iphone_pug_original.heic").exists(), reason=f"no sample photo in {SAMPLES}")
@pytest.mark.parametrize("kept", [0.001, 0.5, 0.99])
def test_a_heic_that_was_cut_off_says_so(read, kept):
    data = (SAMPLES / "iphone_pug_original.heic").read_bytes()
    with pytest.raises(ImageUnreadable) as refused:
        read(data[: int(len(data) * kept)], name="photo.heic")
    assert refused.value.detail.startswith(source_file.TRUNCATED)


def test_an_empty_file_counts_as_cut_off(read):
    with pytest.raises(ImageUnreadable, match="empty") as refused:
        read(b"")
    assert refused.value.detail.startswith(source_file.TRUNCATED)


def test_damage_in_a_whole_file_is_not_called_cut_off(read):
    data = bytearray(encoded(noise(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageUnreadable) as refused:
        read(bytes(data))
    assert "damaged" in refused.value.message
    assert not refused.value.detail.startswith(source_file.TRUNCATED)


def test_links_pipes_folders_and_nothing_are_refused(tmp_path):
    (tmp_path / "real.png").write_bytes(encoded(landscape(), "PNG"))
    (tmp_path / "link.png").symlink_to("real.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, why in (("link.png", "link"), ("pipe.png", "regular file"), ("folder.png", "regular file")):
        with pytest.raises(ImageUnreadable, match=why):
            decode.read(os.fsencode(tmp_path / name), limits=LIMITS)
    with pytest.raises(SourceMissing):
        decode.read(os.fsencode(tmp_path / "none.png"), limits=LIMITS)


def test_a_name_that_is_not_utf_8_is_told_readably(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"ph\xffto.jpg")
    with open(path, "wb") as file:
        file.write(b"text")
    with pytest.raises(ImageType, match=r"ph\\xffto"):
        decode.read(path, limits=LIMITS)


def test_a_folder_exchanged_for_a_link_gives_no_picture(tmp_path):
    private, source = tmp_path / "private", tmp_path / "source"
    private.mkdir()
    (private / "photo.png").write_bytes(b"nobody's business")
    source.symlink_to(private)
    path = os.fsencode(source / "photo.png")
    with pytest.raises(SourceMissing, match=r"photo\.png no longer exists"), source_file.open_source(path) as file:
        file.read()


@pytest.mark.parametrize("number", PASSING)
def test_a_disk_that_fails_while_a_picture_is_read_is_not_called_damage(number):
    with pytest.raises(OSError) as raised, damage_reported(b"a.jpg", io.BytesIO()):
        raise OSError(number, os.strerror(number))
    failure = classify(raised.value)
    assert failure.retryable
    assert os.strerror(number) in failure.message


@pytest.mark.parametrize("error", [OSError("image file is truncated"), OSError(errno.EINVAL, "Invalid argument")])
def test_a_decoders_own_oserror_is_damage(error):
    with pytest.raises(ImageUnreadable), damage_reported(b"a.jpg", io.BytesIO()):
        raise error
