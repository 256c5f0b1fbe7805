"""The layered file in GIMP and Krita: each must find the layers in it.

Part of `make soak`, and only where the programs are installed (for Krita also Xvfb, since it wants a screen).
"""

import io
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.export import psd
from pipeline.export.psd import PsdLayer

soak = pytest.mark.skipif("SOAK_TESTS" not in os.environ, reason="part of make soak")
gimp = pytest.mark.skipif(shutil.which("gimp") is None, reason="GIMP is not installed")
krita = pytest.mark.skipif(None in (shutil.which("krita"), shutil.which("Xvfb")), reason="Krita and Xvfb are not installed")

NAMES = ["Hintergrund", "中景", "middle 🎞 Ø", "foreground"]
SIZE = (90, 70)
#: left, top, right, bottom of each layer.
PLACES = [(0, 0, 90, 70), (20, 10, 71, 60), (5, 33, 6, 34), (83, 61, 90, 70)]

#: Writes each layer as a PNG and says its name and place; then the merged picture.
TAKE_APART = """
(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{psd}" "{psd}")))
       (layers (cadr (gimp-image-get-layers image)))
       (count (vector-length layers)))
  (do ((at 0 (+ at 1))) ((= at count))
    (let* ((layer (vector-ref layers at)) (file (string-append "{folder}/" (number->string at) ".png")))
      (gimp-message (string-append "layer|" (car (gimp-item-get-name layer)) "|"
        (number->string (car (gimp-drawable-offsets layer))) "|" (number->string (cadr (gimp-drawable-offsets layer))) "|end"))
      (file-png-save RUN-NONINTERACTIVE image layer file file 0 1 0 0 0 0 0)))
  (let ((merged (car (gimp-image-merge-visible-layers image CLIP-TO-IMAGE))))
    (file-png-save RUN-NONINTERACTIVE image merged "{folder}/merged.png" "{folder}/merged.png" 0 1 0 0 0 0 0)))
(gimp-quit 0)
"""


class Shown(NamedTuple):
    """A layer as a program sees it."""

    name: str
    place: tuple[int, int, int, int]
    rgba: np.ndarray


@pytest.fixture(scope="module")
def layers() -> list[PsdLayer]:
    rng = np.random.default_rng(5)
    out = []
    for name, (left, top, right, bottom) in zip(NAMES, PLACES, strict=True):
        rgba = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        rgba[top:bottom, left:right] = rng.integers(1, 256, (bottom - top, right - left, 4))
        out.append(PsdLayer(name, rgba))
    out[0].rgba[..., 3] = 255
    return out


@pytest.fixture(scope="module")
def merged(layers: list[PsdLayer]) -> np.ndarray:
    canvas = Image.fromarray(layers[0].rgba)
    for layer in layers[1:]:
        canvas.alpha_composite(Image.fromarray(layer.rgba))
    return np.asarray(canvas)


@pytest.fixture
def document(layers: list[PsdLayer], merged: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "layers.psd"
    with path.open("w+b") as out:
        psd.write(out, layers, np.ascontiguousarray(merged[..., :3]))
    return path


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a virtual screen and a separate home."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as number:
        display = number.readline().strip()
    assert display, "Xvfb did not start"
    yield {**os.environ, "DISPLAY": f":{display}", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    server.terminate()
    server.wait()


def compare(shown: list[Shown], layers: list[PsdLayer]) -> None:
    assert [layer.name for layer in shown] == NAMES
    assert [layer.place for layer in shown] == PLACES
    for found, put in zip(shown, layers, strict=True):
        left, top, right, bottom = found.place
        np.testing.assert_array_equal(found.rgba, put.rgba[top:bottom, left:right])


def place(left: int, top: int, rgba: np.ndarray) -> tuple[int, int, int, int]:
    return left, top, left + rgba.shape[1], top + rgba.shape[0]


@soak
@gimp
def test_gimp_shows_every_layer_where_it_is_and_the_merged_picture(
    document: Path, layers: list[PsdLayer], merged: np.ndarray, tmp_path: Path
) -> None:
    script = TAKE_APART.format(psd=document, folder=tmp_path)
    done = subprocess.run(
        ["gimp", "-i", "-d", "-f", "-n", "-b", script],
        env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    shown = []
    for at, (name, left, top) in enumerate(re.findall(r"layer\|(.*)\|([\d.]+)\|([\d.]+)\|end", done.stdout + done.stderr)):
        rgba = np.asarray(Image.open(tmp_path / f"{at}.png").convert("RGBA"))
        shown.append(Shown(name, place(round(float(left)), round(float(top)), rgba), rgba))
    compare(shown[::-1], layers)
    found = np.asarray(Image.open(tmp_path / "merged.png").convert("RGBA")).astype(int)
    assert np.abs(found - merged).max() <= 1


@soak
@krita
def test_krita_shows_every_layer_where_it_is_and_the_merged_picture(
    document: Path, layers: list[PsdLayer], merged: np.ndarray, tmp_path: Path, screen: dict[str, str]
) -> None:
    """Krita writes OpenRaster without loss; its stack lists the layers from the front."""
    for name in ("out.ora", "merged.png"):
        subprocess.run(
            ["krita", "--export", str(document), "--export-filename", str(tmp_path / name)],
            env=screen,
            capture_output=True,
            timeout=200,
            check=True,
        )
    shown = []
    with zipfile.ZipFile(tmp_path / "out.ora") as archive:
        for layer in ElementTree.fromstring(archive.read("stack.xml")).iter("layer"):
            rgba = np.asarray(Image.open(io.BytesIO(archive.read(layer.attrib["src"]))).convert("RGBA"))
            at = place(int(layer.attrib["x"]), int(layer.attrib["y"]), rgba)
            shown.append(Shown(layer.attrib["name"], at, rgba))
    compare(shown[::-1], layers)
    found = np.asarray(Image.open(tmp_path / "merged.png").convert("RGBA")).astype(int)
    assert np.abs(found - merged).max() <= 1
