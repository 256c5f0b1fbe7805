"""The current state, even if the daemon cannot report it."""

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from job_records import accepted
from typer.testing import CliRunner

from daemon.cli.app import command_line
from daemon.cli.display.render import now, remark
from daemon.cli.inbox import in_inbox
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import LiveSnapshot, SnapshotReader, Standstill, standstill
from daemon.cli.options import Asked
from daemon.cli.verbs.watch import Scenes
from daemon.contract.records import Claimed, Started
from daemon.contract.status import Progress, Status
from daemon.fs import LocalFiles, make_folders
from daemon.journal import Journal
from daemon.outbox import FRESH_SECONDS, Health, MoreWaiting, Outbox, Waiting, status_of
from daemon.outbox.ownership import Ownership, who
from daemon.settings import Settings, load
from daemon.settings.typed_command import commands_here

FS = LocalFiles()
STARTED = "2026-01-31T12:00:00.000Z"
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
    """Hold the lock of the home, as a running daemon does."""
    held = FS.lock_folder(settings.paths.state_bytes)
    yield
    os.close(held)


def tell(settings: Settings, age: float = 0.0, **more: object) -> None:
    """Write a daemon.json that is this many seconds old."""
    then = (now() - timedelta(seconds=age)).isoformat()
    said = {"state": "running", "waiting": TOLD, "waiting_total": 1} | more
    health = Health(version="1", pid=1, alive_at=then, started_at=then, **said)
    Outbox(FS, settings.paths.outbox_bytes).write_health(health)


def look(settings: Settings) -> LiveSnapshot:
    return SnapshotReader(settings, JobQueries(FS, settings)).look(now())


def seen_here(settings: Settings) -> tuple[str, str]:
    """What is in the inbox and why, according to the command's own scan."""
    [item] = look(settings).waiting
    return item.path, item.reason


def test_a_daemon_that_speaks_is_believed(settings: Settings, daemon: None) -> None:
    tell(settings)
    snapshot = look(settings)
    assert (snapshot.alive, snapshot.problem, snapshot.waiting) == (True, None, TOLD)


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
    snapshot = look(settings)
    assert (snapshot.problem, snapshot.health.problem) == (None, "the disk of the outbox is full")


def test_what_only_a_daemon_is_missing_for_is_called_ready(settings: Settings) -> None:
    (settings.paths.inbox / "alone.yaml").write_bytes(b"num_layers: 3\n")
    preset = settings.paths.inbox / "recipe"
    preset.mkdir()
    (preset / "_preset.yaml").write_bytes(b"num_layer: 3\n")
    (preset / "beach.jpg").write_bytes(b"x")
    found = {item.path: item.reason for item in in_inbox(settings, alive=False).items}
    assert found["alone.jpg"] == "ready; the daemon takes it when it runs"
    assert "beach.jpg" in "".join(found)
    assert in_inbox(settings, alive=True).items != in_inbox(settings, alive=False).items


def test_while_the_daemon_is_dead_silent_paused_or_offline_the_jobs_say_so(settings: Settings) -> None:
    queries = JobQueries(FS, settings)
    tell(settings)
    halt = standstill(settings, queries, now())
    assert (halt.word, halt.stale) == ("the daemon is not running", True)
    held = FS.lock_folder(settings.paths.state_bytes)
    try:
        assert standstill(settings, queries, now()) is None
        tell(settings, age=FRESH_SECONDS + 5)
        assert standstill(settings, queries, now()).word == "the daemon is silent"
        for state in ("paused", "offline"):
            tell(settings, state=state, problem="no worker can be started", hint="Look at it.")
            halt = standstill(settings, queries, now())
            assert (halt.word, halt.stale) == (state, False)
            assert halt.sentence == f"The daemon is {state}: no worker can be started. Look at it."
    finally:
        os.close(held)


def test_beside_next_in_line_and_progress_stands_that_nothing_goes_on() -> None:
    said = {"job_id": "a", "created_at": "2026-01-31T12:00:00.000Z", "attempts": 1}
    waits = Status(state="pending", queue_position=1, **said)
    runs = Status(state="processing", progress=Progress(stage="fill", fraction=0.23), **said)
    silent = Standstill("the daemon is silent", "Jobs may stand still.", stale=True)
    paused = Standstill("paused", "The daemon is paused.", stale=False)
    assert remark(waits, paused) == "next in line · paused"
    assert remark(runs, silent) == "Filling behind objects 23 % · as of the last report"
    assert remark(runs, paused) == "Filling behind objects 23 %", "what runs is finished"


#: What stands beside the job that is next in line, and whether the progress of the running one is old.
HALTS = {
    "running": ("", False),
    "paused": ("paused", False),
    "offline": ("offline", False),
    "silent": ("the daemon is silent", True),
    "dead": ("the daemon is not running", True),
}


@pytest.fixture(params=HALTS)
def halted(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A home with `runs` at 23 %, `first` next in the queue and `second` after it, in each state of the daemon."""
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    journal = Journal(FS, settings.paths.journal_bytes, clock=lambda: STARTED, version="1", boot_id="b")
    journal.recover()
    journal.begin(1, 1, [])
    records = [record for job_id in ("runs", "first", "second") for record in (accepted(job_id), Claimed(job=job_id))]
    journal.append([*records, Started(job="runs", attempt="1")])
    journal.close()
    runs, outbox = JobQueries(FS, settings).job("runs"), Outbox(FS, settings.paths.outbox_bytes)
    assert runs is not None
    (settings.paths.outbox / "runs").mkdir()
    outbox.write_status(status_of(runs, progress=Progress(stage="fill", fraction=0.23, eta_seconds=9.0)))
    how: str = request.param
    state = "running" if how in ("silent", "dead") else how
    trouble = {"problem": "no worker can be started", "hint": "Look at it."} if state != "running" else {}
    tell(settings, age=FRESH_SECONDS + 5 if how == "silent" else 0.0, state=state, processing=("runs",), **trouble)
    held = FS.lock_folder(settings.paths.state_bytes) if how != "dead" else None
    yield how
    if held is not None:
        os.close(held)


def said(settings: Settings, *verb: str) -> list[str]:
    """The lines a command prints, with single spaces."""
    done = CliRunner().invoke(command_line(), [*verb, "--home", str(settings.paths.home)], terminal_width=200)
    return [" ".join(line.split()) for line in done.output.splitlines()]


def why_it_waits(settings: Settings) -> str:
    typed = commands_here(settings.paths.home, os.environ).typed("waiting")
    return f"waiting 1 in the inbox (`{typed}` says why)"


def joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def test_show_says_beside_a_job_that_the_daemon_does_nothing(settings: Settings, halted: str) -> None:
    word, stale = HALTS[halted]
    waits, runs = said(settings, "show", "first"), said(settings, "show", "runs")
    assert joined("state pending", "next in line", word) in waits
    assert joined("state pending", "number 2 in line", word) in said(settings, "show", "second")
    assert joined("state processing", "Filling behind objects 23 %", "as of the last report" if stale else "") in runs
    why, same = (
        [re.sub(r"for \d+ s\.", "for N s.", line) for line in lines if line.startswith(("The daemon is", "Jobs may not be pro"))]
        for lines in (waits, runs)
    )
    assert len(why) == bool(word)
    assert same == why  # but for the seconds, which passed between the two


def test_service_status_says_beside_the_next_job_that_the_daemon_does_nothing(settings: Settings, halted: str) -> None:
    word, stale = HALTS[halted]
    lines = said(settings, "service", "status")
    assert joined("next first", word) in lines
    assert why_it_waits(settings) in lines
    if halted == "dead":
        assert not any(line.startswith("running ") for line in lines)
    else:
        assert joined("running runs", "as of the last report" if stale else "") in lines


def test_watch_says_beside_the_queue_and_the_progress_that_the_daemon_does_nothing(settings: Settings, halted: str) -> None:
    word, stale = HALTS[halted]
    lines = said(settings, "watch")
    assert joined("next in the queue", word) in lines
    [running] = [line for line in lines if line.startswith("photo.jpg ")]
    assert running == (
        "photo.jpg Filling behind objects · as of the last report runs"
        if stale
        else "photo.jpg Filling behind objects runs 9 s left"
    )
    assert any(line.endswith(" 23 %") for line in lines)


def test_jobs_says_beside_each_job_that_the_daemon_does_nothing(settings: Settings, halted: str) -> None:
    word, stale = HALTS[halted]
    text = " ".join(said(settings, "jobs"))
    assert joined("next in line", word) in text
    assert joined("number 2 in line", word) in text
    assert joined("Filling behind objects 23 %", "as of the last report" if stale else "") in text
    assert ("as of the last report" in text) is stale


def test_waiting_says_that_the_daemon_takes_nothing(settings: Settings, halted: str) -> None:
    expected = {
        "running": "",
        "paused": "multiplane: the daemon is paused: no worker can be started",
        "offline": "multiplane: the daemon is offline: no worker can be started",
        "silent": "multiplane: the daemon is running, but hasn't responded for",
        "dead": "The daemon isn't running. This is in the inbox now:",
    }
    text = " ".join(said(settings, "waiting"))
    assert expected[halted] in text
    assert ("daemon" in text) is (halted != "running")


def test_waiting_counts_what_a_long_list_leaves_out(settings: Settings, daemon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    more = (MoreWaiting(reason="waiting for NAME.yaml", count=4990), MoreWaiting(reason="a video", count=9))
    tell(settings, waiting_total=5000, waiting_more=more)
    lines = said(settings, "waiting")
    assert "5,000 in all. … and 4,999 more in the inbox:" in lines
    assert lines[-2:] == ["4,990 waiting for NAME.yaml", "9 a video"]
    monkeypatch.setattr(Asked, "for_json", True)
    done = CliRunner().invoke(command_line(), ["waiting", "--json", "--home", str(settings.paths.home)])
    assert [item["path"] for item in json.loads(done.stdout)] == ["big.jpg"]
    counted = [one.model_dump() for one in more]
    assert json.loads(done.stderr) == {"note": "4,999 more wait.", "total": 5000, "more": counted}


def test_a_home_that_is_refused_for_its_outbox_did_run_and_says_whose_the_outbox_is(settings: Settings, tmp_path: Path) -> None:
    assert "daemon never ran" in said(settings, "service", "status")
    log = settings.paths.state / "log" / "daemon.log"
    log.parent.mkdir()
    log.touch()
    other = load(tmp_path / "other", {"MULTIPLANE_CONFIG": os.devnull})
    make_folders(FS, other.paths.state_bytes)
    (settings.paths.outbox / ".multiplane").unlink()
    Ownership(FS, who(FS, other.paths, new_id=True)).take(settings.paths.outbox_bytes)
    lines = said(settings, "service", "status")
    assert "daemon not running" in lines
    assert any(line.startswith("problem the outbox") and "belongs to another home" in line for line in lines)
    done = CliRunner().invoke(command_line(), ["service", "status", "--json", "--home", str(settings.paths.home)])
    found = json.loads(done.stdout)
    assert (found["alive"], found["running"], found["has_run"]) == (False, False, True)
    assert "belongs to another home" in found["problem"]


def test_a_silent_daemon_is_told_of_even_if_no_job_is_left_to_do(settings: Settings, daemon: None) -> None:
    tell(settings)
    assert "silent" not in " ".join(said(settings, "jobs"))
    assert Scenes(settings).look(now()).stale is False
    tell(settings, age=90)
    expected = "Jobs may not be progressing: the daemon is running, but hasn't responded for 90 s."
    for verb in (("jobs",), ("jobs", "--json")):
        assert len([line for line in said(settings, *verb) if expected in line]) == 1, verb
    scene = Scenes(settings).look(now())
    assert (scene.alive, scene.stale) == (True, True)


def test_what_ailed_a_daemon_is_not_told_once_it_is_gone(settings: Settings) -> None:
    tell(settings, age=3600, state="paused", problem="the disk of the outbox is full", hint="Make room.", waiting_total=7)
    for verb in (("watch",), ("service", "status")):
        text = " ".join(said(settings, *verb))
        assert "not running" in text
        assert "the disk of the outbox is full" not in text
        assert "Make room." not in text
    assert why_it_waits(settings) in said(settings, "service", "status")
    tell(settings, age=3600, state="refused", problem="the journal is damaged", hint="Restore it.")
    for verb in (("watch",), ("service", "status")):
        assert "the journal is damaged" in " ".join(said(settings, *verb))


@pytest.mark.parametrize("alive", [True, False])
def test_who_drops_or_lists_pictures_hears_that_the_outbox_is_away(settings: Settings, alive: bool, request, monkeypatch) -> None:
    """Also if no job is left to be done, and if no daemon runs that could say it."""
    paths = settings.paths
    picture = paths.home / "new.png"
    picture.write_bytes(b"a picture")
    monkeypatch.setattr("daemon.cli.verbs.submit.picture_fault", lambda *_: None)
    monkeypatch.setenv("MULTIPLANE_CONFIG", "")
    make_folders(FS, paths.journal_bytes)
    tell(settings)
    if alive:
        request.getfixturevalue("daemon")
    trouble = f"the outbox doesn't exist: {paths.outbox}"
    for away in (False, True):
        if away:
            paths.outbox.rename(paths.home / "unmounted")
        for verb in (["jobs"], ["jobs", "--json"], ["submit", str(picture)]):
            done = CliRunner().invoke(command_line(), [*verb, "--home", str(paths.home)], terminal_width=200)
            assert done.exit_code == 0
            assert (trouble in done.stderr) == away, verb


def test_nothing_waits_in_a_folder_that_is_no_home(tmp_path):
    settings = load(tmp_path / "none", {"MULTIPLANE_CONFIG": os.devnull})
    assert SnapshotReader(settings, JobQueries(FS, settings)).look(now()).waiting_total == 0
