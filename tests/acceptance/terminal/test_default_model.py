"""The default depth model is fetched before the first photo is processed, and nothing waits for it longer than it should.

The real command line and the real client of the hub, against a hub on this machine that serves the files of the default model
under their real names, with random weights. A list of models of the user's own knows their sizes and hashes.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.settings.layout import PROGRAM
from pipeline import weights
from tests import depth_models
from tests.acceptance.home import HotFolder, picture, until
from tests.acceptance.terminal.terminal import Terminal, plain
from tests.process.models.hub import Hub

NAME = "depth-anything-v2-small"
SHIPPED = weights.catalogue().models[NAME]
REPO, COMMIT = str(SHIPPED.repo), str(SHIPPED.revision)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, bytes]:
    """The model's files as the hub has them."""
    return depth_models.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def hub(published) -> Iterator[Hub]:
    """A hub that has the model at the listed commit."""
    with Hub({REPO: dict(published)}, commit=COMMIT) as served:
        yield served


@pytest.fixture
def newcomer(folder: HotFolder, hub: Hub, published, tmp_path, monkeypatch) -> HotFolder:
    """A home without any model; its user has one models folder for all homes."""
    for name in ("MULTIPLANE_FOLDERS__MODELS", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "XDG_DATA_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    entry = SHIPPED.model_dump(exclude_none=True) | {
        "bytes": sum(map(len, published.values())),
        "sizes": {name: len(data) for name, data in published.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in published.items()},
    }
    listed = tmp_path / "models.yaml"
    listed.write_text(json.dumps({"default_depth": NAME, "models": {NAME: entry}}))
    folder.settings |= {
        "HOME": str(tmp_path / "user"), "HF_ENDPOINT": hub.address, "NO_PROXY": "127.0.0.1,localhost",
        "MULTIPLANE_FOLDERS__CATALOGUE": str(listed), "MULTIPLANE_WORKER__SPARE": "false",
    }  # fmt: skip
    return folder


def models_of(home: HotFolder) -> Path:
    """The models folder that a home uses."""
    listed = json.loads(home.run("models", "list", "--json").stdout)
    return Path(next(each["folder"] for each in listed if each["name"] == NAME)).parent


def is_installed(home: HotFolder) -> bool:
    return home.run("models", "verify", NAME).returncode == 0


def sentences(said: str, name: str = "model") -> list[str]:
    """The lines of a terminal that mention the model, unwrapped."""
    return [line for line in plain(said) if name in line and "Asking" not in line]


def run_on_terminal(home: HotFolder, *arguments: str) -> tuple[int, str]:
    """`multiplane run --once` on a terminal: exit status, and what it said."""
    terminal = Terminal(home, "run", "--once", *arguments, columns=400)
    return terminal.end(), terminal.said


def manifest(home: HotFolder, image: str) -> dict:
    """The manifest of the newest job of a picture."""
    status = home.of(image)[-1]
    assert status["state"] == "completed", status
    return json.loads((home.job(status) / "result" / "layer_manifest.json").read_text())


class Clone:
    """A fresh git clone, as far as `make demo` needs one, with its setup done."""

    def __init__(self, home: HotFolder) -> None:
        self.home = home
        (home.home / "tests").mkdir()
        for name in ("Makefile", "tests/demo.py"):
            shutil.copy2(PROGRAM / name, home.home / name)
        for preset in ("photo in 4 layers", "oil painting"):
            shutil.copytree(PROGRAM / "inbox" / preset, home.inbox / preset)
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
    shutil.rmtree(clone.home.inbox / "photo in 4 layers")
    done = clone.make("demo", "MODEL=none")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"The folder {clone.home.inbox / 'photo in 4 layers'} is missing. Get it back: git checkout -- inbox" in done.stderr


def test_make_leaves_the_model_out_where_it_is_told_to_and_nowhere_by_a_misspelling(clone: Clone) -> None:
    for target in ("demo", "run"):
        assert clone.make("-n", target, "MODEL=none").stdout.rstrip().endswith(" --no-model")
        assert "--no-model" not in clone.make("-n", target).stdout
        refused = clone.make("-n", target, "MODEL=no")
        assert refused.returncode != 0
        assert "MODEL can only be none" in refused.stderr


def test_two_homes_of_a_user_share_the_model(newcomer: HotFolder, hub: Hub, tmp_path) -> None:
    assert run_on_terminal(newcomer)[0] == 0
    assert is_installed(newcomer)
    other = HotFolder(tmp_path / "other home")
    other.settings = dict(newcomer.settings)
    hub.asked.clear()
    other.drop("photo.png", picture())
    assert run_on_terminal(other)[0] == 0
    assert hub.asked == []
    assert manifest(other, "photo.png")["depth"]["model"] == REPO


def test_a_run_on_a_terminal_fetches_with_a_bar_and_a_run_elsewhere_does_not(newcomer: HotFolder, hub: Hub) -> None:
    assert newcomer.run("run", "--once").returncode == 0
    assert run_on_terminal(newcomer, "--no-model")[0] == 0
    assert hub.asked == []
    hub.drips["model.safetensors"] = (20_000, 0.1)  # long enough for a bar to be drawn
    status, said = run_on_terminal(newcomer)
    assert status == 0
    assert "━" in said
    assert [line for line in sentences(said, NAME) if "Fetching" in line or "installed" in line] == sentences(said, NAME)
    assert is_installed(newcomer)


def closed_address() -> str:
    """A local address at which nothing listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{made.getsockname()[1]}"


def nobody_there(home: HotFolder, hub: Hub) -> None:
    home.settings["HF_ENDPOINT"] = closed_address()


def unknown_host(home: HotFolder, hub: Hub) -> None:
    home.settings["HF_ENDPOINT"] = "http://hub.invalid"


def switched_off(home: HotFolder, hub: Hub) -> None:
    home.settings["HF_HUB_OFFLINE"] = "1"


def broken(home: HotFolder, hub: Hub) -> None:
    hub.broken = 500


def silent(home: HotFolder, hub: Hub) -> None:
    hub.stalls["api"] = 0


def dripping(home: HotFolder, hub: Hub) -> None:
    """A hub that takes ten minutes to answer, but never pauses for long."""
    hub.drips["api"] = (1, 1.0)


def captive_portal(home: HotFolder, hub: Hub) -> None:
    hub.portal = "page"


def captive_portal_later(home: HotFolder, hub: Hub) -> None:
    hub.portal = "file"


def other_weights(home: HotFolder, hub: Hub) -> None:
    hub.repos[REPO]["model.safetensors"] = hub.repos[REPO]["model.safetensors"][:-1] + b"?"


def other_commit(home: HotFolder, hub: Hub) -> None:
    hub.commit = "f" * 40


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (nobody_there, "cannot be reached"),
        (unknown_host, "cannot be reached"),
        (switched_off, "HF_HUB_OFFLINE"),
        (broken, "HTTP 500"),
        (silent, "did not answer within 5 s"),
        (dripping, "did not answer within 5 s"),
        (captive_portal, "the log-in page of this network"),
        (captive_portal_later, "the log-in page of this network"),
        (other_weights, "another model.safetensors"),
        (other_commit, "no depth-anything/Depth-Anything-V2-Small-hf at revision"),
    ],
)
def test_whatever_the_hub_does_one_line_tells_it_and_work_goes_on(newcomer: HotFolder, hub: Hub, spoil, why) -> None:
    spoil(newcomer, hub)
    newcomer.drop("photo.png", picture())
    status, said = run_on_terminal(newcomer)
    assert status == 0, said
    (line,) = (line for line in plain(said) if "No depth model yet" in line)
    assert why in line
    assert "Traceback" not in said
    assert manifest(newcomer, "photo.png")["depth"]["source"] == "heuristic"


def type_elsewhere(home: HotFolder, command: str) -> None:
    """Run a printed command in another folder, in a terminal whose environment only names the hub."""
    environ = {"PATH": "/usr/bin:/bin"} | {name: home.settings[name] for name in ("HOME", "HF_ENDPOINT", "NO_PROXY")}
    done = subprocess.run(["sh", "-c", command], cwd="/", env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_that_is_printed_fetches_the_model_for_this_home(newcomer: HotFolder, hub: Hub) -> None:
    hub.broken = 500
    _, said = run_on_terminal(newcomer)
    command = re.search(r"To fetch the model later: (.*)", said)
    assert command
    hub.broken = None
    type_elsewhere(newcomer, command[1])
    assert is_installed(newcomer)


def test_the_page_has_a_command_that_works_until_there_is_a_model_which_the_next_photo_gets(newcomer: HotFolder) -> None:
    newcomer.start()
    newcomer.drop("first.png", picture(seed=1))
    assert newcomer.ended("first.png")["depth_source"] == "heuristic"
    command = newcomer.health()["fetch_model"]
    assert f'"fetch":{json.dumps(command)}' in (newcomer.outbox / ".gallery" / "live.js").read_text()
    type_elsewhere(newcomer, command)
    until(lambda: newcomer.health()["fetch_model"] is None)
    newcomer.drop("second.png", picture(seed=2))
    assert newcomer.ended("second.png")["depth_source"] == "model"
    assert '"fetch":null' in (newcomer.outbox / ".gallery" / "live.js").read_text()
    newcomer.stop()


def test_a_hub_that_is_too_slow_is_given_up_and_the_next_run_goes_on_with_what_came(newcomer: HotFolder, hub: Hub) -> None:
    hub.drips["model.safetensors"] = (1000, 0.2)  # 5 kB a second
    status, said = run_on_terminal(newcomer)
    assert status == 0
    (line,) = (line for line in plain(said) if "No depth model yet" in line)
    assert "is too slow" in line
    (part,) = models_of(newcomer).glob(".fetch-*/.*.part")
    kept = part.stat().st_size
    assert kept > 0
    hub.drips.clear()
    hub.asked.clear()
    status, said = run_on_terminal(newcomer)
    assert status == 0
    assert "already here" in said
    assert [each.range for each in hub.asked if "/cdn/" in each.path] == [f"bytes={kept}-"]
    assert is_installed(newcomer)


def stalled_fetch(home: HotFolder, hub: Hub) -> tuple[Terminal, psutil.Process]:
    """A run whose fetch has half of the weights and waits for more: the terminal, and the fetching process."""
    hub.stalls["model.safetensors"] = 100_000
    terminal = Terminal(home, "run", "--once", columns=400)
    assert hub.stalled.wait(60)
    until(lambda: any(part.stat().st_size for part in models_of(home).glob(".fetch-*/.*.part")))
    (fetching,) = psutil.Process(terminal.process.pid).children()
    return terminal, fetching


def goes_on(home: HotFolder, hub: Hub) -> None:
    """The next run requests only the rest, and then has the model."""
    hub.stalls.clear()
    hub.asked.clear()
    assert run_on_terminal(home)[0] == 0
    (asked,) = (each.range for each in hub.asked if "/cdn/" in each.path)
    assert asked
    assert is_installed(home)


def test_ctrl_c_ends_it_and_the_next_run_goes_on(newcomer: HotFolder, hub: Hub) -> None:
    terminal, fetching = stalled_fetch(newcomer, hub)
    os.killpg(terminal.process.pid, signal.SIGINT)  # as the terminal does
    assert terminal.end() == 128 + signal.SIGINT
    assert "What was already fetched is kept" in terminal.said
    assert not fetching.is_running()
    assert not newcomer.health()
    goes_on(newcomer, hub)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_fetches_no_longer_and_the_next_run_goes_on(newcomer: HotFolder, hub: Hub, number) -> None:
    terminal, fetching = stalled_fetch(newcomer, hub)
    terminal.process.send_signal(number)
    until(lambda: "Interrupted" in terminal.read())  # and not given up because the hub is slow
    terminal.end()
    until(lambda: not fetching.is_running() or fetching.status() == psutil.STATUS_ZOMBIE)
    goes_on(newcomer, hub)


def test_a_fetch_that_is_killed_lets_the_run_go_on(newcomer: HotFolder, hub: Hub) -> None:
    terminal, fetching = stalled_fetch(newcomer, hub)
    fetching.kill()
    assert terminal.end() == 0
    goes_on(newcomer, hub)


class SmallDisk:
    """A mounted disk of this size."""

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        place.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", f"size={size}", "multiplane-test", str(place)]
        if shutil.which("mount") is None or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here")

    def fill(self) -> None:
        """Fill the disk to the last page."""
        with (self.place / "filler").open("ab", buffering=0) as file:
            try:
                while file.write(bytes(1 << 12)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)


def test_a_disk_without_room_for_the_model_is_told_before_anything_comes(newcomer: HotFolder, hub: Hub, tmp_path) -> None:
    disk = SmallDisk(tmp_path / "disk", 100_000)
    try:
        newcomer.settings["MULTIPLANE_FOLDERS__MODELS"] = str(disk.place / "models")
        status, said = run_on_terminal(newcomer)
        assert status == 0
        (line,) = (line for line in plain(said) if "No depth model yet" in line)
        assert "not enough space" in line
        assert hub.downloads("model.safetensors") == []
    finally:
        disk.unmount()


def test_a_disk_that_fills_up_on_the_way_is_told_and_room_is_all_that_is_missing(newcomer: HotFolder, hub: Hub, tmp_path) -> None:
    disk = SmallDisk(tmp_path / "disk", 1 << 20)
    try:
        newcomer.settings["MULTIPLANE_FOLDERS__MODELS"] = str(disk.place / "models")
        terminal, _ = stalled_fetch(newcomer, hub)
        disk.fill()
        hub.stalls.clear()
        hub.go_on.set()
        assert terminal.end() == 0
        (line,) = (line for line in plain(terminal.said) if "No depth model yet" in line)
        assert "is full" in line
        (disk.place / "filler").unlink()
        goes_on(newcomer, hub)
    finally:
        disk.unmount()


def test_a_home_that_has_a_daemon_is_not_fetched_for_again(newcomer: HotFolder, hub: Hub) -> None:
    newcomer.start()
    status, _ = run_on_terminal(newcomer)
    assert status == os.EX_TEMPFAIL
    assert hub.asked == []
    newcomer.stop()


def test_installing_the_service_fetches_the_model_on_no_terminal_as_well(newcomer: HotFolder, hub: Hub, tmp_path) -> None:
    """The service manager refuses everything, so that nothing is installed on this machine."""
    for name in ("systemctl", "launchctl"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    newcomer.settings |= {"PATH": f"{tmp_path}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert newcomer.run("service", "install", "--no-model").returncode == 71
    assert hub.asked == []
    done = newcomer.run("service", "install")
    assert done.returncode == 71
    assert f"Fetching {NAME}" in done.stderr
    assert is_installed(newcomer)


def test_a_models_folder_that_cannot_be_made_stops_no_job(newcomer: HotFolder, tmp_path) -> None:
    (tmp_path / "file").touch()
    newcomer.settings["MULTIPLANE_FOLDERS__MODELS"] = str(tmp_path / "file" / "models")
    newcomer.drop("photo.png", picture())
    status, said = run_on_terminal(newcomer)
    assert status == 0, said
    assert newcomer.ended("photo.png")["state"] == "completed"
    assert "No depth model yet" in said
    assert "the folder for models" in said
