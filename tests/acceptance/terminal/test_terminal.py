"""Commands in a terminal: their output fits, they restore the terminal, and they answer programs according to a schema."""

import json
import re
import signal

import pytest
from pydantic import TypeAdapter

from daemon.cli.service_status import ServiceStatus
from daemon.cli.verbs.watch import Scene
from daemon.contract.status import Status
from daemon.doctor.model import Report
from daemon.outbox import Waiting
from daemon.stats import Stats
from tests.acceptance.home import HotFolder, picture, until
from tests.acceptance.terminal.terminal import Terminal, plain_lines

HOME = "\x1b[H"
ENTER_SCREEN, LEAVE_SCREEN, HIDE_CURSOR, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25l", "\x1b[?25h"
#: What would clear the screen, if it came from a name.
HOSTILE = "[red]x\x1b[2J\u202egnp.png"


@pytest.fixture(scope="module")
def used(running: HotFolder) -> HotFolder:
    """A home with completed and failed jobs, something that waits, and very difficult names."""
    running.drop("holiday.png", picture())
    running.drop("text.jpg", b"not a picture " * 500)
    (running.inbox / HOSTILE).write_bytes(picture())
    running.ended("holiday.png")
    running.ended("text.jpg")
    until(lambda: (health := running.health()) and health["waiting_total"] == 1)
    return running


@pytest.mark.parametrize("columns", [80, 140])
def test_watch_shows_it_all_and_leaves_the_terminal_as_it_was(used: HotFolder, columns) -> None:
    seen = Terminal(used, "watch", columns=columns)
    until(lambda: "holiday.png" in seen.read() and "text.jpg" in seen.said and "x·[2J·gnp.png" in seen.said)
    until(lambda: seen.read().count(HOME) > 3)  # more than one picture of it all
    assert seen.said.index(ENTER_SCREEN) < seen.said.index("running")
    assert "\x1b[2J\u202e" not in seen.said
    assert "\u202e" not in seen.said
    seen.process.send_signal(signal.SIGINT)
    assert seen.end() == 0
    assert LEAVE_SCREEN in seen.said
    assert seen.said.rindex(SHOW_CURSOR) > seen.said.rindex(HIDE_CURSOR)
    assert "Traceback" not in seen.said
    frames = seen.said.split(ENTER_SCREEN)[1].split(LEAVE_SCREEN)[0].split(HOME)
    assert max(len(line) for frame in frames for line in plain_lines(frame)) <= columns


def test_watch_follows_a_job_to_its_end(used: HotFolder) -> None:
    seen = Terminal(used, "watch", columns=100)
    try:
        until(lambda: "Nothing is running" in seen.read())
        used.drop("moving.png", picture(700, 500, seed=9))
        until(lambda: re.search(r"moving\.png.*%", seen.read(), re.DOTALL))
        until(lambda: re.search(r"completed.* s ago.*moving\.png", seen.read()))
    finally:
        seen.process.send_signal(signal.SIGINT)
        assert seen.end() == 0


def test_watch_without_a_terminal_is_one_look(used: HotFolder) -> None:
    done = used.run("watch")
    assert done.returncode == 0
    assert "holiday.png" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("verb", "columns", "expected"),
    [
        ("jobs", 80, "image_type"),
        ("jobs", 140, "image_type"),
        ("stats", 80, "image_type"),
        ("waiting", 80, "waiting for"),
        ("service status", 80, "alive"),
    ],
)
def test_every_screen_fits_its_terminal(used: HotFolder, verb, columns, expected) -> None:
    seen = Terminal(used, *verb.split(), columns=columns)
    assert seen.end() == 0, seen.said
    lines = plain_lines(seen.said)
    # A command stays in one line, to be copied; a terminal wraps it.
    assert max(len(re.sub("`[^`]+`", "", line)) for line in lines) <= columns, lines
    assert any(expected in line for line in lines)
    assert "\u202e" not in seen.said


def test_json_is_what_the_models_say(used: HotFolder) -> None:
    answers = {
        "jobs": TypeAdapter(list[Status]),
        "waiting": TypeAdapter(list[Waiting]),
        "stats": TypeAdapter(Stats),
        "watch": TypeAdapter(Scene),
        "service status": TypeAdapter(ServiceStatus),
    }
    found = {}
    for verb, model in answers.items():
        done = used.verb(*verb.split(), "--json")
        assert done.returncode == 0, (verb, done.stdout, done.stderr)
        found[verb] = model.validate_json(done.stdout)
        assert json.loads(done.stdout) == model.dump_python(found[verb], mode="json"), verb
    assert (found["stats"].days[-1].failed, found["stats"].failures[0].code) == (1, "image_type")
    assert found["watch"].alive
    assert found["watch"].waiting[0].path == HOSTILE
    assert found["service status"].alive


def test_the_doctor_finds_a_home_at_work_well(used: HotFolder) -> None:
    done = used.verb("doctor", "--json")
    assert done.returncode == 0, done.stdout
    report = Report.model_validate_json(done.stdout)
    assert report.healthy
    assert any(finding.area == "daemon" and "running" in finding.sentence for finding in report.findings)


def test_the_log_is_printed_without_what_would_move_the_cursor(used: HotFolder) -> None:
    done = used.verb("service", "logs", "-n", "200")
    assert done.returncode == 0
    assert "completed" in done.stdout
    assert "\x1b" not in done.stdout
    assert used.verb("service", "logs", "-n", "1").stdout.count("\n") == 1


def test_the_log_is_followed_also_into_a_new_file(folder: HotFolder) -> None:
    log = folder.home / ".state" / "log" / "daemon.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\n")
    seen = Terminal(folder, "service", "logs", "-n", "1", "-f", columns=80)
    until(lambda: "two" in seen.read())
    with log.open("a") as file:
        file.write("three\n")
    until(lambda: "three" in seen.read())
    log.rename(log.with_name("daemon.old.log"))
    log.write_text("four\n")
    until(lambda: "four" in seen.read())
    seen.process.send_signal(signal.SIGINT)
    assert seen.end() == 0
    assert plain_lines(seen.said)[:3] == ["two", "three", "four"]


def test_a_daemon_that_is_gone_is_told_by_status_and_watch(folder: HotFolder) -> None:
    done = folder.run("service", "status")
    assert done.returncode == 3
    assert "never ran" in done.stdout
    assert "not running" in folder.verb("watch").stdout


def test_an_installation_that_fails_leaves_nothing_behind(folder: HotFolder, tmp_path) -> None:
    """A service manager that refuses everything, in place of the real one."""
    for name in ("systemctl", "launchctl"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'no medium found' >&2; exit 1\n")
        (tmp_path / name).chmod(0o755)
    folder.settings |= {"PATH": f"{tmp_path}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    done = folder.run("service", "install", "--no-model")
    assert done.returncode == 71
    assert "no medium found" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.service"))
    assert not list(tmp_path.rglob("*.plist"))
