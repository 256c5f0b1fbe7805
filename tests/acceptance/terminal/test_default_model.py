"""The default depth model is fetched before the first photo is processed.

The real command line and the real client of the hub, against a hub on this machine that serves the files of the default model
under their real names, with random weights. A list of models of the user's own knows their sizes and hashes.
"""

import json
import os

from tests.acceptance.home import HotFolder, picture, until
from tests.acceptance.terminal.newcomer import NAME, REPO, is_installed, manifest, run_on_terminal, sentences, type_elsewhere
from tests.process.models.hub import Hub


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
