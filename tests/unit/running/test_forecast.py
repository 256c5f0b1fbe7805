"""What status.json says about a running job's progress."""

import pytest
from service_scene import SETTINGS
from service_scene import Scene as HomeScene
from timed_jobs import job

from daemon.contract.records import Ended, Publishing
from daemon.contract.status import Source
from daemon.fs import LocalFiles
from daemon.running.forecast import Forecast
from daemon.service import assemble
from daemon.settings import load


class Scene:
    """A forecast, its clock, and what it reported."""

    def __init__(self, *ended) -> None:
        self.now = 100.0
        self.progress = {}
        self.forecast = Forecast(self.progress, lambda: self.now, lambda: ended)
        self.forecast.begin(job())

    def left(self) -> float | None:
        return self.progress["job"].eta_seconds


def test_the_jobs_before_the_start_of_the_daemon_are_learned_from():
    scene = Scene(job("earlier", seconds=8.0))
    scene.forecast.progressed("job", "decode", 0.0)
    assert scene.left() == pytest.approx(8.0)
    assert scene.forecast.remaining(["job"]) == pytest.approx(8.0)


def test_without_any_the_stage_and_the_share_are_told_alone():
    scene = Scene()
    scene.forecast.progressed("job", "decode", 0.0)
    assert (scene.progress["job"].stage, scene.progress["job"].fraction, scene.left()) == ("decode", 0.0, None)
    assert scene.forecast.remaining(["job"]) is None


def test_while_a_worker_is_silent_the_remaining_time_goes_on_once_a_second():
    scene = Scene(job("earlier", seconds=8.0))
    scene.forecast.progressed("job", "decode", 0.0)
    scene.now += 0.9
    scene.forecast.count_down()
    assert scene.left() == 8.0
    scene.now += 0.1
    scene.forecast.count_down()
    assert scene.left() == 7.0


def test_the_remaining_time_of_a_job_that_hangs_is_taken_back():
    scene = Scene(job("earlier", seconds=8.0))
    scene.forecast.progressed("job", "decode", 0.0)
    scene.now += 60.0
    scene.forecast.count_down()
    assert (scene.progress["job"].stage, scene.left()) == ("decode", None)
    assert scene.forecast.remaining(["job"]) is None


def test_a_job_that_ended_has_no_progress_and_teaches_the_next():
    scene = Scene()
    scene.forecast.progressed("job", "decode", 0.0)
    scene.now += 6.0
    scene.forecast.end("job", completed=True)
    scene.forecast.learn(job(seconds=6.0))
    assert scene.progress == {}
    scene.forecast.begin(job())
    scene.forecast.progressed("job", "decode", 0.0)
    assert scene.left() == pytest.approx(6.0)


def test_the_past_is_remembered_through_any_number_of_starts(tmp_path, monkeypatch):
    # Each start is a process of its own; here they are one, and the lock of the first would last.
    monkeypatch.setattr("daemon.service.assembly.hold_lock", lambda *_: 0)
    scene = HomeScene(tmp_path)
    earlier = scene.processing("earlier")
    source = Source(image=earlier.image.to, bytes=earlier.image.size)
    made = Publishing(
        job="earlier",
        attempt=earlier.attempt.folder,
        source=source,
        outputs=(),
        manifest="m",
        processing_seconds=8.0,
        timings={"decode": 8.0},
    )
    (scene.root / "earlier" / "result").mkdir()
    scene.ledger.record(made, Ended(job="earlier", state="completed", source=source, warnings=(), processing_seconds=8.0))
    scene.journal.close()
    (tmp_path / "inbox" / ".multiplane").touch()
    settings = load(tmp_path, SETTINGS | {"MULTIPLANE_WORKER__SPARE": "false"})
    for _ in range(3):
        service = assemble(settings, LocalFiles())
        assert service.run(once=True) == 0
    assert len(service._ledger.jobs.ended) == 0, "the last segment knows nothing of it"
    service._runs.forecast.begin(earlier)
    assert service._runs.forecast.remaining(["earlier"]) == pytest.approx(8.0, abs=0.5)
