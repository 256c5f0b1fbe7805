"""Kills, stops, time limits and cancels: work continues, nothing is done twice, and nothing is left behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.home import HotFolder, picture, until
from tests.acceptance.quick import QuickFolder, quick_folder
from tests.waiting import SLOWEST


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    """A home with the real worker and short pauses."""
    with quick_folder(tmp_path / "home") as made:
        made.options = ("--real-worker",)
        yield made


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[QuickFolder]:
    """A home with the quick worker, for tests that do not depend on the worker."""
    with quick_folder(tmp_path / "home") as made:
        made.start()
        yield made


def large() -> bytes:
    """A picture that takes a second or two on an idle machine."""
    return picture(1600, 1200, form="JPEG")


def start_held(folder: HotFolder, name: str, data: bytes) -> list[psutil.Process]:
    """Start the daemon and a job, and suspend its worker, so that the job is running however fast the machine is."""
    folder.settings["MULTIPLANE_WORKER__SPARE"] = "false"
    folder.start()
    folder.drop(name, data, "num_layers: 8\nformats: []\n")
    held = until(folder.workers)
    assert isinstance(held, list)
    for worker in held:
        worker.suspend()
    until(lambda: folder.of(name) and folder.of(name)[0]["state"] == "processing")
    return held


def go_on(held: list[psutil.Process]) -> None:
    for worker in held:
        worker.resume()


def test_a_job_survives_the_kill_of_the_daemon_and_completes_once(folder: HotFolder) -> None:
    start_held(folder, "survivor.jpg", picture(form="JPEG"))
    (status,) = folder.of("survivor.jpg")
    original = (folder.job(status) / "source" / "survivor.jpg").read_bytes()
    folder.stop(signal.SIGKILL)
    until(lambda: not folder.workers(), 5.0)
    assert not (folder.job(status) / "result").exists()
    folder.settings["MULTIPLANE_WORKER__SPARE"] = "true"
    folder.start()
    after = folder.ended("survivor.jpg", 90)
    assert (after["state"], after["job_id"]) == ("completed", status["job_id"])
    assert after["attempts"] == 2
    assert (folder.job(after) / "source" / "survivor.jpg").read_bytes() == original
    folder.stop()  # with the spare that stands ready for a next job
    assert os.listdir(folder.outbox / ".work") == []
    assert folder.workers() == []


def test_a_stop_is_clean_quick_and_no_attempt(folder: HotFolder) -> None:
    held = start_held(folder, "stopped.jpg", picture(800, 600, form="JPEG"))
    (status,) = folder.of("stopped.jpg")
    go_on(held)
    assert folder.stop() == 0
    assert folder.workers() == []
    assert folder.health()["state"] == "stopped"
    assert folder.of("stopped.jpg")[0]["state"] == "pending"
    folder.start()
    after = folder.ended("stopped.jpg", 90)
    assert (after["state"], after["attempts"], after["job_id"]) == ("completed", 1, status["job_id"])


def test_a_job_over_its_time_limit_ends_within_limit_and_grace_and_the_next_one_runs(folder: HotFolder) -> None:
    folder.settings["MULTIPLANE_WORKER__SPARE"] = "false"
    folder.settings["MULTIPLANE_WORKER__GRACE_SECONDS"] = "1"
    folder.drop("long.jpg", large(), "num_layers: 12\ntimeout_seconds: 0.5\npriority: 10\n")
    folder.drop("next.png", picture())
    folder.start()
    status = folder.ended("long.jpg")
    assert (status["state"], status["error"]["code"], status["attempts"]) == ("failed", "timeout", 1)
    assert status["processing_seconds"] < (0.5 + 1 + 0.5) * SLOWEST  # and half a second to reap it
    assert not (folder.job(status) / "result").exists()
    assert (folder.job(status) / "source" / "long.jpg").exists()
    assert folder.ended("next.png")["state"] == "completed"


def test_a_running_job_is_cancelled(folder: HotFolder) -> None:
    held = start_held(folder, "unwanted.jpg", large())
    (status,) = folder.of("unwanted.jpg")
    go_on(held)
    assert folder.verb("cancel", status["job_id"]).returncode == 0
    after = folder.ended("unwanted.jpg", 15)
    assert (after["state"], after["error"]["code"]) == ("cancelled", "cancelled")
    assert not (folder.job(after) / "result").exists()
    assert (folder.job(after) / "source" / "unwanted.jpg").exists()
    folder.stop()
    assert os.listdir(folder.outbox / ".work") == []


def test_a_pending_job_is_cancelled_retried_and_removed(quick: QuickFolder) -> None:
    quick.pair("busy.jpg", b"hang")
    busy = until(lambda: [job for job in quick.of("busy.jpg") if job["state"] == "processing"])[0]
    quick.pair("later.png")
    status = until(lambda: quick.of("later.png"))[0]
    assert quick.verb("cancel", status["job_id"]).returncode == 0
    assert quick.ended("later.png")["state"] == "cancelled"
    assert quick.verb("rm", busy["job_id"]).returncode == 1  # it runs
    assert quick.verb("retry", status["job_id"]).returncode == 0
    until(lambda: quick.of("later.png")[0]["state"] == "pending")
    assert quick.verb("cancel", busy["job_id"]).returncode == 0
    until(lambda: quick.of("later.png")[0]["state"] == "completed")
    assert quick.verb("rm", status["job_id"]).returncode == 0
    assert not quick.job(status).exists()
    assert quick.verb("show", status["job_id"]).returncode == 4


def test_a_second_daemon_on_one_home_is_refused(quick: QuickFolder) -> None:
    second = quick.run("run")
    assert second.returncode == 75
    assert "already running" in second.stderr
    assert quick.is_alive()
