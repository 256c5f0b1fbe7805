"""A hook as a real process: what it prints is read as fast as it comes, and only its end is kept."""

import os
from pathlib import Path

from daemon.following.hook_process import HookProcess
from tests.crash.homes import wait_until


def started(script: str, folder: Path) -> HookProcess:
    return HookProcess(["/bin/sh", "-c", script], b"", os.environ, str(folder))


def ended(hook: HookProcess) -> str:
    """The last line of a command that has ended, which is read after everything is gone."""
    hook.kill()
    wait_until(hook.is_gone, 20)
    said = hook.last_line
    hook.close()
    return said


def test_a_command_that_prints_much_ends_although_nobody_looks_at_it(tmp_path) -> None:
    hook = started("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the last line; touch printed", tmp_path)
    wait_until((tmp_path / "printed").exists, 20)
    assert ended(hook) == "the last line"


def test_what_goes_on_printing_after_its_command_is_not_waited_for(tmp_path) -> None:
    hook = started("(exec 3>goes-on; while :; do echo more; done) & while ! [ -e goes-on ]; do :; done", tmp_path)
    wait_until(lambda: hook.poll() == 0, 20)
    assert ended(hook) == "more"


def test_files_are_closed_if_a_command_cannot_be_started(tmp_path) -> None:
    before = os.listdir("/dev/fd")
    for _ in range(3):
        try:
            HookProcess([str(tmp_path / "nothing")], b"", os.environ, str(tmp_path))
        except FileNotFoundError:
            continue
        raise AssertionError("it was started")
    assert len(os.listdir("/dev/fd")) == len(before)
