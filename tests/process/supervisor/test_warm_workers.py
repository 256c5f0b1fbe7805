"""The warm worker: one is ready, loaded for the next job, replaced when stale, and never slows a running job."""

import os
import selectors
import time
from pathlib import Path

import psutil
import pytest
from supervised import QUICK, acting

from daemon.contract.records import Accepted, Claimed, ClaimedFile, Started
from daemon.contract.spec import JobSpec
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import Entry
from daemon.outbox import Outbox
from daemon.running.model_inventory import ModelInventory
from daemon.running.warm_workers import LEAD_SECONDS, WarmWorkers
from daemon.settings import load
from daemon.supervisor import Supervisor, SupervisorRules
from tests.waiting import SLOWEST

GIB = 1 << 30


class Home:
    """A home with warm workers only; the test sets time, memory and the program on the disk."""

    def __init__(self, folder: Path, behaviour: str = "good", **settings: str) -> None:
        variables = {"MULTIPLANE_CONFIG": ""} | {f"MULTIPLANE_WORKER__{key.upper()}": value for key, value in settings.items()}
        self.settings = load(folder, variables)
        self.outbox = Outbox(LocalFiles(), os.fsencode(folder / "outbox"))
        self.outbox.prepare()
        self.jobs = Jobs()
        self.selector = selectors.DefaultSelector()
        self.now, self.free, self.program, self.left = 1000.0, 8 * GIB, 1, None
        self.supervisor = Supervisor(
            self.selector,
            LocalFiles(),
            SupervisorRules(**QUICK),
            argv=acting(behaviour),
            clock=lambda: self.now,
        )
        self.supervisor.subscribe(self)
        self.warm_workers = WarmWorkers(
            self.settings,
            self.outbox,
            self.jobs,
            ModelInventory(str(folder / "models")),
            self.supervisor,
            remaining=lambda: self.left,
            available=lambda: self.free,
            program=lambda: self.program,
        )

    def on_progress(self, *_told) -> None:
        """Do nothing."""

    def on_end(self, *_told) -> None:
        """Do nothing."""

    def maintain(self, **options: bool) -> None:
        self.warm_workers.maintain(self.now, **options)

    def serve(self, until, seconds: float = 20.0) -> None:
        limit = time.monotonic() + seconds * SLOWEST
        while not until():
            assert time.monotonic() < limit, "it did not happen in time"
            for key, mask in self.selector.select(0.02):
                key.data(mask)
            self.supervisor.tick()

    def later(self, seconds: float) -> None:
        """Advance the clock once the dismissed workers are gone: their exit takes real time."""
        self.serve(lambda: not self.supervisor._dying)
        self.now += seconds

    def ready(self) -> str:
        """Wait until the one warm worker is ready, and return what it has loaded."""
        self.maintain()
        self.serve(lambda: [spare for spare in self.supervisor.warm_workers() if spare.ready])
        (spare,) = self.supervisor.warm_workers()
        return spare.warm

    def work(self) -> list[str]:
        while self.outbox.remove_more():
            pass  # on a slow machine, a folder is removed in several passes of the loop
        return os.listdir(os.fsdecode(self.outbox.work))

    def job(self, name: str, *, running: bool = False, **wishes) -> None:
        """Add a job that waits or runs."""
        image = ClaimedFile(role="image", name="a.jpg", to="a.jpg", ino=1, size=9, mtime_ns=0)
        records = [Accepted(job=name, files=(image,), spec=JobSpec(**wishes)), Claimed(job=name)]
        records += [Started(job=name, attempt="elsewhere")] if running else []
        for record in records:
            seq = len(self.jobs.live) + 1
            self.jobs.apply(Entry(seq, seq, "2026-01-31T12:00:00.000Z", record))


@pytest.fixture
def home(tmp_path):
    made = []

    def make(*arguments, **options) -> Home:
        made.append(Home(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.supervisor.shutdown()


def test_one_spare_stands_ready_and_the_next_job_gets_its_folder(home):
    supervised = home()
    assert supervised.ready() == "light"
    supervised.maintain()
    (name,) = supervised.work()
    assert supervised.warm_workers.take("light") == name
    assert supervised.warm_workers.take("light") is None
    assert supervised.warm_workers.next_look(supervised.now) == float("inf")


def test_no_spare_where_none_is_configured_or_nothing_will_come(home):
    supervised = home(spare="false")
    supervised.maintain()
    assert supervised.work() == []
    other = home()
    other.maintain(wanted=False)
    assert other.work() == []


def test_it_is_started_as_long_before_the_end_as_spares_take_to_get_ready(home):
    supervised = home()
    supervised.maintain()
    supervised.later(0.5)  # the time that it takes, as far as the test is concerned
    supervised.ready()
    supervised.maintain()
    assert supervised.warm_workers.lead_seconds("light") == pytest.approx(0.75)
    assert supervised.warm_workers.lead_seconds("depth") == LEAD_SECONDS["depth"]
    supervised.warm_workers.take("light")
    supervised.job("running", running=True)
    supervised.left = 1.0
    supervised.maintain()
    assert supervised.warm_workers.next_look(supervised.now) == pytest.approx(supervised.now + 0.25)
    supervised.left = 0.7
    supervised.maintain()
    assert len(supervised.supervisor.warm_workers()) == 2, "the one that was taken, and the next"


def test_a_spare_that_was_not_ready_in_time_is_started_earlier_the_next_time(home):
    supervised = home("never_ready")
    supervised.maintain()
    assert supervised.warm_workers.take("light") is not None
    assert supervised.warm_workers.lead_seconds("light") > LEAD_SECONDS["light"]


@pytest.mark.parametrize(("left", "there"), [(None, 0), (LEAD_SECONDS["light"] + 1, 0), (LEAD_SECONDS["light"] - 0.1, 1)])
def test_a_running_job_is_disturbed_only_towards_its_end(home, left, there):
    supervised = home()
    supervised.job("running", running=True)
    supervised.left = left
    supervised.maintain()
    assert len(supervised.work()) == there


@pytest.mark.parametrize(
    ("wishes", "warm"), [({"depth": "model"}, "depth"), ({"mode": "painterly", "style": "oil"}, "painting"), ({}, "light")]
)
def test_the_spare_is_warmed_for_the_next_job(home, wishes, warm):
    supervised = home()
    supervised.job("running", running=True)
    supervised.job("next", **wishes)
    supervised.left = LEAD_SECONDS[warm] - 1
    assert supervised.ready() == warm


@pytest.mark.parametrize(("wishes", "warm"), [({"depth": "model"}, "depth"), ({}, "light")])
def test_where_the_end_of_a_job_cannot_be_told_a_spare_is_started_if_another_job_waits(home, wishes, warm):
    supervised = home()
    supervised.job("running", running=True)
    supervised.job("next", **wishes)
    supervised.left = None
    assert supervised.ready() == warm


def test_a_spare_that_has_more_than_the_next_job_asks_for_is_kept_and_one_that_has_less_is_not(home):
    supervised = home()
    supervised.job("first", mode="painterly", style="oil")
    assert supervised.ready() == "painting"
    (name,) = supervised.work()
    supervised.job("first", running=True)
    supervised.left = 1.0
    supervised.job("next", depth="model")
    supervised.maintain()
    assert supervised.work() == [name]


def test_a_light_spare_makes_room_when_the_next_job_needs_a_model(home, tmp_path):
    supervised = home()
    assert supervised.ready() == "light"
    supervised.job("running", running=True)
    supervised.left = 1.0
    supervised.job("next", depth="auto")
    supervised.maintain()
    assert supervised.supervisor.warm_workers()[0].warm == "light", "no model is installed"
    (tmp_path / "models" / "depth-anything-v2-small").mkdir(parents=True)
    (tmp_path / "models" / "depth-anything-v2-small" / "multiplane.json").touch()
    assert supervised.ready() == "depth"
    assert len(supervised.work()) == 1


def test_a_spare_that_still_loads_more_than_the_job_asks_for_is_no_gain(home):
    supervised = home("never_ready")
    supervised.job("next", mode="painterly", style="oil")
    supervised.maintain()
    assert supervised.warm_workers.take("light") is None
    assert supervised.work() == []
    supervised.maintain()
    assert supervised.warm_workers.take("painting") is not None, "what it has loaded so far need not be loaded again"


def test_a_changed_program_makes_the_spare_useless(home):
    supervised = home()
    supervised.ready()
    supervised.program = 2
    assert supervised.warm_workers.take("light") is None
    assert supervised.work() == []
    supervised.ready()
    assert supervised.warm_workers.take("light") is not None


def test_the_program_is_looked_at_once_a_minute(home):
    supervised = home()
    supervised.ready()
    supervised.program, before = 2, supervised.work()
    supervised.later(55)
    supervised.maintain()
    assert supervised.work() == before
    supervised.later(10)
    supervised.maintain()
    assert supervised.work() != before


def test_an_old_spare_is_replaced(home):
    supervised = home(spare_seconds="60")
    supervised.ready()
    before = supervised.work()
    supervised.later(50)
    supervised.maintain()
    assert supervised.work() == before
    supervised.later(20)
    supervised.ready()
    assert len(supervised.work()) == 1
    assert supervised.work() != before


def test_a_spare_gives_way_when_memory_is_short_and_comes_back(home):
    supervised = home()
    supervised.ready()
    supervised.free = 50 << 20
    supervised.later(11)
    supervised.maintain()
    assert supervised.work() == []
    supervised.free = 200 << 20
    supervised.later(11)
    supervised.maintain()
    assert supervised.work() == [], "it would have to go again at once"
    supervised.free = GIB
    supervised.later(11)
    supervised.ready()


def test_a_spare_that_died_is_replaced_but_not_more_than_once_a_minute(home):
    supervised = home("die_as_spare")
    supervised.maintain()
    supervised.serve(lambda: not supervised.supervisor.warm_workers())
    supervised.maintain()
    assert supervised.work() == []
    assert supervised.warm_workers.next_look(supervised.now) == supervised.now + 60
    supervised.later(59)
    supervised.maintain()
    assert supervised.work() == []
    supervised.later(2)
    supervised.maintain()
    assert len(supervised.work()) == 1


def test_a_job_does_not_take_a_spare_that_is_dead_or_whose_folder_is_gone(home):
    supervised = home()
    supervised.ready()
    (child,) = [each for each in psutil.Process().children() if "actor.py" in " ".join(each.cmdline())]
    child.kill()
    supervised.serve(lambda: not supervised.supervisor.warm_workers())
    assert supervised.warm_workers.take("light") is None
    supervised.maintain()
    supervised.later(61)
    supervised.ready()
    (name,) = supervised.work()
    supervised.outbox.discard_attempt(name)
    assert supervised.warm_workers.take("light") is None


def test_a_discarded_spare_leaves_no_process_and_no_folder(home):
    supervised = home()
    supervised.ready()
    supervised.warm_workers.discard("the test says so")
    assert supervised.work() == []
    supervised.serve(supervised.supervisor.idle)
