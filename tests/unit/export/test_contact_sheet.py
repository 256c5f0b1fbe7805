"""The contact sheet: everything on one page, for any number of layers and any proportions."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.export import contact_sheet, palette
from pipeline.export.preview import PreviewLayer, PreviewPage

RED, BLUE = (220, 30, 40), (30, 60, 210)


def page(count: int, title: str = "A garden") -> PreviewPage:
    layers = tuple(
        PreviewLayer(f"Layer {k + 1}", (k / count, (k + 1) / count), 1 / count, (k / (count - 1) - 1 / 3) * 0.03)
        for k in range(count)
    )
    return PreviewPage(title, layers, tuple(k / count for k in range(1, count)), f"{count} layers")


def sheet(width: int, height: int, count: int, title: str = "A garden", icc: bytes | None = None) -> bytes:
    """A red photo; every layer holds a blue block and nothing else."""
    photo = np.full((height, width, 3), RED, np.uint8)
    layer = np.zeros((height, width, 4), np.uint8)
    layer[: max(1, height // 2), : max(1, width // 2)] = (*BLUE, 255)
    disparity = np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], (height, width)).copy()
    out = io.BytesIO()
    contact_sheet.write(out, photo, [layer] * count, disparity, page(count, title), icc)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture - colour).max(axis=2) < 12


def regions(mask: np.ndarray) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return int((stats[1:, cv2.CC_STAT_AREA] > 150).sum())


@pytest.mark.parametrize("count", [2, 5, 7, 12])
def test_every_layer_and_the_photo_are_on_the_sheet(count: int) -> None:
    found = pixels(sheet(320, 240, count))
    assert regions(near(found, RED)) == 1
    assert regions(near(found, BLUE)) == count


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((1, 1), 2),
        ((2000, 200), 4),
        ((2000, 200), 12),
        ((100, 1000), 4),
        ((100, 1000), 12),
        ((500, 100), 5),
        ((300, 400), 12),
        ((4000, 1), 3),
    ],
)
def test_any_proportions_stay_within_the_margins_and_a_sensible_height(size: tuple[int, int], count: int) -> None:
    found = pixels(sheet(*size, count))
    assert found.shape[1] == contact_sheet.WIDTH
    assert found.shape[0] < 3200
    paper = found[4, 4]
    for border in (found[:, :50], found[:, -50:], found[:40], found[-40:]):
        assert np.abs(border - paper).max() < 12


def test_transparency_is_shown_on_a_checkerboard() -> None:
    found = pixels(sheet(320, 240, 3))
    light, dark = ((near(found, check)).sum() for check in contact_sheet._CHECKS)
    assert light > 40_000
    assert dark > 40_000


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert sheet(123, 77, 4) == sheet(123, 77, 4)


def test_the_colour_profile_is_kept() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert Image.open(io.BytesIO(sheet(32, 24, 2, icc=icc))).info["icc_profile"] == icc
    assert "icc_profile" not in Image.open(io.BytesIO(sheet(32, 24, 2))).info


@pytest.fixture(scope="module")
def reference_pixels() -> np.ndarray:
    return pixels(sheet(320, 240, 2))


@pytest.mark.parametrize("title", ["", "x" * 500, "two\nlines\tand\0nothing", "中景 ‮ Ünïcode 🎞", "\ud800"])
def test_any_title_stays_on_its_line(title: str, reference_pixels: np.ndarray) -> None:
    found = pixels(sheet(320, 240, 2, title))
    assert found.shape == reference_pixels.shape
    assert np.array_equal(found[120:], reference_pixels[120:])
    assert np.array_equal(found[:, 1280:], reference_pixels[:, 1280:])  # what stands to the right of it
    if len(title) > 100:
        assert (found[60:110, 600:900].min() < 90).any()


def test_missing_descriptions_are_refused() -> None:
    photo = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="1 layers, but 2"):
        contact_sheet.write(io.BytesIO(), photo, [np.zeros((4, 4, 4), np.uint8)], np.zeros((4, 4), np.float32), page(2))


def test_the_ramp_only_rises_in_lightness_and_layers_differ() -> None:
    grey = palette.ramp().astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(grey) > -0.5).all()
    assert grey[-1] - grey[0] > 200
    for count in range(2, 13):
        assert len(set(palette.layer_colours(count))) == count


def test_depth_is_coloured_from_the_far_to_the_near_end_of_the_ramp() -> None:
    colours = palette.colour_depth(np.array([[0.0, 0.5, 1.0, 1.5, -1.0]], np.float32))
    ramp = palette.ramp()
    np.testing.assert_array_equal(colours[0], ramp[[0, 128, 255, 255, 0]])


def test_a_name_looks_the_same_whatever_letters_come_with_it() -> None:
    """The whole sheet is in one face. "Garden" is some 120 pixels wide."""
    plain, marked = (pixels(sheet(320, 240, 2, title)) for title in ("Garden", "Garden ä"))
    assert np.array_equal(plain[60:110, 60:170], marked[60:110, 60:170])
    assert (plain[60:110, 60:170] < 100).any()
