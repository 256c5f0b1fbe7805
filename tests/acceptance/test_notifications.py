"""A running daemon notifies about completed and failed jobs, through a program that records what it is given."""

import json
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder
from tests.programs import write_python_program

#: One JSON list of arguments a line. osascript and notify-send alike have title and text last.
NOTE_TAKER = """
import json, os, sys
with open({said!r}, "a") as file:
    file.write(json.dumps(sys.argv[-2:]) + "\\n")
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A home whose daemon finds the recording program in place of the system's."""
    programs, said = tmp_path / "bin", tmp_path / "said"
    programs.mkdir()
    for name in ("osascript", "notify-send"):
        write_python_program(programs / name, NOTE_TAKER.format(said=str(said)))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    wanted = {f"MULTIPLANE_NOTIFICATIONS__{kind}": "true" for kind in ("BATCHES", "SINGLES", "FAILURES")}
    with quick_folder(tmp_path / "home", **wanted) as folder:
        folder.start()
        yield folder, said


def told(said: Path) -> list[list[str]]:
    return [json.loads(line) for line in said.read_text().splitlines()] if said.exists() else []


def test_what_is_done_and_what_failed_is_told_once_each(watched: tuple[QuickFolder, Path]) -> None:
    folder, said = watched
    folder.pair("beach $(id) 日本.png")
    folder.pair("wrong.png", sidecar=b"num_layers: 99\n")
    (folder.inbox / "Holiday").mkdir()
    folder.write("one.png", b"good 1", folder="Holiday")
    folder.write("two.png", b"good 2", folder="Holiday")
    folder.write("job.yaml", folder="Holiday")
    until(lambda: len(told(said)) >= 3, 40)
    notes = dict(told(said))
    assert set(notes) == {"Multiplane: layers", "Multiplane: a picture failed", "Multiplane: a batch is done"}
    assert notes["Multiplane: layers"].startswith("The layers are there: beach $(id) 日本.png")
    failed = notes["Multiplane: a picture failed"]
    assert failed.startswith("wrong.png")
    assert "num_layers" in failed
    assert notes["Multiplane: a batch is done"] == "Holiday: 2 done"
    # The daemon waited for none of it, and goes on.
    folder.pair("later.png")
    folder.done("later.png")
    until(lambda: len(told(said)) == 4, 20)
