"""Moving a job's folder: to the Trash cancels or removes the job, Put Back changes nothing, to the inbox is a new job."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("trash_actions") / "home") as made:
        made.start()
        yield made


@pytest.fixture
def folder(shared: QuickFolder) -> Iterator[QuickFolder]:
    """The one running daemon; jobs that are still live at the end are cancelled."""
    yield shared
    live = [job_id for job_id, state in listed(shared).items() if state in ("pending", "processing")]
    if live:
        assert shared.verb("cancel", *live).returncode == 0
        until(lambda: not {"pending", "processing"} & set(listed(shared).values()))


def trash(folder: QuickFolder, status: dict) -> Path:
    """Move a job's folder away, as moving it to the Trash does."""
    target = folder.home / "Trash"
    target.mkdir(exist_ok=True)
    return folder.job(status).rename(target / status["job_id"])


def listed(folder: QuickFolder) -> dict[str, str]:
    """The jobs in the journal, and their states."""
    return {job["job_id"]: job["state"] for job in json.loads(folder.verb("jobs", "--json").stdout)}


def running_job(folder: QuickFolder, name: str) -> dict:
    """A job whose worker has read its picture and no longer needs its files."""
    folder.pair(name, b"hang")
    return until(lambda: [job for job in folder.of(name) if job["progress"]])[0]


def test_a_running_job_in_the_trash_is_cancelled(folder: QuickFolder) -> None:
    job = running_job(folder, "stopped.jpg")
    trash(folder, job)
    until(lambda: listed(folder)[job["job_id"]] == "cancelled")
    folder.pair("next.jpg")
    folder.done("next.jpg")
    said = [line for line in folder.log().splitlines() if job["job_id"] in line and "started" not in line]
    assert [line.partition("INFO")[2].strip() for line in said] == [
        f"{job['job_id']} was cancelled, because its folder was moved out of the outbox"
    ]


def test_a_pending_job_in_the_trash_is_cancelled(folder: QuickFolder) -> None:
    running_job(folder, "before.jpg")
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
    job = running_job(folder, "returned.jpg")
    aside = trash(folder, job)
    until(lambda: listed(folder)[job["job_id"]] == "cancelled")
    aside.rename(folder.job(job))
    until(lambda: folder.of("returned.jpg")[0]["state"] == "cancelled")
    assert folder.verb("retry", job["job_id"]).returncode == 0
    until(lambda: folder.of("returned.jpg")[0]["state"] == "processing")


def back_and_forth(folder: QuickFolder, job: dict) -> float:
    """Throw a job away and put it back; returns for how many seconds it was away."""
    begin = time.monotonic()
    trash(folder, job).rename(folder.job(job))
    away = time.monotonic() - begin
    time.sleep(0.05)
    return away


def test_put_back_before_the_second_look_is_nothing(folder: QuickFolder) -> None:
    away = 1.0
    for number in range(20):
        folder.pair(f"short{number}.jpg")
        done = folder.done(f"short{number}.jpg")
        away = max(back_and_forth(folder, done) for _ in range(20))
        if away < 0.2:  # a look may have fallen in any of these moments, two looks in none
            break
    assert away < 0.2, "this machine stalls each time"
    assert listed(folder)[done["job_id"]] == "completed"
    assert folder.job(done).exists()


def test_an_outbox_that_is_away_is_not_a_mass_deletion(folder: QuickFolder) -> None:
    folder.pair("whole.jpg")
    done = folder.done("whole.jpg")
    running = running_job(folder, "on.jpg")
    folder.outbox.rename(folder.home / "elsewhere")
    until(lambda: "/outbox is not there" in folder.log())
    folder.outbox.mkdir()  # the empty mount point
    time.sleep(1.5)  # several looks; nothing tells of what must not happen
    folder.outbox.rmdir()  # nothing was written into it either
    (folder.home / "elsewhere").rename(folder.outbox)
    until(lambda: folder.health()["state"] == "running")
    found = listed(folder)
    assert (found[done["job_id"]], found[running["job_id"]]) == ("completed", "processing")


def test_jobs_without_their_marker_are_not_deleted(folder: QuickFolder) -> None:
    """An outbox that lost everything, including its marker."""
    folder.pair("marked.jpg")
    done = folder.done("marked.jpg")
    marker, aside = folder.outbox / ".multiplane", folder.home / "everything"
    said = folder.log().count("/outbox is there, but not its marker")
    aside.mkdir()
    jobs = [path for path in folder.outbox.iterdir() if path.is_dir() and not path.name.startswith(".")]
    # The marker last: with it gone and a job there, it would be put back.
    for path in (*jobs, marker):
        path.rename(aside / path.name)
    until(lambda: folder.log().count("/outbox is there, but not its marker") > said)
    time.sleep(1.5)  # several looks; nothing tells of what must not happen
    for path in (*jobs, marker):
        (aside / path.name).rename(path)
    until(lambda: folder.health()["state"] == "running")
    assert listed(folder)[done["job_id"]] == "completed"


def test_a_marker_that_somebody_removed_is_put_back_and_a_job_is_deleted_only_by_who_throws_it_away(folder: QuickFolder) -> None:
    folder.pair("unmarked.jpg")
    done = folder.done("unmarked.jpg")
    marker = folder.outbox / ".multiplane"
    marker.unlink()
    until(marker.exists)
    until(lambda: "the marker file .multiplane of the outbox had been removed" in folder.log())
    folder.pair("goes on.jpg")
    folder.done("goes on.jpg")
    assert listed(folder)[done["job_id"]] == "completed"


@pytest.mark.parametrize("restart", [False, True])
def test_source_dragged_back_is_a_new_job_also_across_a_restart(folder: QuickFolder, *, restart: bool) -> None:
    name, order = ("again.jpg", "order-8") if restart else ("back.jpg", "order-7")
    folder.pair(name, sidecar=f"id: {order}\n".encode())
    first = folder.done(name)
    if restart:
        assert folder.stop() == 0
    for file in (name, f"{name}.yaml"):
        (folder.job(first) / "source" / file).rename(folder.inbox / file)
    if restart:
        folder.start()
    second = until(lambda: [job for job in folder.of(name) if job["job_id"] != order and job["completed_at"]])[0]
    assert (second["job_id"], second["requested_id"], second["state"]) == (f"{order}-2", order, "completed")


def test_everything_thrown_away_at_once_empties_the_list_and_work_goes_on(folder: QuickFolder) -> None:
    for number in range(3):
        folder.pair(f"p{number}.jpg")
    thrown = {folder.done(f"p{number}.jpg")["job_id"] for number in range(3)}
    for name in os.listdir(folder.outbox):
        if not name.startswith("."):
            path = folder.outbox / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    until(lambda: not thrown & listed(folder).keys() and "completed" not in listed(folder).values())
    folder.pair("emptied.jpg")
    folder.done("emptied.jpg")
