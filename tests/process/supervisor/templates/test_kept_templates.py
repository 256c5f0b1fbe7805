"""Which templates are held: one is loaded when it is wanted, renewed when it is outdated, and dropped when it costs too much."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from supervised import SupervisedWorkers, acting

from daemon.running.kept_templates import IDLE_SECONDS, KeptTemplates

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are templates only on Linux")
GIB = 1 << 30


class Kept:
    """Templates, with time, memory and program set by the test."""

    def __init__(self, workers: SupervisedWorkers, *, enabled: bool = True) -> None:
        self.workers, self.templates = workers, workers.supervisor.templates
        self.now, self.free, self.program = 1000.0, 8 * GIB, 1
        self.kept = KeptTemplates(
            self.templates, started_from=lambda: (self.program,), available=lambda: self.free, enabled=enabled
        )

    def ready(self) -> int:
        """Want a light template, and wait until it is ready; returns its process."""
        self.kept.want("light", self.now)
        self.workers.loop(lambda: self.templates.is_ready("light"))
        return self.templates.pids()["light"]

    def later(self, seconds: float) -> bool:
        """Advance the clock and look; returns whether the template is still held."""
        self.now += seconds
        self.kept.look(self.now)
        return self.templates.is_held("light")


@pytest.fixture
def workers(tmp_path) -> Iterator[SupervisedWorkers]:
    made = SupervisedWorkers(tmp_path, acting("good", forked=True), forked=False)
    made.supervisor.templates._possible = True
    yield made
    made.drop_templates()


@pytest.fixture
def kept(workers) -> Kept:
    return Kept(workers)


def test_a_template_is_loaded_once_for_all_who_want_it(kept):
    assert not kept.kept.can_fork("light")
    kept.kept.want("light", kept.now)
    assert kept.kept.is_loading("light")
    pid = kept.ready()
    assert kept.kept.can_fork("light")
    assert not kept.kept.can_fork("depth")
    assert kept.ready() == pid


def test_where_none_are_wanted_none_is_loaded(workers):
    kept = Kept(workers, enabled=False)
    kept.kept.want("light", kept.now)
    assert workers.supervisor.templates.are_gone()


def test_a_template_goes_when_nobody_has_wanted_it_for_long(kept):
    kept.ready()
    assert kept.later(IDLE_SECONDS - 20)
    kept.kept.want("light", kept.now)
    assert kept.later(IDLE_SECONDS - 20)
    assert not kept.later(40)
    kept.workers.loop(kept.templates.are_gone)


def test_a_template_goes_when_memory_is_short_and_comes_back(kept):
    kept.ready()
    kept.free = 50 << 20
    assert not kept.later(20)
    kept.free = 200 << 20
    kept.kept.want("light", kept.now)
    assert not kept.templates.is_held("light"), "it would have to go again at once"
    kept.free = GIB
    kept.ready()


def test_a_template_of_another_program_forks_nothing(kept):
    pid = kept.ready()
    kept.kept.drop_useless()
    assert kept.templates.is_ready("light")
    kept.program = 2
    kept.kept.drop_useless()
    assert not kept.templates.is_held("light")
    assert kept.ready() != pid


def test_a_template_is_renewed_after_many_forks(kept, monkeypatch):
    monkeypatch.setattr("daemon.running.kept_templates.MAX_FORKS", 2)
    pid = kept.ready()
    for _ in range(2):
        kept.kept.drop_useless()
        kept.workers.ends.clear()
        kept.workers.start()
        kept.workers.loop(lambda: kept.workers.ends)
    assert kept.templates.pids()["light"] == pid
    kept.kept.drop_useless()
    assert not kept.templates.is_held("light")
    assert kept.ready() != pid


def test_a_template_that_died_is_loaded_again_but_not_more_than_once_a_minute(kept):
    pid = kept.ready()
    os.kill(pid, signal.SIGKILL)
    kept.workers.loop(lambda: not kept.templates.is_held("light"))
    assert not kept.later(1)
    kept.kept.want("light", kept.now)
    assert not kept.templates.is_held("light")
    kept.later(61)
    assert kept.ready() != pid
