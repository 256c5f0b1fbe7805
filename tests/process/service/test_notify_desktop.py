"""Notifications through the system's programs, with a stand-in that records what it is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger

from daemon.platform.notify.desktop import Desktop, command

HOSTILE = '-e "; do shell script \\"touch /tmp/x\\" -- $(id) `id` <b>日本</b> \'q\' & done'

#: Appends its arguments, each ended by a zero, waits if it is told to; ends as it is told to.
STAND_IN = """#!/bin/sh
printf '%s\\0' "$@" >> "$SAID"
[ -z "$HANG" ] || exec sleep 60
exit "${STATUS:-0}"
"""


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("osascript", "notify-send"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "SAID": str(tmp_path / "said"),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
    }


@pytest.fixture
def lines():
    found: list[str] = []
    sink = logger.add(found.append, format="{message}")
    yield found
    logger.remove(sink)


def said(environ: dict[str, str]) -> list[str]:
    return Path(environ["SAID"]).read_text().split("\0")[:-1]


def ended(desktop: Desktop) -> None:
    """Wait until all programs have ended."""
    for _, process in desktop._under_way:
        process.wait(20)
    desktop.tidy()


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_what_is_told_is_an_argument_whatever_is_in_it(environ, platform) -> None:
    desktop = Desktop(environ, platform=platform)
    desktop.show("Multiplane: a picture failed", HOSTILE)
    ended(desktop)
    if platform == "darwin":
        *script, title, text = said(environ)
        assert script == [
            *("-e", "on run argv"),
            *("-e", "display notification (item 2 of argv) with title (item 1 of argv)"),
            *("-e", "end run"),
        ]
        assert text == HOSTILE
    else:
        *options, title, text = said(environ)
        assert options == ["--app-name=Multiplane", "--"]
        assert text == HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert title == "Multiplane: a picture failed"
    assert desktop._under_way == []


def test_the_program_is_not_waited_for_and_not_in_the_daemons_session(environ) -> None:
    desktop = Desktop(environ | {"HANG": "1"}, platform="linux")
    desktop.show("Multiplane", "one")
    ((_, process),) = desktop._under_way
    assert process.poll() is None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    process.kill()
    ended(desktop)
    assert desktop._under_way == []


def test_programs_that_never_end_do_not_pile_up(environ, lines) -> None:
    desktop = Desktop(environ | {"HANG": "1"}, platform="linux")
    for number in range(20):
        desktop.show("Multiplane", str(number))
    running = [process for _, process in desktop._under_way]
    assert len(running) == 8
    assert len(lines) == 1
    assert "does not end" in lines[0]
    for process in running:
        process.kill()
    ended(desktop)


@pytest.mark.parametrize("fault", ["status", "not a program"])
def test_a_failure_is_logged_once_and_never_raised(environ, lines, fault) -> None:
    environ["STATUS"] = "3"
    if fault == "not a program":
        Path(environ["PATH"].partition(":")[0], "notify-send").write_bytes(b"\x7fELF nonsense")
    desktop = Desktop(environ, platform="linux")
    for _ in range(3):
        desktop.show("Multiplane", "text")
        ended(desktop)
    assert len(lines) == 1
    assert ("exit status 3" if fault == "status" else "cannot be started") in lines[0]


def test_where_there_is_nothing_to_show_it_with_nothing_is_started(environ, lines, tmp_path) -> None:
    without_bus = {key: value for key, value in environ.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
    for each in (without_bus, environ | {"PATH": str(tmp_path)}):
        assert command("Multiplane", "text", each, platform="linux") is None
        Desktop(each, platform="linux").show("Multiplane", "text")
    assert lines == []
    assert not Path(environ["SAID"]).exists()


@pytest.mark.skipif(sys.platform != "darwin", reason="only macOS has osascript")
def test_the_script_is_one_that_osascript_compiles(tmp_path) -> None:
    argv = command("Multiplane", "text", os.environ)
    compiled = subprocess.run(["osacompile", "-o", tmp_path / "x.scpt", *argv[1:-2]], capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
