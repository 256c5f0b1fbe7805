"""What `check` finds before anything is dropped: all mistakes of a file, and what is asked for but not there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli.answers import CheckedFile
from daemon.cli.app import command_line


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes files into a folder and checks one of them: the exit status and what is printed, without the marks of commands."""
    monkeypatch.setenv("MULTIPLANE_CONFIG", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def checked(name: str, data: str | bytes, *beside: str) -> tuple[int, str]:
        for each in beside:
            (tmp_path / each).write_bytes(b"x")
        (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
        done = CliRunner().invoke(command_line("check"), ["check", str(tmp_path / name), "--home", str(tmp_path / "home")])
        return done.exit_code, done.output

    return checked


def test_all_mistakes_are_listed_each_in_its_line(checked) -> None:
    status, told = checked("job.yaml", "num_layer: 3\nmode: paintery\nstyle: watercolour\nid: x\n")
    lines = [line.strip() for line in told.splitlines() if "job.yaml, line" in line]
    assert [line.removeprefix("spec_invalid: ").partition(":")[0] for line in lines] == [
        f"job.yaml, line {n}" for n in (1, 2, 3, 4)
    ]
    assert (status, "Correct them" in told) == (1, True)


def test_a_model_that_is_not_there_is_found(checked) -> None:
    for field, word in (("matting: model", "weights_missing"), ("depth: model", "weights_missing"), ("depth: cues", "ok")):
        status, told = checked("a.yaml", f"{field}\n")
        assert (status, word in told) == (int(word != "ok"), True), told
    assert "matting: model" in checked("a.yaml", "matting: model\n")[1]


def test_a_depth_picture_that_is_not_there_is_found_or_said_to_be_unknown(checked) -> None:
    status, told = checked("photo.yaml", "depth: file\n")
    assert (status, "Not checked" in told, "photo.depth.png" in told) == (0, True, True)
    status, told = checked("_preset.yaml", "depth: file\n")
    assert (status, "Not checked" in told) == (0, True)
    for sidecar in ("photo.yaml", "photo.jpg.yaml"):
        status, told = checked(sidecar, "depth: file\n", "photo.jpg")
        assert (status, "no photo.depth.png beside photo.jpg" in told) == (1, True), told
    assert checked("photo.yaml", "depth: file\n", "photo.depth.png")[0] == 0


def test_the_fault_of_a_depth_picture_is_called_that(checked) -> None:
    status, told = checked("photo.depth.png", b"")
    assert (status, "depth_unreadable: The depth picture photo.depth.png is empty." in told) == (1, True), told


def test_a_program_gets_the_error_as_a_status_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIPLANE_CONFIG", "")
    files = {"good.yaml": b"depth: cues\n", "bad.yaml": b"num_layer: 3\nid: x y\n", "cut.png": b"", "notes.txt": b"x"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in (*files, "missing.png")]
    words = ["check", "--json", "--home", str(tmp_path / "home"), *paths]
    done = CliRunner().invoke(command_line("check"), words)
    found = [CheckedFile.model_validate(one) for one in json.loads(done.stdout)]
    assert (done.exit_code, [one.file for one in found]) == (1, paths)
    codes = [one.error and one.error.code for one in found]
    assert codes == [None, "spec_invalid", "image_unreadable", "image_type", "source_missing"]
    assert [one.ok for one in found] == [code is None for code in codes]
    assert found[1].error.detail.count("\n") == 1
    assert all(one.error.hint for one in found if one.error)
