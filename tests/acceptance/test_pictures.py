"""Real pictures through the hot folder: the layers recompose to the photo, and the depth source is reported correctly.

The check of the layers reads only the written PNG files, with Pillow's own "over".
"""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pi_heif
import pytest
from PIL import Image, ImageOps
from skimage import data

from tests.acceptance.home import HotFolder, composited

SAMPLES = Path(os.environ.get("SAMPLE_PICTURES", Path(__file__).resolve().parents[3] / "shared" / "samples")).resolve()
ROOMS = ("b1", "b3", "b5")
beside_the_project = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample pictures are not beside the project")


def as_png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def half(get: Callable[[], np.ndarray]) -> np.ndarray:
    """A picture at half its size."""
    return np.asarray(Image.fromarray(get()).reduce(2))


#: (name, how to get it, layers); coffee.png as large as it is, for its reference.
FREE = [
    ("astronaut.png", lambda: half(data.astronaut), 4),
    ("chelsea.png", lambda: half(data.chelsea), 4),
    ("coffee.png", data.coffee, 4),
    ("rocket.png", lambda: half(data.rocket), 4),
    ("two.png", lambda: half(data.coffee), 2),
    ("twelve.png", lambda: half(data.coffee), 12),
]


def largest_difference(result: Path, photo: np.ndarray) -> int:
    composite = composited(result)
    assert (composite[:, :, 3] == 255).all()
    return int(np.abs(composite[:, :, :3].astype(np.int16) - photo).max())


def completed(running: HotFolder, name: str) -> tuple[dict, dict, Path]:
    status = running.ended(name, 120)
    assert status["state"] == "completed", status["error"]
    result = running.job(status) / "result"
    return status, json.loads((result / "layer_manifest.json").read_text()), result


@pytest.mark.parametrize(("name", "get", "layers"), FREE)
def test_a_photo_without_depth_comes_back_in_layers_that_recompose_to_it(running: HotFolder, name: str, get, layers: int) -> None:
    photo = get()
    if not running.of(name):
        running.drop(name, as_png(photo), f"num_layers: {layers}\n")
    status, manifest, result = completed(running, name)
    assert len(list(result.glob("Layer_*.png"))) == len(manifest["layers"]) == layers
    assert largest_difference(result, photo) <= 1
    assert manifest["recomposition"]["max_error"] <= 1
    assert manifest["depth"]["source"] == "heuristic"
    assert any(" models fetch " in warning for warning in status["warnings"])


@beside_the_project
def test_a_phones_photo_is_layered_by_the_phones_own_depth(running: HotFolder) -> None:
    name = "iphone_pug_original.heic"
    data = (SAMPLES / name).read_bytes()
    running.drop(name, data, "num_layers: 3\nformats: []\n")
    status, manifest, result = completed(running, name)
    pi_heif.register_heif_opener()
    photo = np.asarray(ImageOps.exif_transpose(Image.open(SAMPLES / name)).convert("RGB"))
    assert largest_difference(result, photo) <= 1
    assert manifest["depth"]["source"] == "photo"
    assert not any("estimated without a model" in warning for warning in status["warnings"])
    assert (running.job(status) / "source" / name).read_bytes() == data


@beside_the_project
@pytest.mark.parametrize("room", ROOMS)
def test_layers_follow_a_depth_picture_dropped_beside_the_photo(running: HotFolder, room: str) -> None:
    name = f"room_{room}.png"
    running.put(f"room_{room}.depth.png", (SAMPLES / f"icl_livingroom_{room}_depth.png").read_bytes())
    running.drop(name, (SAMPLES / f"icl_livingroom_{room}_rgb.png").read_bytes(), "depth_kind: distance\nformats: []\n")
    _, manifest, result = completed(running, name)
    photo = np.asarray(Image.open(SAMPLES / f"icl_livingroom_{room}_rgb.png").convert("RGB"))
    assert largest_difference(result, photo) <= 1
    assert (manifest["depth"]["source"], manifest["depth"]["polarity"]) == ("file", "distance")
    assert agreement(result, manifest, SAMPLES / f"icl_livingroom_{room}_depth.png") >= 0.95


def agreement(result: Path, manifest: dict, depth: Path) -> float:
    """The fraction of pixels whose frontmost layer is the one that the true depth gives them."""
    metres = np.asarray(Image.open(depth)).astype(float) / 5000
    valid = metres > 0
    disparity = np.where(valid, 1 / np.maximum(metres, 1e-9), 0)
    low, high = disparity[valid].min(), disparity[valid].max()
    truth = np.digitize((disparity - low) / (high - low), manifest["split"]["thresholds"])
    seen = np.zeros(truth.shape, int)
    for layer in manifest["layers"]:
        alpha = np.asarray(Image.open(result / layer["file"]))[:, :, 3]
        seen[alpha >= 128] = layer["index"] - 1
    return float((seen == truth)[valid].mean())


REFERENCES = Path(__file__).parent


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_the_contact_sheet_looks_like_the_reference(running: HotFolder, name: str) -> None:
    """People have checked the references by eye; a visible difference must be checked again."""
    file = f"{name}.png"
    if (depth := REFERENCES / f"{name}.depth.png").exists():
        file = f"{name}_reference.png"
        running.put(f"{name}_reference.depth.png", depth.read_bytes())
    if not running.of(file):
        running.drop(file, as_png(getattr(data, name)()), "num_layers: 4\n")
    _, _, result = completed(running, file)
    made = Image.open(result / "contact_sheet.jpg")
    reference = Image.open(REFERENCES / f"reference_{name}.jpg")
    assert made.size == reference.size
    size = (reference.width // 8, reference.height // 8)
    # Scaled down, and without the title, which is the file's name.
    small = [np.asarray(sheet.resize(size, Image.Resampling.BOX), int)[15:] for sheet in (made, reference)]
    assert np.abs(small[0] - small[1]).mean() < 2.0
