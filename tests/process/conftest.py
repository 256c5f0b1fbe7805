"""Each test answers for its own processes: what it started, it has ended and reaped."""

from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail the test after which there is a child process, be it a zombie, that was not there before; end it for the next test."""
    before = set(psutil.Process().children())
    yield
    left = [child for child in psutil.Process().children() if child not in before]
    told = f"the test leaves processes behind: {left}"
    for child in left:
        child.kill()
        child.wait(5)
    assert not left, told
