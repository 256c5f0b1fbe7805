"""A fixture for tests that must hold for both ways in which a worker is made."""

import sys
from collections.abc import Iterator

import pytest
import supervised
from loguru import logger


@pytest.fixture(
    params=[
        False,
        pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="workers are forked only on Linux")),
    ],
    ids=["started", "forked"],
)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test twice: with workers that are started as programs, and with workers that a template forks."""
    monkeypatch.setattr(supervised, "FORKED", request.param)
    monkeypatch.setattr(supervised, "MADE", [])
    monkeypatch.setattr(supervised, "WARNED", [])
    sink = logger.add(lambda message: supervised.WARNED.append(message.record["message"]), level="WARNING")
    yield
    logger.remove(sink)
    for each in supervised.MADE:
        each.drop_templates()
