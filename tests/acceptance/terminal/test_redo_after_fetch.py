"""Fifty bare photos, then a model: all of them are made again with it, and the page has no badge left."""

import hashlib
import json
import os
import subprocess

import pytest

from tests.acceptance.conftest import CHROMIUM
from tests.acceptance.home import MULTIPLANE, HotFolder, picture
from tests.acceptance.terminal.newcomer import NAME

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
PHOTOS = 50

pytestmark = pytest.mark.skipif(not os.environ.get("SOAK_TESTS") or CHROMIUM is None, reason="runs in make soak, by Chromium")


def run_until_all_are_done(home: HotFolder) -> None:
    subprocess.run([MULTIPLANE, "run", "--once"], env=home.environment, capture_output=True, timeout=1800, check=True)


def badges(home: HotFolder) -> int:
    """How many cards of the page say that the depth was estimated."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 30_000})
        page.goto((home.outbox / "index.html").as_uri())
        page.wait_for_selector(".card")
        found = page.locator(".card .badge").count()
        browser.close()
    return found


def depth_of(home: HotFolder, status: dict) -> str:
    """What the manifest of a job says about its depth."""
    return json.loads((home.job(status) / "result" / "layer_manifest.json").read_text())["depth"]["source"]


def sources(home: HotFolder, ids: set[str]) -> dict[str, str]:
    """The hash of every file in source/ of these jobs."""
    paths = [path for job_id in ids for path in (home.outbox / job_id / "source").iterdir()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_all_photos_that_were_estimated_are_made_again_with_the_model(newcomer: HotFolder) -> None:
    newcomer.settings["MULTIPLANE_WORKER__SPARE"] = "true"
    for number in range(PHOTOS):
        newcomer.drop(f"photo {number:02}.png", picture(seed=number), "num_layers: 2\nformats: []\n")
    run_until_all_are_done(newcomer)
    old = {status["job_id"] for status in newcomer.statuses()}
    assert len(old) == badges(newcomer) == PHOTOS
    before = sources(newcomer, old)

    assert newcomer.run("models", "fetch", NAME).returncode == 0
    assert newcomer.run("redo", "--guessed").returncode == 0
    run_until_all_are_done(newcomer)

    again = [status for status in newcomer.statuses() if status["job_id"] not in old]
    assert len(again) == PHOTOS
    assert {depth_of(newcomer, status) for status in again} == {"model"}
    assert badges(newcomer) == 0
    assert sources(newcomer, old) == before
