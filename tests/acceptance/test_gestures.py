"""A job's folder in the outbox: the Trash cancels or removes the job, Put Back is nothing, dragged back it is a new one."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder

pytestmark = pytest.mark.xdist_group("gestures")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path / "home") as made:
        made.start()
        yield made


def trash(folder: QuickFolder, status: dict) -> Path:
    """Move a job's folder away, as the Trash does."""
    target = folder.home / "Trash"
    target.mkdir(exist_ok=True)
    return folder.job(status).rename(target / status["job_id"])


def listed(folder: QuickFolder) -> dict[str, str]:
    """What the journal knows: jobs and their states."""
    return {job["job_id"]: job["state"] for job in json.loads(folder.run("jobs", "--json").stdout)}


def running_job(folder: QuickFolder, name: str = "running.jpg") -> dict:
    folder.pair(name, b"hang")
    return until(lambda: [job for job in folder.of(name) if job["state"] == "processing"])[0]


def looks(folder: QuickFolder) -> None:
    """Let the daemon look at its health a few times."""
    for _ in range(3):
        before = folder.health()["alive_at"]
        until(lambda before=before: folder.health()["alive_at"] != before, 12)


def test_a_running_job_in_the_trash_is_cancelled(folder: QuickFolder) -> None:
    job = running_job(folder)
    trash(folder, job)
    until(lambda: listed(folder)[job["job_id"]] == "cancelled")
    folder.pair("next.jpg")
    folder.done("next.jpg")


def test_a_pending_job_in_the_trash_is_cancelled(folder: QuickFolder) -> None:
    running_job(folder)
    folder.pair("pending.jpg")
    pending = until(lambda: folder.of("pending.jpg"))[0]
    trash(folder, pending)
    until(lambda: listed(folder)[pending["job_id"]] == "cancelled")


def test_an_ended_job_in_the_trash_is_removed_and_its_id_is_free(folder: QuickFolder) -> None:
    folder.pair("first.jpg", sidecar=b"id: mine\n")
    trash(folder, folder.done("first.jpg"))
    until(lambda: "mine" not in listed(folder))
    folder.pair("second.jpg", sidecar=b"id: mine\n")
    assert folder.done("second.jpg")["job_id"] == "mine"


def test_put_back_after_a_cancel_shows_that_it_was_cancelled(folder: QuickFolder) -> None:
    job = running_job(folder)
    aside = trash(folder, job)
    until(lambda: listed(folder)[job["job_id"]] == "cancelled")
    aside.rename(folder.job(job))
    until(lambda: folder.of("running.jpg")[0]["state"] == "cancelled")
    assert folder.run("retry", job["job_id"]).returncode == 0
    until(lambda: folder.of("running.jpg")[0]["state"] == "processing")


def test_put_back_before_the_second_look_is_nothing(tmp_path: Path) -> None:
    """With the product's own five seconds between two looks, so that there is a moment in between."""
    with quick_folder(tmp_path / "home", SLOW_HEALTH="1") as folder:
        folder.start()
        folder.pair("short.jpg")
        done = folder.done("short.jpg")
        aside = trash(folder, done)
        aside.rename(folder.job(done))
        looks(folder)
        assert listed(folder)[done["job_id"]] == "completed"


def test_an_outbox_that_is_away_is_not_a_mass_deletion(folder: QuickFolder) -> None:
    folder.pair("done.jpg")
    done = folder.done("done.jpg")
    running = running_job(folder)
    folder.outbox.rename(folder.home / "elsewhere")
    until(lambda: "is not the outbox" in folder.log())
    folder.outbox.mkdir()  # the empty mount point
    time.sleep(1.5)  # several looks; nothing tells of what must not happen
    folder.outbox.rmdir()  # nothing was written into it either
    (folder.home / "elsewhere").rename(folder.outbox)
    until(lambda: folder.health()["state"] == "running")
    until(lambda: listed(folder) == {done["job_id"]: "completed", running["job_id"]: "processing"}, 5)


def test_jobs_without_their_marker_are_not_deleted(folder: QuickFolder) -> None:
    folder.pair("marked.jpg")
    done = folder.done("marked.jpg")
    marker = folder.outbox / ".multiplane"
    marker.rename(folder.home / "marker")
    until(lambda: "is not the outbox" in folder.log())
    aside = trash(folder, done)
    time.sleep(1.5)  # several looks; nothing tells of what must not happen
    aside.rename(folder.job(done))
    (folder.home / "marker").rename(marker)
    until(lambda: folder.health()["state"] == "running")
    assert listed(folder)[done["job_id"]] == "completed"


@pytest.mark.parametrize("restart", [False, True])
def test_source_dragged_back_is_a_new_job_also_across_a_restart(folder: QuickFolder, *, restart: bool) -> None:
    folder.pair("back.jpg", sidecar=b"id: order-7\n")
    first = folder.done("back.jpg")
    if restart:
        assert folder.stop() == 0
    for name in ("back.jpg", "back.jpg.yaml"):
        (folder.job(first) / "source" / name).rename(folder.inbox / name)
    if restart:
        folder.start()
    second = until(lambda: [job for job in folder.of("back.jpg") if job["job_id"] != "order-7" and job["completed_at"]])[0]
    assert (second["job_id"], second["requested_id"], second["state"]) == ("order-7-2", "order-7", "completed")


def test_everything_thrown_away_at_once_empties_the_list_and_work_goes_on(folder: QuickFolder) -> None:
    for number in range(3):
        folder.pair(f"p{number}.jpg")
    for number in range(3):
        folder.done(f"p{number}.jpg")
    for name in os.listdir(folder.outbox):
        if not name.startswith("."):
            path = folder.outbox / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    until(lambda: listed(folder) == {})
    folder.pair("after.jpg")
    folder.done("after.jpg")
