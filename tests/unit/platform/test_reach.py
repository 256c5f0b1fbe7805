"""Who cannot run an interpreter learns its file, and the first folder that bars the way."""

import os
from pathlib import Path

import pytest

from daemon.platform import reach
from daemon.platform.reach import why_not_run


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A virtual environment whose interpreter is in the home of another user. Yields what must not be entered or run."""
    base = Path(os.path.realpath(tmp_path))
    file = base / "anna" / "versions" / "python3.12"
    file.parent.mkdir(parents=True)
    file.touch()
    (base / "venv").mkdir()
    (base / "venv" / "python3").symlink_to("../anna/versions/python3.12")
    (base / "venv" / "python").symlink_to("python3")
    shut = set[str]()
    monkeypatch.setattr(reach, "_may", lambda path: path not in shut)
    return base, shut


def test_an_interpreter_that_can_be_run_or_is_not_there_is_not_barred(installed):
    base, _ = installed
    assert why_not_run(f"{base}/venv/python") is None
    assert why_not_run(f"{base}/venv/nothing") is None
    assert why_not_run(f"{base}/nothing/python") is None


def test_the_first_folder_that_bars_the_way_through_the_links_is_named(installed):
    base, shut = installed
    shut |= {f"{base}/anna", f"{base}/anna/versions"}
    file = f"{base}/anna/versions/python3.12"
    assert why_not_run(f"{base}/venv/python") == f"{file} cannot be reached by this user, who may not enter {base}/anna"
    shut.add(f"{base}/venv")
    assert why_not_run(f"{base}/venv/python") == (
        f"{base}/venv/python cannot be reached by this user, who may not enter {base}/venv"
    )


def test_a_file_that_may_not_be_run_is_named_itself(installed):
    base, shut = installed
    shut.add(f"{base}/anna/versions/python3.12")
    assert why_not_run(f"{base}/venv/python") == f"{base}/anna/versions/python3.12 may not be run by this user"


def test_links_in_a_circle_bar_nobody(installed):
    base, _ = installed
    (base / "round").symlink_to("round")
    assert why_not_run(f"{base}/round") is None
