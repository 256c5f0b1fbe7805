"""Each test must end and reap every process that it started."""

from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail a test that leaves a new child process, even a zombie; end that process before the next test."""
    before = set(psutil.Process().children())
    yield
    left = [child for child in psutil.Process().children() if child not in before]
    told = f"the test leaves processes behind: {left}"
    for child in left:
        child.kill()
        child.wait(5)
    assert not left, told
