"""The page says how to start its own daemon, wherever its home is."""

import html
import json
import os
import re

from service_scene import Scene

from daemon.settings.typed_command import commands_anywhere


def test_the_page_of_a_wired_daemon_has_the_command_that_starts_it_for_its_home(tmp_path) -> None:
    scene = Scene(tmp_path / "a home of my own")
    scene.refresh()
    page = (scene.root / "index.html").read_text()
    (start,) = re.findall(r"const START = (\".*?\");\n", page)
    command = html.unescape(json.loads(start))
    assert command == commands_anywhere(scene.settings.paths.home, os.environ).typed("run")
    assert f"--home '{tmp_path / 'a home of my own'}'" in command
