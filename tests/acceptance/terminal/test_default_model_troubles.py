"""Nothing waits in vain for a default model that cannot be had: one line says why, and the work goes on.

`test_default_model` says what is real here.
"""

import re

import pytest

from tests.acceptance.home import HotFolder, picture
from tests.acceptance.terminal.newcomer import REPO, closed_address, is_installed, manifest, run_on_terminal, type_elsewhere
from tests.acceptance.terminal.terminal import plain_lines
from tests.process.models.hub import Hub


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
    (line,) = (line for line in plain_lines(said) if "No depth model yet" in line)
    assert why in line
    assert "Traceback" not in said
    assert manifest(newcomer, "photo.png")["depth"]["source"] == "heuristic"


def test_the_command_that_is_printed_fetches_the_model_for_this_home(newcomer: HotFolder, hub: Hub) -> None:
    hub.broken = 500
    _, said = run_on_terminal(newcomer)
    command = re.search(r"To fetch the model later: (.*)", said)
    assert command
    hub.broken = None
    type_elsewhere(newcomer, command[1])
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
