"""Dask remembers nothing of tasks that are done, also if each comes alone, as photos that are dropped one by one."""

import subprocess
import sys
from pathlib import Path


def test_nothing_is_kept_of_a_task_that_came_alone() -> None:
    command = [sys.executable, Path(__file__).with_name("kept_by_dask.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert told.returncode == 0, told.stderr
    assert abs(float(told.stdout)) < 1, "objects more after each task"
