"""The real daemon tells a command about each job and delivers its result, also if it is killed again and again."""

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.crash.homes import RealHome, sha256, wait_until

SOAK = "SOAK_TESTS" in os.environ
#: Appends one line for each job: its id as its status has it, its state, and its folder. It takes a moment, as real commands do.
SCRIPT = """\
#!/bin/sh
status=$(cat)
sleep 0.05
id=$(printf %s "$status" | sed -n 's/^  "job_id": "\\(.*\\)",$/\\1/p')
state=$(printf %s "$status" | sed -n 's/^  "state": "\\(.*\\)",$/\\1/p')
printf '%s %s %s %s\\n' "$1" "$id" "$state" "$2" >> "$(dirname "$0")/lines"
"""


@pytest.fixture
def home(tmp_path):
    home = RealHome(tmp_path / "home")
    home.path.mkdir()
    script = tmp_path / "tell me"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    (tmp_path / "delivered").mkdir()
    home.variables = {
        "MULTIPLANE_HOOKS__ON_COMPLETED": json.dumps([str(script), "done"]),
        "MULTIPLANE_HOOKS__ON_FAILED": json.dumps([str(script), "bad"]),
        "MULTIPLANE_DELIVER__FOLDER": str(tmp_path / "delivered"),
    }
    return home


def lines(home: RealHome) -> list[str]:
    path = home.path.parent / "lines"
    return path.read_text().splitlines() if path.exists() else []


def delivered(home: RealHome) -> dict[str, Path]:
    return {path.name: path for path in (home.path.parent / "delivered").iterdir()}


def check_delivered(home: RealHome) -> None:
    """Check that each result was delivered once, whole, and that nothing unfinished is left."""
    wanted = Counter()
    for job in home.jobs().values():
        status = home.status(job)
        if status["state"] != "completed":
            continue
        folder = Path(status["delivered"])
        assert folder == home.path.parent / "delivered" / Path(status["source"]["image"]).stem
        wanted[folder.name] += 1
        for output in status["outputs"]:
            assert sha256(folder / Path(output["path"]).relative_to("result")) == output["sha256"]
        assert sha256(folder / "layer_manifest.json") == sha256(job / status["manifest"])
    assert wanted == Counter(delivered(home).keys())


def test_a_command_hears_of_every_job_and_each_result_is_delivered_although_the_daemon_is_killed(home):
    """Six jobs and two kills; a hundred jobs and many kills in the heavier form."""
    chance = random.Random(22)
    for number in range(100 if SOAK else 6):
        home.drop(f"photo {number:03}", b"good %d" % number)
    kills = 0
    while kills < (40 if SOAK else 2):
        process = home.start()
        before = len(lines(home))
        wait_until(lambda before=before, process=process: len(lines(home)) > before or process.poll() is not None, 20)
        time.sleep(chance.random() * 0.1)
        process.kill()
        process.communicate()
        kills += 1
    status, said = home.run("--once", seconds=120)
    # A job that ran at three of the kills has failed.
    assert status in (0, 1), said
    assert "Traceback" not in said, said
    assert home.check_ended()["completed"] > len(home.dropped) // 4
    told = Counter(lines(home))
    words = {job: home.status(job)["state"] for job in home.jobs().values()}
    assert set(told) == {f"{'done' if state == 'completed' else 'bad'} {job.name} {state} {job}" for job, state in words.items()}
    assert all(count <= 1 + kills for count in told.values())
    check_delivered(home)


def test_a_command_that_hangs_dies_with_the_daemon_and_nothing_that_it_started_stays(home, tmp_path):
    pids = tmp_path / "pids"
    hangs = f"sleep 600 & echo $! $$ > '{pids}.part'; mv '{pids}.part' '{pids}'; wait"
    home.variables["MULTIPLANE_HOOKS__ON_COMPLETED"] = json.dumps(["/bin/sh", "-c", hangs])
    home.drop("photo", b"good one")
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = home.start()
        wait_until(pids.exists, 20)
        several = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
        process.send_signal(number)
        process.communicate()
        _gone, alive = psutil.wait_procs(several, timeout=20)
        assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE], number
        pids.unlink()
