"""A new home has the shipped presets; one that a person made is left as it is."""

import os
from pathlib import Path

import pytest
from service_scene import SETTINGS

from daemon.fs import LocalFiles
from daemon.outbox import Outbox
from daemon.service.presence import Presence
from daemon.settings import load
from daemon.settings.layout import PROGRAM

SHIPPED = {path.parent.name for path in (PROGRAM / "inbox").glob("*/_preset.yaml")}


def prepared(home: Path) -> set[str]:
    fs, settings = LocalFiles(), load(home, SETTINGS)
    Presence(fs, settings, Outbox(fs, settings.paths.outbox_bytes)).prepare()
    return {name for name in os.listdir(home / "inbox") if name != ".multiplane"}


def test_a_new_inbox_has_the_shipped_presets(tmp_path) -> None:
    assert {"photo in 4 layers", "oil painting"} <= SHIPPED
    assert prepared(tmp_path) == SHIPPED
    for name in SHIPPED:
        parts = (name, "_preset.yaml")
        assert (tmp_path / "inbox").joinpath(*parts).read_bytes() == (PROGRAM / "inbox").joinpath(*parts).read_bytes()


@pytest.mark.parametrize("content", [[], ["mine.jpg"]])
def test_an_inbox_that_was_there_before_gets_nothing_but_its_marker(tmp_path, content) -> None:
    (tmp_path / "inbox").mkdir()
    for name in content:
        (tmp_path / "inbox" / name).touch()
    assert prepared(tmp_path) == set(content)
