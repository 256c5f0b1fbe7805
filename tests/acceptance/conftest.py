"""Hot folders for the tests, and their end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import HotFolder


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
