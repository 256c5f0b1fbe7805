"""Every kind of TIFF is decoded by us and, where possible, by tifffile: equal or refused, never silently wrong."""

import io
import itertools
import os
import struct

import numpy as np
import pytest
import tifffile
import tiffs
from PIL import Image
from tiffs import tiff

from daemon.contract.messages import Limits
from daemon.errors import ImageType, ImageUnreadable
from pipeline.image import decode
from pipeline.image.colour import convert

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
HEIGHT, WIDTH = 21, 37
MEANINGS = [
    (tiffs.MIN_IS_WHITE, 1, ()), (tiffs.MIN_IS_BLACK, 1, ()), (tiffs.MIN_IS_BLACK, 2, (0,)), (tiffs.MIN_IS_BLACK, 2, (1,)),
    (tiffs.MIN_IS_BLACK, 2, (2,)), (tiffs.RGB, 3, ()), (tiffs.RGB, 4, ()), (tiffs.RGB, 4, (0,)), (tiffs.RGB, 4, (1,)),
    (tiffs.RGB, 4, (2,)), (tiffs.RGB, 5, (2, 0)), (tiffs.PALETTE, 1, ()), (tiffs.CMYK, 4, ()), (tiffs.CMYK, 5, (0,)),
    (tiffs.CMYK, 5, (2,)), (tiffs.YCBCR, 3, ()), (tiffs.CIELAB, 3, ()), (tiffs.ICCLAB, 3, ()), (tiffs.MIN_IS_WHITE, 2, (2,)),
]  # fmt: skip
NUMBERS = [(bits, tiffs.UNSIGNED) for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32)] + [
    (8, tiffs.SIGNED), (16, tiffs.SIGNED), (32, tiffs.SIGNED), (16, tiffs.FLOAT), (32, tiffs.FLOAT), (64, tiffs.FLOAT),
    (64, tiffs.UNSIGNED),
]  # fmt: skip
COMPRESSIONS = (tiffs.NONE, tiffs.LZW, tiffs.DEFLATE, tiffs.OLD_DEFLATE, tiffs.PACKBITS, tiffs.LZMA)


def containers(bits, sample_format):
    """Byte order, compression, tiles, predictor, BigTIFF: how numbers are stored, not what they mean."""
    for order, compression, tile, predictor in itertools.product("<>", COMPRESSIONS, (None, 16), (1, 2, 3)):
        plain = compression in (tiffs.NONE, tiffs.PACKBITS)
        if (predictor == 2 and (plain or bits not in (8, 16, 32))) or (
            predictor == 3 and (plain or sample_format != tiffs.FLOAT)
        ):
            continue
        big = compression in (tiffs.NONE, tiffs.DEFLATE) and tile is None and predictor == 1 and order == "<"
        yield {"order": order, "compression": compression, "tile": tile, "predictor": predictor, "big": big}


def stored_numbers(channels, bits, sample_format, extra):
    """Numbers (H, W, C) over their whole range; premultiplied ones are consistent."""
    rng = np.random.default_rng(bits + channels)
    shape = (HEIGHT, WIDTH, channels)
    if sample_format == tiffs.FLOAT:
        return (rng.random(shape) * 5 + 0.125).astype(f"f{bits // 8}")
    if sample_format == tiffs.SIGNED:
        return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    numbers = rng.integers(0, 1 << min(bits, 62), shape, dtype=np.uint64)
    if extra[:1] == (1,):
        numbers[..., :-1] = numbers[..., :-1] * (numbers[..., -1:] / ((1 << bits) - 1))
    return numbers


def to_8_bits(numbers, bits):
    return np.floor(numbers.astype(np.float64) * (255 / ((1 << bits) - 1)) + 0.5).astype(int)


def colour_map(bits):
    return np.random.default_rng(5).integers(0, 256, (3, 1 << bits)) * 257


def meant(numbers, photometric, bits, extra):
    """What the picture looks like: 8-bit RGB; None where a tolerance or another library must decide (Lab)."""
    eight = to_8_bits(numbers, bits)
    if photometric == tiffs.PALETTE:
        return (colour_map(bits) // 257).T[numbers[..., 0].astype(int)]
    if photometric == tiffs.CMYK:
        return (255 - eight[..., :3]) * (255 - eight[..., 3:4]) / 255
    if photometric == tiffs.CIELAB:
        lab = Image.frombytes("LAB", (WIDTH, HEIGHT), eight.astype(np.uint8).tobytes())
        return convert.to_rgb(np.asarray(lab), "LAB", None).rgb
    colours = 3 if photometric == tiffs.RGB else 1
    if extra[:1] == (1,):
        top = (1 << bits) - 1
        numbers = np.minimum(numbers[..., :colours] * (top / np.maximum(numbers[..., -1:].astype(float), 1)), top)
        eight = to_8_bits(numbers, bits)
    if photometric == tiffs.MIN_IS_WHITE:
        eight = 255 - eight
    return np.broadcast_to(eight[..., :colours], (HEIGHT, WIDTH, 3))


def second_opinion(path, numbers, planar):
    """Whether tifffile, without its optional libraries, can read what was written."""
    try:
        read = tifffile.imread(path)
    except (NotImplementedError, ValueError, KeyError):
        return False
    read = np.moveaxis(read, 0, -1) if planar == 2 and numbers.shape[2] > 1 else read
    assert np.array_equal(read.reshape(numbers.shape).astype(np.float64), numbers.astype(np.float64))
    return True


def outcome(path, check):
    """Equal after the check, or "refused" with a sentence that names the file and does not call it damaged."""
    try:
        got = decode.read(os.fsencode(path), limits=LIMITS)
    except ImageType as reason:
        refused = reason
    else:
        check(got)
        return "equal"
    assert refused.message.startswith("photo.tif ")
    assert "8 or 16 bits" in refused.own_hint
    return "refused"


MUST_BE_READ = {
    *itertools.product(("grey", "white is 0", "RGB", "RGBA", "CMYK"), (8, 16), (1, 2)),
    *itertools.product(("grey", "white is 0"), (1, 2, 4, 12), (1,)),
}
WORDS = {(0, 1): "white is 0", (1, 1): "grey", (2, 3): "RGB", (2, 4): "RGBA", (5, 4): "CMYK"}


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(("bits", "sample_format"), NUMBERS)
@pytest.mark.parametrize(("photometric", "channels", "extra"), MEANINGS)
def test_every_kind_is_equal_or_refused(tmp_path, photometric, channels, extra, bits, sample_format, planar):
    numbers = stored_numbers(channels, bits, sample_format, extra)
    more = [(320, 3, colour_map(bits).ravel().tolist())] if photometric == tiffs.PALETTE and bits <= 8 else []
    path = tmp_path / "photo.tif"
    outcomes = set()

    def check(photo):
        wanted = meant(numbers, photometric, bits, extra)
        alpha = None
        if extra[:1] in ((1,), (2,)) or (photometric, channels, extra) == (tiffs.RGB, 4, ()):
            alpha = to_8_bits(numbers[..., channels - max(len(extra), 1)], bits)
            assert np.array_equal(photo.alpha, alpha)
        else:
            assert photo.alpha is None
        seen = np.ones((HEIGHT, WIDTH), bool) if alpha is None else alpha > 0
        loose = 1 if photometric == tiffs.CMYK or extra[:1] == (1,) else 0
        assert np.abs(photo.rgb.astype(float) - wanted)[seen].max() <= loose
        assert photo.bits == bits

    for number, options in enumerate(containers(bits, sample_format)):
        if outcomes == {"refused"} and number >= 3:
            break
        rows = None if options["tile"] else 8
        path.write_bytes(
            tiff(
                numbers, photometric=photometric, bits=bits, sample_format=sample_format, planar=planar, rows=rows, extra=extra,
                more=more, **options,
            )
        )  # fmt: skip
        if bits in (8, 16, 32, 64) and options["compression"] == tiffs.NONE and photometric not in (tiffs.YCBCR, tiffs.PALETTE):
            assert second_opinion(path, numbers, planar)
        outcomes.add(outcome(path, check))
    assert len(outcomes) <= 1
    if (
        (WORDS.get((photometric, channels)), bits, planar) in MUST_BE_READ
        and sample_format == tiffs.UNSIGNED
        and extra == ((2,) if (photometric, channels) == (tiffs.RGB, 4) else ())
    ):
        assert outcomes == {"equal"}


@pytest.mark.parametrize("photometric", [tiffs.MIN_IS_WHITE, tiffs.MIN_IS_BLACK])
@pytest.mark.parametrize(("bits", "sample_format"), NUMBERS)
def test_the_numbers_of_a_depth_picture_are_those_of_the_file(tmp_path, photometric, bits, sample_format):
    numbers = stored_numbers(1, bits, sample_format, ())
    path = tmp_path / "photo.depth.tif"
    for options in containers(bits, sample_format):
        path.write_bytes(tiff(numbers, photometric=photometric, bits=bits, sample_format=sample_format, rows=8, **options))
        try:
            got, mode = decode.read_samples(os.fsencode(path), limits=LIMITS)
        except ImageType:
            assert bits == 64 or (photometric == tiffs.MIN_IS_WHITE and sample_format != tiffs.UNSIGNED)
            continue
        wanted = numbers[..., 0].astype(np.float64)
        if photometric == tiffs.MIN_IS_WHITE:
            wanted = (1 << bits) - 1 - wanted
        if bits < 8:
            wanted = np.floor(wanted * (255 / ((1 << bits) - 1)) + 0.5)
        assert np.array_equal(got.astype(np.float64), wanted), options
        assert mode == "L"


@pytest.mark.parametrize(("bits", "sample_format"), [(8, 1), (16, 1), (32, 1), (16, 2), (32, 3)])
def test_depth_written_as_rgb_in_separate_planes_keeps_its_numbers(tmp_path, bits, sample_format):
    numbers = np.repeat(stored_numbers(1, bits, sample_format, ()), 3, axis=2)
    path = tmp_path / "photo.depth.tif"
    for options in containers(bits, sample_format):
        data = tiff(numbers, photometric=tiffs.RGB, bits=bits, sample_format=sample_format, planar=2, rows=8, **options)
        path.write_bytes(data)
        got, mode = decode.read_samples(os.fsencode(path), limits=LIMITS)
        assert (mode, np.array_equal(got.astype(np.float64), numbers.astype(np.float64))) == ("RGB", True), options


@pytest.mark.parametrize("compression", ["jpeg", "group3", "group4", "tiff_ccitt", "zstd", "lzma", "tiff_lzw"])
def test_what_pillow_writes_comes_out_again(tmp_path, compression):
    """The compressions that no other library here can write."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.dstack([x * 6, y * 12, (x + y) * 4]).astype(np.uint8)
    bit = compression in ("group3", "group4", "tiff_ccitt")
    picture = Image.fromarray(smooth).convert("1") if bit else Image.fromarray(smooth)
    path = tmp_path / "photo.tif"
    picture.save(path, "TIFF", compression=compression)
    wanted = np.asarray(picture.convert("RGB"))
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    assert np.abs(photo.rgb.astype(int) - wanted).max() <= (24 if compression == "jpeg" else 0)


def test_a_16_bit_tiff_that_ends_early_says_so(tmp_path):
    numbers = stored_numbers(3, 16, 1, ())
    data = bytearray(tiff(numbers, photometric=tiffs.RGB, bits=16, planar=2, rows=8))
    body, at = data[8 : int.from_bytes(data[4:8], "little")], int.from_bytes(data[4:8], "little")
    directory = data[at:]
    assert len(body) > 1000
    short = tmp_path / "photo.tif"
    tiffed = io.BytesIO()
    tifffile.imwrite(tiffed, numbers.astype(np.uint16), photometric="rgb")
    short.write_bytes(tiffed.getvalue()[: len(tiffed.getvalue()) // 2])  # tifffile writes the directory first
    with pytest.raises(ImageUnreadable) as refused:
        decode.read(os.fsencode(short), limits=LIMITS)
    assert refused.value.detail.startswith("truncated")
    short.write_bytes(bytes(data[: at - len(body) // 2]) + bytes(directory))
    with pytest.raises(ImageUnreadable):
        decode.read(os.fsencode(short), limits=LIMITS)


def test_a_16_bit_tiff_in_planes_is_turned_upright_and_its_pages_are_counted(tmp_path):
    numbers = stored_numbers(3, 16, 1, ())
    path = tmp_path / "photo.tif"
    path.write_bytes(tiff(numbers, photometric=tiffs.RGB, bits=16, planar=2, more=[(274, 3, [6])]))
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    assert (photo.orientation, photo.rgb.shape) == (6, (WIDTH, HEIGHT, 3))
    assert np.array_equal(photo.rgb, np.rot90(to_8_bits(numbers, 16), -1))
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(numbers.astype(np.uint16), photometric="rgb", planarconfig="contig")
    assert "has 3 pages" in decode.read(os.fsencode(path), limits=LIMITS).warnings[0]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("tile", [None, 16])
def test_a_tiff_that_lists_too_few_strips_or_tiles_is_damaged_and_not_black_below(tmp_path, bits, planar, tile):
    numbers = stored_numbers(3, bits, 1, ())
    path = tmp_path / "photo.tif"
    data = tiff(numbers, photometric=tiffs.RGB, bits=bits, planar=planar, rows=None if tile else 8, tile=tile)
    path.write_bytes(data)
    assert decode.read(os.fsencode(path), limits=LIMITS).rgb.shape == (HEIGHT, WIDTH, 3)
    length, taller = (struct.pack("<HHII", 257, 4, 1, height) for height in (HEIGHT, 2 * HEIGHT))
    assert data.count(length) == 1
    path.write_bytes(data.replace(length, taller))
    with pytest.raises(ImageUnreadable, match="is damaged"):
        decode.read(os.fsencode(path), limits=LIMITS)


def test_a_bigtiff_with_the_high_byte_first_is_refused_by_name(tmp_path):
    path = tmp_path / "photo.tif"
    path.write_bytes(tiff(stored_numbers(3, 8, 1, ()), photometric=tiffs.RGB, bits=8, order=">", big=True))
    with pytest.raises(ImageType, match="BigTIFF"):
        decode.read(os.fsencode(path), limits=LIMITS)


def test_lab_means_what_it_says(tmp_path):
    path = tmp_path / "photo.tif"
    numbers = np.zeros((4, 4, 3), np.uint8)
    numbers[:2, :, 0] = 255
    numbers[2:] = 138, 80, 67  # L* 54, a* 80, b* 67: the red of sRGB
    path.write_bytes(tiff(numbers, photometric=tiffs.CIELAB, bits=8))
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    assert np.abs(photo.rgb[0, 0].astype(int) - 255).max() <= 2
    assert np.abs(photo.rgb[3, 0].astype(int) - (255, 0, 0)).max() <= 12
