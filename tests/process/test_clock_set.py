"""The clock is set while the daemon runs, or between two starts: no job waits longer or runs earlier because of that."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from job_records import ERROR, accepted, entries
from service_scene import Scene

from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import silence
from daemon.contract.records import RECORD, AttemptEnded, Claimed, Ended, LiveJob, Started
from daemon.contract.status import Status
from daemon.errors import WorkerCrashed
from daemon.jobs.fold import Jobs
from daemon.jobs.retry_pause import pause_left
from daemon.outbox import Health
from daemon.running.pauses import Pauses
from daemon.supervisor import Failed

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400.0
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
CRASHED = WorkerCrashed("the worker was killed").info()


class Clocks:
    """The two clocks of a machine."""

    def __init__(self, scene: Scene) -> None:
        self.monotonic, self.wall = 1000.0, NOW
        scene.clock = lambda: self.monotonic
        scene.wall_clock = lambda: self.wall

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def clocks(scene: Scene) -> Clocks:
    return Clocks(scene)


@pytest.mark.parametrize("step", [-365 * DAY, -DAY, -30.0, 0.0, 30.0, DAY, 365 * DAY])
def test_a_pause_takes_as_long_as_was_decided_whenever_the_clock_is_set(scene: Scene, clocks: Clocks, step: float) -> None:
    scene.processing("j")
    scene.runs.on_end("j", Failed(CRASHED, True, 1.0))
    clocks.passes(3.0)
    clocks.wall += step
    scene.runs.start_next()
    clocks.passes(6.5)
    scene.runs.start_next()
    assert scene.workers.commands == [], "it did not rest for 10 s"
    clocks.passes(1.0)
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["j"]


@pytest.mark.parametrize("step", [-365 * DAY, -DAY, -30.0, 30.0, DAY])
def test_after_a_restart_no_job_rests_longer_than_was_decided(scene: Scene, step: float) -> None:
    record = AttemptEnded(job="a", error=ERROR, counts=True, retry_at=NOW + 10.0)
    told = entries(accepted("a"), Claimed(job="a"), Started(job="a", attempt="1"), record)
    at = datetime.fromisoformat(told[-1].ts).timestamp()
    told[-1] = type(told[-1])(4, 4, told[-1].ts, AttemptEnded(job="a", error=ERROR, counts=True, retry_at=at + 10.0))
    before, jobs = Jobs(), Jobs()
    for entry in told:
        before.apply(entry)
    snapshot = RECORD.validate_json(RECORD.dump_json(LiveJob(job="a", value=before.live["a"])))
    for entry in entries(snapshot):
        jobs.apply(entry)
    monotonic = 50.0
    pauses = Pauses(jobs, lambda: monotonic, lambda: at + 2.0 + step)
    left = pauses.left(jobs.live["a"])
    assert left <= 10.0
    assert left == max(0.0, min(8.0 - step, 10.0))
    monotonic += 10.0
    assert pauses.left(jobs.live["a"]) == 0.0


def test_a_snapshot_of_an_older_version_does_not_say_the_pause_and_it_is_at_most_the_longest(scene: Scene) -> None:
    record = AttemptEnded(job="a", error=ERROR, counts=True, retry_at=NOW + 10.0)
    jobs = Jobs()
    for entry in entries(accepted("a"), Claimed(job="a"), Started(job="a", attempt="1"), record):
        jobs.apply(entry)
    text = RECORD.dump_json(LiveJob(job="a", value=jobs.live["a"]))
    assert b'"pause":' in text
    old = RECORD.validate_json(b",".join(part for part in text.split(b",") if not part.startswith(b'"pause":')))
    assert pause_left(old.value, NOW - DAY) == 60.0


def test_jobs_promises_no_wait_of_a_day_after_the_clock_was_set_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.processing("j")
    monkeypatch.setattr("daemon.clock.now", lambda: "2026-01-31T12:00:00.000Z")
    scene.ledger.record(AttemptEnded(job="j", error=ERROR, counts=True, retry_at=NOW + 10.0))
    monkeypatch.setattr("time.time", lambda: NOW - DAY)
    (told,) = JobQueries(scene.fs, scene.settings).statuses(0, 10)
    assert told.queue_position is None
    assert datetime.fromisoformat(told.retry_at).timestamp() == NOW - DAY + 10.0


def test_status_json_tells_the_time_of_the_next_attempt_on_the_clock_as_it_is_set_now(
    scene: Scene, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.processing("j")
    scene.runs.on_end("j", Failed(CRASHED, True, 1.0))
    monkeypatch.setattr("time.time", lambda: NOW - DAY)
    scene.refresh()
    told = Status.model_validate_json(scene.status("j"))
    assert told.retry_at is not None
    assert datetime.fromisoformat(told.retry_at).timestamp() == NOW - DAY + 10.0


AHEAD = """
import datetime, sys, time
from pathlib import Path
ahead, seconds = datetime.timedelta(days=730), time.time
time.time = lambda: seconds() + ahead.total_seconds()
from daemon import clock
right = clock.now
clock.now = lambda: clock.rfc3339(datetime.datetime.fromisoformat(right()) + ahead)
from daemon.fs import LocalFiles
from daemon.service import assemble
from daemon.settings import load
settings = load(Path(sys.argv[1]), {"MULTIPLANE_CONFIG": "/dev/null", "MULTIPLANE_WORKER__SPARE": "false"})
sys.exit(assemble(settings, LocalFiles()).run(once=True))
"""


def test_a_daemon_that_starts_with_the_clock_two_years_ahead_forgets_no_job(tmp_path: Path) -> None:
    """An empty battery, and a service that starts several times before the network sets the clock."""
    scene = Scene(tmp_path)
    (tmp_path / "inbox" / ".multiplane").touch()
    scene.pending("j")
    scene.ledger.record(Ended(job="j", state="cancelled"))
    scene.journal.rotate([])
    scene.journal.close()
    for _ in range(3):
        ran = subprocess.run(
            [sys.executable, "-P", "-c", AHEAD, tmp_path],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    told = [entry.ts[:4] for entry in scene.history.entries()]
    assert int(told[-1]) >= datetime.now(UTC).year + 1, "the clock was not set"
    job = scene.history.job("j")
    assert job is not None
    assert job.state == "cancelled"


@pytest.mark.parametrize(("seconds", "silent"), [(-DAY, True), (-30.0, True), (-2.0, False), (2.0, False), (30.0, True)])
def test_a_daemon_that_was_last_heard_of_at_a_time_to_come_is_silent(scene: Scene, seconds: float, silent: bool) -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    moment = datetime.fromtimestamp(NOW - seconds, UTC).isoformat()
    health = Health(version="1", pid=1, state="running", alive_at=moment, started_at=moment)
    problem = silence(scene.settings, health, at)
    assert (problem is not None) == silent
    if silent and seconds < 0:
        assert "since the clock was set back" in problem
