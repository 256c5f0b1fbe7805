"""Old jobs are removed when somebody says so, or once a day: exactly those that were listed, and nothing younger."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from daemon.cli.app import command_line
from daemon.clock import rfc3339
from daemon.contract.ended.follow_ups import FollowUpOver
from daemon.contract.records import Ended, Removed, Requeued, Started
from daemon.fs import LocalFiles
from tests.unit.job_records import ERROR, publishing
from tests.unit.service_scene import Scene

DAY = 86_400.0


class OldScene(Scene):
    """A home in which jobs ended long ago."""

    def __init__(self, home, **settings) -> None:
        super().__init__(home, LocalFiles(), settings=settings)
        self.at = time.time()
        self.ticks = 1000.0
        self.clock, self.wall_clock = lambda: self.ticks, lambda: self.at
        # In one process, the journal counts time by the monotonic clock.
        self.journal._monotonic = lambda: self.at
        self.now_as_text = lambda: rfc3339(datetime.fromtimestamp(self.at, UTC))

    def ended(self, job_id: str, days: float, state: str = "completed", **accepted) -> None:
        """A job that ended so many days ago; a day may have passed since the last one, as the journal counts."""
        now, self.at = self.at, time.time() - days * DAY
        self.pending(job_id, **accepted)
        if state == "completed":
            self.ledger.record(Started(job=job_id, attempt="x"))
            result = self.root / job_id / "result"
            result.mkdir()
            (result / "a.png").write_bytes(b"p" * 1000)
            self.ledger.record(publishing(job_id))
        error = None if state == "completed" else ERROR
        self.runs.end(self.jobs.live[job_id], Ended(job=job_id, state=state, error=error))
        self.at = now

    def prune(self, *words: str) -> dict:
        """What the verb prints; the daemon does not run."""
        home = str(self.settings.paths.home)
        done = CliRunner().invoke(command_line(), ["prune", *words, "--json", "--home", home])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def there(self) -> set[str]:
        return {path.name for path in self.root.iterdir() if not path.name.startswith(".") and path.is_dir()}


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    scene = OldScene(tmp_path)
    scene.ended("old", 40)
    scene.ended("bad", 39, "failed")
    scene.ended("trip-1", 35, batch="20260101T120000-trip", folder="trip")
    scene.ended("young", 29)
    scene.pending("waiting")
    scene.processing("running")
    return scene


def ids(found: dict) -> list[str]:
    return [job["job_id"] for job in found["jobs"]]


@pytest.mark.parametrize(
    ("words", "removed"),
    [
        ((), ["trip-1", "bad", "old"]),
        (("--state", "failed"), ["bad"]),
        (("--batch", "trip"), ["trip-1"]),
        (("--state", "failed", "--state", "completed", "--batch", "trip"), ["trip-1"]),
    ],
)
def test_the_list_of_a_dry_run_is_exactly_what_is_then_removed(scene, words, removed):
    before = scene.there()
    listed = scene.prune("--older-than", "30d", *words, "--dry-run")
    assert ids(listed) == removed
    assert listed["bytes"] == sum(job["bytes"] for job in listed["jobs"]) > 0
    scene.requests.handle()
    assert scene.there() == before, "a dry run removes nothing"
    assert ids(scene.prune("--older-than", "30d", *words)) == removed
    scene.requests.handle()
    assert before - scene.there() == set(removed)
    assert not {*removed} & {*ids(scene.prune("--older-than", "30d", "--dry-run"))}


def test_only_the_results_go_if_the_pictures_are_to_stay(scene):
    words = ("--older-than", "30d", "--keep-source")
    assert ids(scene.prune(*words, "--dry-run")) == ["trip-1", "old"]
    scene.prune(*words)
    scene.requests.handle()
    assert sorted(path.name for path in (scene.root / "old").iterdir()) == ["source", "status.json"]
    status = json.loads((scene.root / "old" / "status.json").read_bytes())
    assert (status["state"], status["outputs"], status["manifest"]) == ("completed", [], None)
    assert status["pruned_at"]
    assert (scene.root / "young" / "result").is_dir()
    assert ids(scene.prune(*words, "--dry-run")) == []
    assert scene.history.job("old").pruned_at


def test_a_job_that_was_retried_or_is_still_to_be_delivered_stays(scene):
    scene.prune("--older-than", "30d", "--state", "failed")
    job = scene.jobs.ended["bad"]
    scene.ledger.record(Requeued(job="bad", value=replace(job, state="pending", ended=None, completed_at=None)))
    scene.requests.handle()
    assert "bad" in scene.there()
    scene.jobs.follow_ups.owed["old", "delivery"] = 2
    scene.ledger.begin_segment()
    assert ids(scene.prune("--older-than", "30d")) == ["trip-1"]
    scene.ledger.record(FollowUpOver(job="old", what="delivery"))
    assert ids(scene.prune("--older-than", "30d")) == ["old"], "that trip-1 goes was asked before"


def test_the_journal_remembers_what_was_removed_because_of_its_age(scene):
    scene.prune("--older-than", "39d")
    scene.requests.handle()
    home = str(scene.settings.paths.home)
    told = CliRunner().invoke(command_line(), ["show", "old", "--home", home])
    assert told.exit_code == 4
    assert "old was removed 20" in told.stderr
    assert "because it had ended long before" in told.stderr


def test_show_says_that_a_job_was_removed_and_what_to_do_if_its_folder_was_moved_away(scene):
    scene.ledger.record(Removed(job="old"))
    told = CliRunner().invoke(command_line(), ["show", "old", "--home", str(scene.settings.paths.home)])
    assert told.exit_code == 4
    assert "old was removed 20" in told.stderr
    assert "drop the picture in its source/ again" in " ".join(told.stderr.split())


def test_an_age_that_is_none_is_refused(scene):
    for age in ("30", "d", "-1d", "1y", ""):
        done = CliRunner().invoke(command_line(), ["prune", "--older-than", age, "--home", str(scene.settings.paths.home)])
        assert done.exit_code == 2, age


def look(scene, times=50):
    for _ in range(times):
        scene.parts.retention.look(scene.ticks)


def test_once_a_day_what_is_older_than_the_settings_say_is_removed(tmp_path):
    scene = OldScene(tmp_path, MULTIPLANE_OUTBOX__KEEP_DAYS="5")
    for days in range(10, 0, -1):
        scene.ended(f"job-{days}", days)
        scene.at = time.time() - (days - 0.5) * DAY
        scene.ledger.begin_segment()
    scene.at = time.time()
    look(scene)
    assert scene.there() == {f"job-{days}" for days in range(1, 6)}
    assert scene.parts.retention.next_look(scene.ticks) == scene.ticks + DAY
    scene.at, scene.ticks = scene.at + DAY, scene.ticks + DAY
    look(scene)
    assert scene.there() == {f"job-{days}" for days in range(1, 5)}


def test_a_clock_that_is_years_ahead_removes_nothing(tmp_path):
    scene = OldScene(tmp_path, MULTIPLANE_OUTBOX__KEEP_DAYS="30")
    scene.ended("one", 1)
    scene.at = time.time() + timedelta(days=700).total_seconds()
    look(scene)
    scene.ledger.begin_segment()
    scene.ticks += DAY
    look(scene)
    assert scene.there() == {"one"}


def test_without_the_setting_nothing_is_ever_removed(scene):
    assert scene.parts.retention.next_look(0.0) == float("inf")
    look(scene)
    assert scene.there() >= {"old", "bad", "young"}
