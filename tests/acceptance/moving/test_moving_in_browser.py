"""Videos and loops as a browser shows them: their size, their length and their colours (only `make soak`)."""

import base64
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.export.moving import encoders, webp
from pipeline.export.moving.motion import Motion
from tests.acceptance.conftest import CHROMIUM
from tests.acceptance.moving.moving_sheet import portrait

CELL, LEVELS = 32, (0, 85, 170, 255)
COLOURS = np.array([(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS])
FFMPEG = shutil.which("ffmpeg")
#: Colours are converted as a graphics card does it; what Chromium uses without one darkens blue by ten levels.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
pytestmark = pytest.mark.skipif(not os.environ.get("SOAK_TESTS") or CHROMIUM is None, reason="runs in make soak, by Chromium")
#: Shows a picture or a video, and returns its size, its length in seconds and its pixels.
LOOK = """async ([kind, data]) => {
  const film = kind.startsWith("video"), seen = document.createElement(film ? "video" : "img");
  const ready = new Promise((then, fail) => {
    seen.addEventListener(film ? "loadeddata" : "load", then);
    seen.addEventListener("error", () => fail(`cannot show ${kind}`));
  });
  seen.src = `data:${kind};base64,${data}`;
  await ready;
  if (film) {
    seen.muted = true;
    await Promise.all([new Promise((then) => seen.requestVideoFrameCallback(then)), seen.play()]);
    seen.pause();
  }
  const [width, height] = film ? [seen.videoWidth, seen.videoHeight] : [seen.naturalWidth, seen.naturalHeight];
  const pen = new OffscreenCanvas(width, height).getContext("2d");
  pen.drawImage(seen, 0, 0);
  return JSON.stringify([width, height, seen.duration ?? null, [...pen.getImageData(0, 0, width, height).data]]);
}"""


@pytest.fixture(scope="module")
def page():
    """An empty page."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started.new_page()
        started.close()


def shown(page, path: Path, kind: str) -> tuple[tuple[int, int], float | None, np.ndarray]:
    """Size in pixels, length in seconds, and what the browser draws."""
    width, height, seconds, pixels = json.loads(page.evaluate(LOOK, [kind, base64.b64encode(path.read_bytes()).decode()]))
    return (width, height), seconds, np.array(pixels, np.uint8).reshape(height, width, 4)[..., :3]


def chart() -> np.ndarray:
    """Every combination of four levels, as squares."""
    return np.kron(COLOURS.reshape(8, 8, 3), np.ones((CELL, CELL, 1))).astype(np.uint8)


def mean_error(picture: np.ndarray) -> float:
    inside = picture.reshape(8, CELL, 8, CELL, 3)[:, 8:-8, :, 8:-8].mean((1, 3))
    return float(np.abs(inside.reshape(-1, 3) - COLOURS).mean())


@pytest.mark.parametrize("kind", ["vp9", pytest.param("ffmpeg", marks=pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg"))])
def test_a_browser_shows_a_video_in_its_size_length_and_colours(page, tmp_path, kind):
    target = tmp_path / "a.mp4"
    encoders.encode(target, [chart()] * 20, size=(8 * CELL, 8 * CELL), fps=10, kind=kind, ffmpeg=FFMPEG)
    size, seconds, seen = shown(page, target, "video/mp4")
    print(f"{kind}: mean error {mean_error(seen):.2f}")
    assert (size, seconds) == ((256, 256), pytest.approx(2.0, abs=0.05))
    assert mean_error(seen) <= 1.5


def test_a_browser_shows_a_loop_in_its_size_and_colours(page, tmp_path):
    made = portrait()
    webp.FORMAT.write(tmp_path, replace(made, motion=Motion(seconds=1.0, fps=5)), lambda _: None)
    size, _, seen = shown(page, tmp_path / "motion.webp", "image/webp")
    assert size == (512, 512)
    blocks = [each.reshape(16, 32, 16, 32, 3).mean((1, 3)) for each in (seen, made.photo.rgb)]
    print(f"webp: mean error {np.abs(blocks[0] - blocks[1]).mean():.2f}")
    assert np.abs(blocks[0] - blocks[1]).mean() <= 1.5
