"""A fetch of the default model that a person, a signal or a full disk cuts off: what came is kept, and the next run goes on.

`test_default_model` says what is real here.
"""

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.acceptance.home import HotFolder, until
from tests.acceptance.terminal.newcomer import is_installed, models_of, run_on_terminal
from tests.acceptance.terminal.terminal import Terminal, plain_lines
from tests.process.models.hub import Hub


def test_a_hub_that_is_too_slow_is_given_up_and_the_next_run_goes_on_with_what_came(newcomer: HotFolder, hub: Hub) -> None:
    hub.drips["model.safetensors"] = (1000, 0.2)  # 5 kB a second
    status, said = run_on_terminal(newcomer)
    assert status == 0
    (line,) = (line for line in plain_lines(said) if "No depth model yet" in line)
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
    models = models_of(home)  # asked before: a hub is given up as too slow after a few seconds
    terminal = Terminal(home, "run", "--once", columns=400)
    assert hub.stalled.wait(60)
    until(lambda: any(part.stat().st_size for part in models.glob(".fetch-*/.*.part")))
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
        (line,) = (line for line in plain_lines(said) if "No depth model yet" in line)
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
        (line,) = (line for line in plain_lines(terminal.said) if "No depth model yet" in line)
        assert "is full" in line
        (disk.place / "filler").unlink()
        goes_on(newcomer, hub)
    finally:
        disk.unmount()
