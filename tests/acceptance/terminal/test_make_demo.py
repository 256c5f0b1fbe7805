"""`make demo` and `make run` in a fresh clone, with the default model and without it.

`test_default_model` says what is real here.
"""

import re
import shutil
import subprocess
import sys

import pytest

from daemon.settings.layout import PROGRAM
from tests.acceptance.home import HotFolder
from tests.acceptance.terminal.newcomer import COMMIT, NAME, REPO, closed_address, manifest
from tests.process.models.hub import Hub


class Clone:
    """A fresh git clone, as far as `make demo` needs one, with its setup done."""

    def __init__(self, home: HotFolder) -> None:
        self.home = home
        (home.home / "tests").mkdir()
        for name in ("Makefile", "tests/demo.py"):
            shutil.copy2(PROGRAM / name, home.home / name)
        home.inbox.rmdir()  # the first start makes it, with its presets
        (home.home / ".venv").symlink_to(sys.prefix)
        (home.home / "ready").touch()

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make …` in the clone."""
        # What decides whether the set-up is done is not asked: it would install everything anew.
        words = ["make", "--assume-old=requirements.lock", "--assume-old=pyproject.toml", "READY=ready", *arguments]
        environ = {name: value for name, value in self.home.environment.items() if name not in ("MULTIPLANE_HOME", "MODEL")}
        return subprocess.run(
            words, cwd=self.home.home, env=environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip


@pytest.fixture
def clone(newcomer: HotFolder) -> Clone:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("requirements.lock", "pyproject.toml"):
        (newcomer.home / name).touch()
    return Clone(newcomer)


def test_make_demo_fetches_the_model_once_and_shows_a_bare_photo_cut_by_it(clone: Clone, hub: Hub) -> None:
    done = clone.make("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("Fetching"))
    for told in (NAME, "0.2 MB", "Apache-2.0", f"{hub.address}/{REPO}", "MODEL=none"):
        assert told in line
    assert f"depth: found by {REPO}" in done.stdout
    assert re.search(r"^  motorcycle\.png +\w.* …$", done.stdout, re.MULTILINE), "it says what is being done"
    depth = manifest(clone.home, "coffee.png")["depth"]
    assert (depth["source"], depth["model"], depth["revision"], depth["licence"]) == ("model", REPO, COMMIT, "Apache-2.0")
    assert manifest(clone.home, "motorcycle.png")["depth"]["source"] == "file"

    hub.asked.clear()
    again = clone.make("demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert hub.asked == []
    assert "Fetching" not in again.stderr
    assert len(clone.home.of("coffee.png")) == 2
    assert manifest(clone.home, "coffee.png")["depth"]["source"] == "model"


def test_make_demo_without_a_hub_estimates_and_ends_well(clone: Clone) -> None:
    clone.home.settings["HF_ENDPOINT"] = closed_address()
    done = clone.make("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "No depth model yet" in line)
    assert "cannot be reached" in line
    assert "depth: estimated without a model" in done.stdout
    assert manifest(clone.home, "coffee.png")["depth"]["source"] == "heuristic"


def test_make_demo_without_its_preset_says_how_to_get_it_back(clone: Clone) -> None:
    clone.home.inbox.mkdir()
    (clone.home.inbox / "mine").mkdir()  # an empty inbox would get the presets
    preset = clone.home.inbox / "photo in 4 layers"
    done = clone.make("demo", "MODEL=none")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    said, _, command = done.stderr.partition(" Get it back: ")
    assert said.endswith(f"The folder {preset} is missing.")
    subprocess.run(["sh", "-c", command.splitlines()[0]], check=True)
    assert (preset / "_preset.yaml").is_file()


def test_make_demo_in_a_folder_that_cannot_start_drops_nothing_and_says_why(clone: Clone) -> None:
    (clone.home.home / "outbox").touch()
    done = clone.make("demo", "MODEL=none")
    assert done.returncode != 0
    assert "The hot folder did not start" in done.stderr
    assert str(clone.home.home / "outbox") in done.stderr
    assert "Dropped" not in done.stdout


def test_make_leaves_the_model_out_where_it_is_told_to_and_nowhere_by_a_misspelling(clone: Clone) -> None:
    for target in ("demo", "run"):
        assert clone.make("-n", target, "MODEL=none").stdout.rstrip().endswith(" --no-model")
        assert "--no-model" not in clone.make("-n", target).stdout
        refused = clone.make("-n", target, "MODEL=no")
        assert refused.returncode != 0
        assert "MODEL can only be none" in refused.stderr
