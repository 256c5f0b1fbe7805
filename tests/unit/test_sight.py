"""The truth of this moment, also where the daemon cannot say it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.cli.inbox import in_inbox
from daemon.cli.live_snapshot import FRESH_SECONDS, LiveSnapshot, Seeing, standstill
from daemon.cli.looking import Looking
from daemon.cli.render import now, remark
from daemon.cli.verbs.watch import Scenes
from daemon.contract.status import Progress, Status
from daemon.fs import LocalFiles, make_folders
from daemon.outbox import Health, Outbox, Waiting
from daemon.settings import Settings, load

FS = LocalFiles()
TOLD = (Waiting(path="big.jpg", reason="still growing"),)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with an outbox, and one picture alone in its inbox."""
    found = load(tmp_path, {"MULTIPLANE_CONFIG": os.devnull})
    make_folders(FS, found.paths.state_bytes)
    Outbox(FS, found.paths.outbox_bytes).prepare()
    found.paths.inbox.mkdir()
    (found.paths.inbox / "alone.jpg").write_bytes(b"x")
    return found


@pytest.fixture
def daemon(settings: Settings):
    """Somebody holds the lock of the home, as a running daemon does."""
    held = FS.lock(settings.paths.lock_bytes)
    yield
    os.close(held)


def tell(settings: Settings, age: float = 0.0, **more: object) -> None:
    """A daemon.json that is so old, in seconds."""
    then = (now() - timedelta(seconds=age)).isoformat()
    said = {"state": "running", "waiting": TOLD, "waiting_total": 1} | more
    health = Health(version="1", pid=1, alive_at=then, started_at=then, **said)
    Outbox(FS, settings.paths.outbox_bytes).write_health(health)


def look(settings: Settings) -> LiveSnapshot:
    return Seeing(settings, Looking(FS, settings)).look(now())


def seen_here(settings: Settings) -> tuple[str, str]:
    """What is in the inbox, and why it is there, by a look of one's own."""
    [item] = look(settings).waiting
    return item.path, item.reason


def test_a_daemon_that_speaks_is_believed(settings: Settings, daemon: None) -> None:
    tell(settings)
    sight = look(settings)
    assert (sight.alive, sight.problem, sight.waiting) == (True, None, TOLD)


def test_without_a_daemon_the_inbox_of_now_is_told_and_not_that_of_its_last_day(settings: Settings) -> None:
    tell(settings)
    assert look(settings).problem is None
    assert seen_here(settings) == ("alone.jpg", "waiting for alone.yaml")


def test_an_outbox_that_went_away_is_told_at_once(settings: Settings, daemon: None) -> None:
    tell(settings)
    (settings.paths.outbox / ".multiplane").unlink()
    assert "isn't the outbox" in look(settings).problem
    settings.paths.outbox.rename(settings.paths.home / "elsewhere")
    assert "the outbox doesn't exist" in look(settings).problem
    assert seen_here(settings) == ("alone.jpg", "waiting for alone.yaml")


def test_an_outbox_that_can_only_be_read_is_told_at_once(settings: Settings, daemon: None, monkeypatch) -> None:
    tell(settings)
    real = os.statvfs

    def read_only(path: object) -> os.statvfs_result:
        found = list(real(path))
        found[8] |= os.ST_RDONLY
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", read_only)
    assert "is read-only" in look(settings).problem
    assert Scenes(settings).look(now()).problem == look(settings).problem


def test_a_daemon_that_missed_two_of_its_beats_is_told(settings: Settings, daemon: None) -> None:
    tell(settings, age=FRESH_SECONDS - 2)
    assert look(settings).problem is None
    tell(settings, age=FRESH_SECONDS + 2)
    assert "hasn't responded for" in look(settings).problem
    assert seen_here(settings) == ("alone.jpg", "waiting for alone.yaml")


def test_a_daemon_that_starts_is_not_taken_for_the_one_before(settings: Settings, daemon: None) -> None:
    tell(settings, age=3600, state="stopped")
    assert "is starting" in look(settings).problem


def test_what_the_daemon_itself_says_of_its_trouble_goes_before(settings: Settings, daemon: None) -> None:
    tell(settings, problem="the disk of the outbox is full")
    (settings.paths.outbox / ".multiplane").unlink()
    sight = look(settings)
    assert (sight.problem, sight.health.problem) == (None, "the disk of the outbox is full")


def test_what_only_a_daemon_is_missing_for_is_called_ready(settings: Settings) -> None:
    (settings.paths.inbox / "alone.yaml").write_bytes(b"num_layers: 3\n")
    preset = settings.paths.inbox / "recipe"
    preset.mkdir()
    (preset / "_preset.yaml").write_bytes(b"num_layer: 3\n")
    (preset / "beach.jpg").write_bytes(b"x")
    found = {item.path: item.reason for item in in_inbox(settings, alive=False)[0]}
    assert found["alone.jpg"] == "ready; the daemon takes it when it runs"
    assert "beach.jpg" in "".join(found)
    assert in_inbox(settings, alive=True)[0] != in_inbox(settings, alive=False)[0]


def test_while_the_daemon_is_dead_silent_paused_or_offline_the_jobs_say_so(settings: Settings) -> None:
    looking = Looking(FS, settings)
    tell(settings)
    halt = standstill(settings, looking, now())
    assert (halt.word, halt.stale) == ("the daemon is not running", True)
    held = FS.lock(settings.paths.lock_bytes)
    try:
        assert standstill(settings, looking, now()) is None
        tell(settings, age=FRESH_SECONDS + 5)
        assert standstill(settings, looking, now()).word == "the daemon is silent"
        for state in ("paused", "offline"):
            tell(settings, state=state, problem="no worker can be started", hint="Look at it.")
            halt = standstill(settings, looking, now())
            assert (halt.word, halt.stale) == (state, False)
            assert halt.sentence == f"The daemon is {state}: no worker can be started. Look at it."
    finally:
        os.close(held)


def test_beside_next_in_line_and_progress_stands_that_nothing_goes_on() -> None:
    said = {"job_id": "a", "created_at": "2026-01-31T12:00:00.000Z", "attempts": 1}
    waits = Status(state="pending", queue_position=1, **said)
    runs = Status(state="processing", progress=Progress(stage="fill", fraction=0.23), **said)
    assert remark(waits, halted="paused") == "next in line · paused"
    assert remark(runs, halted="the daemon is silent", stale=True) == "Filling behind objects 23 % · as of the last report"
    assert remark(runs, halted="paused") == "Filling behind objects 23 %", "what runs is finished"
