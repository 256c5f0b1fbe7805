"""A preset folder with a wrong file, named by `submit --preset`."""

import os

from PIL import Image
from typer.testing import CliRunner

from daemon.cli.app import command_line


def test_the_file_is_named_once_and_the_remedy_speaks_of_no_job(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    folder = tmp_path / "home" / "inbox" / "mine"
    folder.mkdir(parents=True)
    (folder / "_preset.yaml").write_text("num_layer: 3\n")
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    words = ["submit", str(tmp_path / "photo.png"), "--preset", "mine", "--home", str(tmp_path / "home")]
    done = CliRunner().invoke(command_line("submit"), words)
    assert done.exit_code == 2
    assert done.stderr.startswith("multiplane: _preset.yaml, line 1: unknown field")
    assert f"Correct {folder}/_preset.yaml, then submit again." in done.stderr
    assert "retry" not in done.stderr
    assert "source" not in done.stderr
