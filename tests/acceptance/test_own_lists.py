"""The user's own styles and models, in files next to the settings: used, listed, and refused if they are wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import HotFolder, picture, until

STYLE = """mine:
  description: few broad strokes
  engine: strokes
  brushes: [0.05]
  threshold: 30
  length: [2, 6]
  curvature: 0.5
  opacity: 1
  jitter: {hue: 0, saturation: 0, value: 0}
  relief: 0
  paper: 0
"""
MODEL = """default_depth: studio
models:
  studio:
    use: depth
    path: weights
    licence: studio only
    commercial: false
    polarity: distance
    scale: relative
"""
SPEC = "mode: painterly\nstyle: mine\nnum_layers: 2\ndepth: cues\nformats: []\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HotFolder]:
    """A home with an empty settings file of the user's own."""
    made = HotFolder(tmp_path / "home")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "config.yaml").touch()
    made.settings["MULTIPLANE_CONFIG"] = str(tmp_path / "settings" / "config.yaml")
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def own(home: HotFolder, name: str) -> Path:
    return Path(home.settings["MULTIPLANE_CONFIG"]).with_name(name)


def test_a_list_at_fault_is_told_by_every_verb_in_the_same_sentence(home: HotFolder) -> None:
    assert home.run("run", "--once").returncode == 0
    own(home, "styles.yaml").write_text(STYLE.replace("mine", "oil"))
    refused = home.run("run", "--once")
    assert refused.returncode == 78
    sentence = refused.stderr.splitlines()[0].removeprefix("multiplane: ")
    assert sentence.startswith(f"The list of styles {own(home, 'styles.yaml')} is not valid: line 1: oil is already in ")
    assert (home.health() or {})["problem"] == sentence
    assert home.verb("waiting").stderr.splitlines()[0] == f"multiplane: {sentence}"
    (finding,) = json.loads(home.verb("doctor", "--json").stdout)["findings"]
    assert (finding["area"], finding["sentence"]) == ("settings", sentence)


def test_a_model_of_ones_own_is_listed_and_may_be_the_default(home: HotFolder) -> None:
    own(home, "models.yaml").write_text(MODEL)
    listed = json.loads(home.run("models", "list", "--json").stdout)
    assert [each["name"] for each in listed if each["default"]] == ["studio"]
    mine = listed[-1]
    assert (mine["name"], mine["licence"]) == ("studio", "studio only")
    assert mine["folder"] == str(own(home, "weights"))
    assert len(listed) > 1


def test_a_style_added_while_the_daemon_runs_is_there_for_the_next_drop(home: HotFolder) -> None:
    home.start()
    process = home.process
    own(home, "styles.yaml").write_text(STYLE)
    home.drop("photo.png", picture(), SPEC)
    status = home.ended("photo.png")
    assert status["state"] == "completed", status["error"]
    manifest = json.loads((home.job(status) / "result" / "layer_manifest.json").read_text())
    assert manifest["painterly"]["style"] == "mine"

    # A slip in the list: the daemon goes on with what it read, starts nothing new, and says what is wrong.
    own(home, "styles.yaml").write_text(STYLE + "oil: {}\n")
    home.drop("second.png", picture(), SPEC)
    until(lambda: "line 12: oil" in ((home.health() or {})["problem"] or ""))
    assert [each["state"] for each in home.of("second.png")] == ["pending"]
    own(home, "styles.yaml").write_text(STYLE)
    assert home.ended("second.png")["state"] == "completed"
    assert home.process is process
    assert home.is_alive()
