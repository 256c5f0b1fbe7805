"""Who can read published files: the same for every umask of the daemon."""

import sys
from pathlib import Path

import pytest

from tests.acceptance.quick import quick_folder

UNDER = "import os, sys; os.umask(int(sys.argv[1], 8)); os.execv(sys.argv[2], sys.argv[2:])"


@pytest.mark.parametrize("umask", ["077", "022", "002"])
def test_what_is_published_can_be_read_by_whoever_may_enter_and_the_state_follows_the_umask(tmp_path: Path, umask: str) -> None:
    with quick_folder(tmp_path / "home") as folder:
        folder.start([sys.executable, "-c", UNDER, umask])
        folder.pair("photo.jpg")
        status = folder.done("photo.jpg", 30)
        folder.stop()
        source = folder.job(status) / "source"
        for path in folder.outbox.rglob("*"):
            if path.parent == source:
                continue  # originals keep their own rights
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
        state = [path for path in (folder.home / ".state").rglob("*") if path.is_file()]
        assert state
        if umask == "077":
            assert not [path for path in state if path.stat().st_mode & 0o077]
