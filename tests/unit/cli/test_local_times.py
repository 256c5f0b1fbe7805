"""Times for people are local; times for programs are UTC."""

import json
import os
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from daemon.cli.app import command_line
from daemon.clock import local
from daemon.contract.records import Claimed
from daemon.doctor.judging import judge
from daemon.doctor.model import DaemonFacts
from daemon.fs import LocalFiles
from daemon.journal import Journal
from daemon.outbox import Health
from tests.unit.doctor.test_doctor import WELL
from tests.unit.job_records import accepted

MOMENT, ON_THE_WALL = "2026-01-31T20:00:00.000Z", "2026-02-01 05:00:00"
HEALTH = Health(version="1", pid=7, state="running", alive_at=MOMENT, started_at=MOMENT)


@pytest.fixture(autouse=True)
def tokyo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "daemon.json").write_text(HEALTH.model_dump_json())
    journal = Journal(LocalFiles(), os.fsencode(tmp_path / ".state" / "journal"), clock=lambda: MOMENT, version="1", boot_id="b")
    journal.recover()
    journal.begin(1, 1, [])
    journal.append([accepted("order-1"), Claimed(job="order-1")])
    journal.close()
    return tmp_path


def said(home, *words: str) -> str:
    environ = {"MULTIPLANE_HOME": str(home), "MULTIPLANE_CONFIG": ""}
    return CliRunner().invoke(command_line(words[0]), words, env=environ).output


def test_a_moment_is_shown_as_the_wall_shows_it() -> None:
    assert local(MOMENT) == ON_THE_WALL


def test_the_doctor_says_when_the_daemon_was_last_heard_of() -> None:
    findings = judge(replace(WELL, daemon=DaemonFacts(holds=False, health=HEALTH)))
    assert f"unexpectedly after {ON_THE_WALL}." in " ".join(finding.sentence for finding in findings)


def test_the_story_of_a_job_is_told_in_local_time_and_to_programs_in_utc(home) -> None:
    assert f"{ON_THE_WALL}  claimed" in said(home, "show", "order-1")
    assert {event["ts"] for event in json.loads(said(home, "show", "order-1", "--json"))["events"]} == {MOMENT}
