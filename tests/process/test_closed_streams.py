"""Commands that were started with closed standard streams, as some schedulers and scripts start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-", "errors and input": "<&- 2>&-"}


@pytest.mark.parametrize(("words", "status"), [(("jobs", "--json"), 0), (("show", "nosuch", "--json"), 4)])
@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED)
def test_a_command_ends_as_it_would_and_loses_only_what_nobody_can_read(
    tmp_path: Path, words: tuple[str, ...], status: int, closed: str
) -> None:
    (tmp_path / "inbox").mkdir()
    command = [sys.executable, "-m", "daemon.cli", *words, "--home", str(tmp_path)]
    environment = os.environ | {"MULTIPLANE_CONFIG": os.devnull}
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, text=True, env=environment)
    assert done.returncode == status, done.stderr
    assert done.stdout == ("[]\n" if status == 0 and closed != CLOSED["stdout"] else "")
    assert bool(done.stderr) == (status == 4 and "2>" not in closed)
