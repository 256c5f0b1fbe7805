"""Why a daemon does not start: causes that may pass are distinguished from those that need a person."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from daemon.cli.startup_refusal import EXIT_DISK, EXIT_PERMISSION, check_interpreter, explained, refuse
from daemon.errors import Refusal
from daemon.fs import LocalFiles, make_folders
from daemon.journal import hold_lock
from daemon.outbox import Outbox
from daemon.outbox.ownership import Ownership, who
from daemon.platform import reach
from daemon.settings import load


@pytest.mark.parametrize(
    ("number", "path", "status"),
    [
        (errno.EACCES, "/Volumes/A share that is not mounted/Multiplane", EXIT_DISK),
        (errno.EACCES, b"/Volumes/A share that is not mounted", EXIT_DISK),
        (errno.EACCES, "/Volumes", EXIT_PERMISSION),
        (errno.EPERM, "/Users/me/Desktop/Multiplane", EXIT_PERMISSION),
        (errno.EIO, "/home/me/Multiplane", EXIT_DISK),
    ],
)
def test_a_share_that_is_not_mounted_yet_may_pass_and_a_missing_permission_does_not(
    number: int, path: str | bytes, status: int
) -> None:
    refusal = explained(OSError(number, os.strerror(number), path))
    assert refusal.exit_status == status
    assert os.fsdecode(path) in refusal.message
    assert refusal.hint


def test_an_interpreter_that_cannot_be_reached_is_named_with_the_folder_that_bars_the_way(monkeypatch) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), sys.executable)
    assert "cannot be read or written" in explained(denied).message
    monkeypatch.setattr(reach, "_may", lambda path: path != "/")
    with pytest.raises(Refusal) as refused:
        check_interpreter()
    for refusal in (explained(denied), refused.value):
        assert refusal.exit_status == EXIT_PERMISSION
        assert refusal.message.endswith("cannot be reached by this user, who may not enter /")
        assert sys.executable in refusal.message


HOLD = "import os, sys; from daemon.fs import LocalFiles; from daemon.journal import hold_lock\n" + (
    "hold_lock(LocalFiles(), os.fsencode(sys.argv[1]), os.getpid()); print('held', flush=True); sys.stdin.read()"
)


def test_a_refusal_is_written_only_where_no_other_daemon_runs(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    for folder in (settings.paths.outbox, settings.paths.state):
        folder.mkdir(parents=True)
    (settings.paths.outbox / ".multiplane").touch()
    health = settings.paths.outbox / "daemon.json"

    def refused() -> bool:
        with pytest.raises(typer.Exit):
            refuse(Refusal("it cannot start", hint="Repair it.", exit_status=EXIT_PERMISSION), settings, home=None, launchd=False)
        return health.exists()

    command = [sys.executable, "-c", HOLD, settings.paths.lock_bytes]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert not refused()
        other.kill()
    lock = hold_lock(LocalFiles(), settings.paths.lock_bytes, os.getpid())
    assert refused()
    lock.release()


def test_a_refusal_is_not_written_into_the_outbox_of_another_home(tmp_path: Path) -> None:
    files = LocalFiles()
    own, other = (
        load(tmp_path / "own", {}),
        load(tmp_path / "other", {"MULTIPLANE_FOLDERS__OUTBOX": str(tmp_path / "own/outbox")}),
    )
    for each in (own, other):
        make_folders(files, each.paths.state_bytes)
    Outbox(files, own.paths.outbox_bytes, ownership=Ownership(files, who(files, own.paths, new_id=True))).prepare()
    for settings, is_written in ((other, False), (own, True)):
        with pytest.raises(typer.Exit):
            refuse(Refusal("it cannot start", hint="Repair it."), settings, home=None, launchd=False)
        assert (own.paths.outbox / "daemon.json").exists() == is_written
