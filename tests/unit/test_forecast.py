"""What status.json says of a running job's progress."""

import pytest
from timed_jobs import job

from daemon.service.forecast import Forecast


class Scene:
    """A forecast, its clock, and what it told."""

    def __init__(self, *ended) -> None:
        self.now = 100.0
        self.progress, self.told = {}, []
        self.forecast = Forecast(self.progress, self.told.append, lambda: self.now, ended)
        self.forecast.begin(job())

    def left(self) -> float | None:
        return self.progress["job"].eta_seconds


def test_the_jobs_before_the_start_of_the_daemon_are_learned_from():
    scene = Scene(job("earlier", seconds=8.0))
    scene.forecast.moved("job", "decode", 0.0)
    assert scene.left() == pytest.approx(8.0)
    assert scene.forecast.remaining(["job"]) == pytest.approx(8.0)


def test_without_any_the_stage_and_the_share_are_told_alone():
    scene = Scene()
    scene.forecast.moved("job", "decode", 0.0)
    assert (scene.progress["job"].stage, scene.progress["job"].fraction, scene.left()) == ("decode", 0.0, None)
    assert scene.forecast.remaining(["job"]) is None


def test_while_a_worker_is_silent_the_remaining_time_goes_on_once_a_second():
    scene = Scene(job("earlier", seconds=8.0))
    scene.forecast.moved("job", "decode", 0.0)
    scene.now += 0.9
    scene.forecast.count_down()
    assert (scene.left(), scene.told) == (8.0, ["job"])
    scene.now += 0.1
    scene.forecast.count_down()
    assert (scene.left(), scene.told) == (7.0, ["job", "job"])


def test_a_job_that_ended_has_no_progress_and_teaches_the_next():
    scene = Scene()
    scene.forecast.moved("job", "decode", 0.0)
    scene.now += 6.0
    scene.forecast.end("job", completed=True)
    scene.forecast.learn(job(seconds=6.0))
    assert scene.progress == {}
    scene.forecast.begin(job())
    scene.forecast.moved("job", "decode", 0.0)
    assert scene.left() == pytest.approx(6.0)
