"""Each test answers for its own processes alone."""

import contextlib
import os

import psutil
import pytest


@pytest.fixture(autouse=True)
def no_zombies_of_others() -> None:
    """Reap what an earlier test's processes left in the process table, so that "nothing is left" speaks of this test."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
