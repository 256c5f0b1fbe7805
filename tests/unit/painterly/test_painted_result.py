"""A complete job in painterly mode: the layers are cut from the painting, and the page shows it beside the photo."""

import io
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.layers.plates.fill import MAX_PARALLAX
from pipeline.painterly import strokes, styles
from tests.unit.test_run import encoded, error_of, landscape, layered

SEED, STRENGTH = 9, 0.6


@pytest.fixture(scope="module")
def photo():
    return landscape(120, 180)


@pytest.fixture(scope="module")
def result(photo, tmp_path_factory):
    depth = encoded(np.tile(np.linspace(1, 65535, 120), (180, 1)).T.astype(np.uint16), "PNG")
    folder = tmp_path_factory.mktemp("painted")
    spec = {"mode": "painterly", "style": "oil-strokes", "seed": SEED, "strength": STRENGTH, "num_layers": 4}
    return layered(folder, "meadow.png", encoded(photo, "PNG"), depth, **spec)


@pytest.fixture(scope="module")
def painting(photo):
    return strokes.paint(photo, styles.styles()["oil-strokes"], strength=STRENGTH, seed=SEED).rgb


def test_four_layers_recompose_to_the_painting(result, painting, photo):
    assert error_of(result, painting) <= 1
    assert error_of(result, photo) > 30
    assert len(list(result.glob("Layer_*.png"))) == 4


def test_moving_its_layers_apart_opens_no_holes(result):
    files = sorted(result.glob("Layer_*.png"), key=lambda path: int(path.name.split("_")[1]))
    height, width = 120, 180
    most = MAX_PARALLAX * width
    for dx, dy in ((most, 0.0), (-most, 0.0), (0.0, most), (0.0, -most)):
        seen = np.zeros((height, width), np.float32)
        for number, path in enumerate(files):
            cover = np.asarray(Image.open(path))[..., 3].astype(np.float32) / 255
            share = number / (len(files) - 1)
            moved = cv2.warpAffine(cover, np.float32([[1, 0, dx * share], [0, 1, dy * share]]), (width, height))
            seen += (1 - seen) * moved
        assert seen.min() > 0.999


def page_data(result):
    text = (result / "preview.html").read_text()
    return json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


def test_before_and_after_are_the_photo_and_the_painting(result, photo, painting):
    shown = np.asarray(Image.open(result / "preview" / "photo.webp").convert("RGB")).astype(int)
    assert np.abs(shown - photo).mean() < 4 < np.abs(shown - painting).mean()
    data = page_data(result)
    assert data["painted"] is True
    assert ["Painting", "oil-strokes, strength 0.6, seed 9"] in data["facts"]


def test_the_contact_sheet_shows_the_painting_beside_the_photo(result, photo, tmp_path):
    """The first row has three pictures; the second is the painting."""
    sheet = np.asarray(Image.open(result / "contact_sheet.jpg").convert("RGB"))
    plain = np.asarray(Image.open(layered(tmp_path, "meadow.png", encoded(photo, "PNG")) / "contact_sheet.jpg").convert("RGB"))
    paper = sheet[5, 5].astype(int)

    def columns(picture):
        """Where pictures begin and end along the middle of the first row."""
        dark = np.abs(picture[250].astype(int) - paper).max(axis=1) > 24
        return int((np.diff(cv2.morphologyEx(dark.astype(np.uint8)[None], cv2.MORPH_CLOSE, np.ones((1, 9)))[0]) == 1).sum())

    assert (columns(sheet), columns(plain)) == (3, 2)


def test_a_job_that_paints_nothing_calls_nothing_a_painting(photo, tmp_path):
    plain = layered(tmp_path, "a.png", encoded(photo, "PNG"), mode="painterly", strength=0.0, num_layers=2)
    assert error_of(plain, photo) <= 1
    assert page_data(plain)["painted"] is False
    assert "Painting" not in dict(page_data(plain)["facts"])
    with Image.open(io.BytesIO((plain / "composite.png").read_bytes())) as composite:
        assert np.abs(np.asarray(composite).astype(int) - photo).max() <= 1
