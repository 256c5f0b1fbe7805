"""What is said about a daemon that runs but answers nothing. This one really stands still: it is stopped by a signal."""

import json
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder

LONG_AGO = "2026-01-31T12:00:00.000Z"


@pytest.fixture
def still(tmp_path) -> Iterator[QuickFolder]:
    """A home whose daemon stands still, and whose last report is old."""
    folder = QuickFolder(tmp_path / "home")
    folder.start()
    folder.process.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(folder.process.pid).status() == psutil.STATUS_STOPPED)
    report = folder.outbox / "daemon.json"
    report.write_text(json.dumps(folder.health() | {"alive_at": LONG_AGO, "started_at": LONG_AGO}))
    yield folder
    folder.stop(signal.SIGKILL)


def test_a_daemon_that_stands_still_is_found_by_all_who_look(still: QuickFolder) -> None:
    done = still.verb("doctor", "--json")
    assert done.returncode == 1, done.stdout
    [found] = [each for each in json.loads(done.stdout)["findings"] if each["area"] == "daemon"]
    assert found["grade"] == "problem"
    assert f"(process {still.process.pid}) has been suspended, as with Ctrl-Z" in found["sentence"]
    assert f"`kill -CONT {still.process.pid}`" in found["hint"]

    status = json.loads((asked := still.verb("service", "status", "--json")).stdout)
    assert (asked.returncode, status["alive"], status["running"]) == (3, False, True)
    scene = json.loads(still.verb("watch", "--json").stdout)
    assert (scene["alive"], scene["stale"]) == (True, True)
    assert "hasn't responded for" in scene["problem"]
