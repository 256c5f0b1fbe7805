"""Hot folders for the tests, ended after each; and one browser for all page tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import HotFolder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium, started once for all pages."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        # Its profile lies in TMPDIR. In the C locale, Chromium's storage process crashes over and over if that is not ASCII.
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS, env=environment)
        yield started
        started.close()


def _end(folder: HotFolder) -> None:
    if folder.process and folder.process.poll() is None:
        folder.process.kill()
        folder.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[HotFolder]:
    """A home without a running daemon."""
    made = HotFolder(tmp_path / "home")
    yield made
    _end(made)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotFolder]:
    """A home with a daemon that all tests of a module share."""
    made = HotFolder(tmp_path_factory.mktemp("shared") / "home")
    made.start()
    yield made
    _end(made)
