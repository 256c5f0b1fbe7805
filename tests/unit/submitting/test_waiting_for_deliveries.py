"""`submit --wait` tells of a completed job only when its result was delivered, or its delivery failed."""

import os
from pathlib import Path

import pytest
from service_scene import Scene

from daemon.cli.job_queries import JobQueries
from daemon.cli.submitting.waiting_for_jobs import Dropped, _delivered
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
    assert list(_delivered(ended, queries, scene.settings, thoroughly=False)) == []
    found = {one.job_id: status.delivered for one, status in _delivered(ended, queries, scene.settings, thoroughly=True)}
    assert found == {"delivered": os.fspath(tmp_path / "there" / "a"), "failed": None}
    assert len(read) == 1
