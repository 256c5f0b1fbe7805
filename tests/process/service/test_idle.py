"""An idle daemon wakes seldom, and nevertheless does in time what people rely on. Time passes only while its loop sleeps."""

import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.contract.requests import Request
from daemon.fs import LocalFiles
from daemon.outbox import ALIVE_SECONDS
from daemon.service import assemble
from daemon.service.loop import Service
from daemon.settings import load
from daemon.views.view_writer import ViewWriter
from daemon.watch import HEALTH_SECONDS

MINUTES = 3


class Rest:
    """Runs a daemon without a warm worker. `times`: when its loop woke by itself, in seconds since the start."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.times = home, list[float]()
        self._now = self._began = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: self._now)
        settings = load(home, {"MULTIPLANE_CONFIG": os.devnull, "MULTIPLANE_WORKER__SPARE": "false"})
        self._service: Service = assemble(settings, LocalFiles())
        self._service._folder.watch._clock = time.monotonic
        self._select = self._service._selector.select
        self._do: Callable[[float], None] = lambda _: None
        monkeypatch.setattr(self._service._selector, "select", self._sleep)

    @property
    def now(self) -> float:
        return self._now - self._began

    def run(self, seconds: float, do: Callable[[float], None] = lambda _: None) -> None:
        """Run until this time. `do` is called with the time before each sleep."""
        self._do, self._until = do, seconds
        assert self._service.run() == 0

    def _sleep(self, timeout: float) -> list[object]:
        self._do(self.now)
        ready = self._select(0)
        if not ready:
            self._now += timeout
            self.times.append(self.now)
        if self.now >= self._until:
            self._service._stop_signal = 15
        return ready


@pytest.fixture
def rest(tmp_path, monkeypatch):
    return Rest(tmp_path, monkeypatch)


def test_an_idle_daemon_wakes_once_per_health_check_and_once_per_rescan(rest):
    rest.run(MINUTES * 60)
    settled = [at for at in rest.times if at > 20]
    assert len(settled) <= (MINUTES * 60 - 20) / HEALTH_SECONDS + MINUTES + 1, settled


def test_an_idle_daemon_reports_in_time_that_it_is_alive(rest, monkeypatch):
    written, write = list[float](), ViewWriter._health

    def noting(views: ViewWriter):
        written.append(rest.now)
        return write(views)

    monkeypatch.setattr(ViewWriter, "_health", noting)
    rest.run(MINUTES * 60)
    assert max(after - before for before, after in itertools.pairwise(written)) <= ALIVE_SECONDS
    assert written[-1] >= MINUTES * 60 - ALIVE_SECONDS


def test_a_request_that_no_event_reported_is_answered_at_the_next_health_check(rest):
    folder = rest.home / ".state" / "requests"
    put = list[float]()

    def ask(now: float) -> None:
        if now > 31 and not put:
            rest._service._request_watch.stop()  # from now on, the system reports nothing
            (folder / "r.json").write_text(Request(verb="cancel", jobs=("nobody",)).model_dump_json())
            put.append(now)
        if put and (folder / "r.answer.json").exists():
            put.append(now)

    rest.run(60, ask)
    assert len(put) > 1
    assert put[1] - put[0] <= HEALTH_SECONDS


def test_an_outbox_that_disappears_and_returns_is_noticed_at_the_next_health_checks(rest):
    outbox, away = rest.home / "outbox", rest.home / "away"
    said = list[tuple[float, str]]()

    def move(now: float) -> None:
        if 31 < now <= 60 and outbox.exists():
            outbox.rename(away)
        elif now > 60 and away.exists():
            shutil.move(away, outbox)
        said.append((now, rest._service._views.state))

    rest.run(90, move)
    assert {state for at, state in said if 31 + 2 * HEALTH_SECONDS < at <= 60} == {"offline"}
    assert {state for at, state in said if at > 60 + 2 * HEALTH_SECONDS} == {"running"}
