"""What `submit --wait` waits for, and what it says however the waiting ends. No daemon runs here."""

import json
import os
import signal
from pathlib import Path

import pytest
import typer
from service_scene import Scene

from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.submitting.given import Dropped, Given
from daemon.cli.submitting.waiting_for_jobs import _delivered, _Watched, wait_for
from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver
from daemon.contract.records import Ended
from daemon.outbox import status_of


def test_all_deliveries_are_looked_up_in_one_reading_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path / "home", settings={"MULTIPLANE_DELIVER__FOLDER": str(tmp_path / "there")})
    names = ("delivered", "failed", "owed", "owed-too")
    scene.pending(*names)
    scene.ledger.record(*(Ended(job=name, state="completed", owes=("delivery",)) for name in names))
    queries = JobQueries(scene.fs, scene.settings)
    ended = [(Dropped(name, b"", Path(name)), status_of(scene.history.job(name))) for name in names]
    scene.ledger.record(FollowUpFailed(job="failed", what="delivery", trouble="full"))
    scene.ledger.record(FollowUpOver(job="delivered", what="delivery", delivered=os.fspath(tmp_path / "there" / "a")))
    read, now = [], queries.history.now
    monkeypatch.setattr(queries.history, "now", lambda: read.append(1) or now())
    watched = _Watched()
    assert list(_delivered(ended, queries, scene.settings, watched, thoroughly=False)) == []
    looked = _delivered(ended, queries, scene.settings, watched, thoroughly=True)
    found = {one.job_id: status.delivered for one, status in looked}
    assert watched.undelivered == {"failed"}
    assert found == {"delivered": os.fspath(tmp_path / "there" / "a"), "failed": None}
    assert len(read) == 1


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "home", settings={"MULTIPLANE_DELIVER__FOLDER": str(tmp_path / "there")})


def waited(scene: Scene, *names: str, sleep=lambda _: None, **more) -> int:
    """Wait for the jobs of these names. Returns the exit status."""
    dropped = [Dropped(name, os.fsencode(scene.inbox / f"{name}.yaml"), Path(f"/photos/{name}.jpg")) for name in names]
    with pytest.raises(typer.Exit) as ended:
        wait_for([Given.of(one) for one in dropped], scene.settings, as_json=True, patience=0.0, sleep=sleep, **more)
    return ended.value.exit_code


def test_a_delivery_that_still_waits_shows_in_the_exit_status(scene: Scene, capsys: pytest.CaptureFixture) -> None:
    scene.pending("done")
    scene.ledger.record(Ended(job="done", state="completed", owes=("delivery",)))
    scene.ledger.record(FollowUpFailed(job="done", what="delivery", trouble="The result could not be delivered yet: no disk."))
    assert waited(scene, "done") == ExitStatus.UNDELIVERED
    said = capsys.readouterr()
    assert json.loads(said.out)[0]["state"] == "completed"
    assert "The result could not be delivered yet: no disk." in said.err


def test_every_picture_is_named_when_the_waiting_is_given_up(scene: Scene, capsys: pytest.CaptureFixture) -> None:
    scene.pending("pending", "done")
    scene.ledger.record(Ended(job="done", state="failed"))
    (scene.inbox / "waiting.yaml").touch()
    assert waited(scene, "pending", "done", "waiting", "gone") == ExitStatus.NO_DAEMON
    said = json.loads(capsys.readouterr().out)
    assert [(one["job_id"], one["state"]) for one in said] == [
        ("pending", "pending"), ("done", "failed"), ("waiting", "waiting"), ("gone", "removed"),
    ]  # fmt: skip
    assert said[2]["image"] == "/photos/waiting.jpg"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_every_picture_is_named_when_the_program_is_ended(scene: Scene, capsys: pytest.CaptureFixture, number, status) -> None:
    scene.pending("pending")
    before = signal.getsignal(signal.SIGTERM)

    def sleep(_seconds: float) -> None:
        signal.raise_signal(number)

    held = scene.fs.lock_folder(scene.settings.paths.state_bytes)  # as a daemon does
    assert waited(scene, "pending", sleep=sleep) == status
    os.close(held)
    assert json.loads(capsys.readouterr().out)[0]["job_id"] == "pending"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_result_that_cannot_be_copied_keeps_no_other_job_from_being_told(scene: Scene, capsys, tmp_path: Path) -> None:
    scene.pending("one", "two")
    scene.ledger.record(*(Ended(job=name, state="completed") for name in ("one", "two")))
    (tmp_path / "file").touch()
    assert waited(scene, "one", "two", output=tmp_path / "file" / "out") == ExitStatus.DISK
    said = capsys.readouterr()
    assert [one["job_id"] for one in json.loads(said.out)] == ["one", "two"]
    assert said.err.count("cannot be copied") == 2
