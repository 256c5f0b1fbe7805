"""A dropped folder with one job.yaml is a batch: its jobs share an id, and the folder is removed when it is done."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("batches") / "home") as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    """A second home, whose daemon stops and starts."""
    with quick_folder(tmp_path_factory.mktemp("restarted") / "home") as made:
        made.start()
        yield made


def drop(folder: QuickFolder, name: str, *pictures: str, data: bytes = b"good", spec: bytes = b"num_layers: 5\n") -> Path:
    """Make a folder elsewhere on the disk and move it in as a whole, as Finder does."""
    aside = folder.home / name
    aside.mkdir()
    for picture in pictures:
        (aside / picture).write_bytes(data)
    (aside / "job.yaml").write_bytes(spec)
    return aside.rename(folder.inbox / name)


def jobs_of(folder: QuickFolder, *pictures: str) -> list[dict]:
    """The jobs of these pictures, once all have ended."""
    return [folder.ended(picture, 20) for picture in pictures]


def test_the_jobs_of_a_batch_share_an_id_and_its_spec(running: QuickFolder) -> None:
    drop(running, "holiday", "h1.jpg", "h2.jpg", "h3.jpg")
    jobs = jobs_of(running, "h1.jpg", "h2.jpg", "h3.jpg")
    assert len({job["batch"] for job in jobs}) == 1
    assert "holiday" in jobs[0]["batch"]
    assert [job["spec"]["num_layers"] for job in jobs] == [5, 5, 5]


def test_when_the_pictures_are_taken_job_yaml_is_filed_and_the_folder_goes(running: QuickFolder) -> None:
    place = drop(running, "party", "p1.jpg", "p2.jpg", spec=b"num_layers: 4  # mine\n")
    (place / ".DS_Store").write_bytes(b"what Finder likes to remember")
    (place / "._job.yaml").write_bytes(b"the Mac's half of it")
    jobs = jobs_of(running, "p1.jpg", "p2.jpg")
    until(lambda: not place.exists(), 10)
    filed = [path for job in jobs if (path := running.job(job) / "source" / "job.yaml").exists()]
    assert [path.read_bytes() for path in filed] == [b"num_layers: 4  # mine\n"]
    assert (filed[0].parent / "._job.yaml").read_bytes() == b"the Mac's half of it"


def test_what_is_not_ours_keeps_the_folder_and_is_named(running: QuickFolder) -> None:
    place = drop(running, "keep", "k1.jpg")
    (place / "notes.txt").write_text("mine")
    running.done("k1.jpg")
    running.waits("keep", "all its pictures were taken; the folder stays because of notes.txt")
    assert sorted(os.listdir(place)) == ["job.yaml", "notes.txt"]
    (place / "notes.txt").unlink()
    until(lambda: not place.exists(), 10)


def test_a_folder_of_the_same_name_on_another_day_is_another_batch(running: QuickFolder) -> None:
    first = drop(running, "again", "a1.jpg")
    one = running.done("a1.jpg")
    until(lambda: not first.exists(), 10)
    drop(running, "again", "a2.jpg")
    assert running.done("a2.jpg")["batch"] != one["batch"]


def test_a_batch_folder_taken_back_and_dropped_anew_is_another_batch(running: QuickFolder) -> None:
    place = drop(running, "moved", "m1.jpg")
    (place / "notes.txt").write_text("mine")
    one = running.done("m1.jpg")
    running.waits("moved", "the folder stays")
    aside = place.rename(running.home / "moved back")
    until(lambda: "moved" not in running.waiting(), 10)
    (aside / "notes.txt").unlink()
    (aside / "m2.jpg").write_bytes(b"good")
    aside.rename(place)
    assert running.done("m2.jpg")["batch"] != one["batch"]


def test_pictures_that_come_later_belong_to_the_same_batch_also_after_a_restart(restarted: QuickFolder) -> None:
    place = drop(restarted, "long", "l1.jpg", "l2.jpg")
    (place / "notes.txt").write_text("mine")  # so that the folder stays, however slow this is
    one, two = jobs_of(restarted, "l1.jpg", "l2.jpg")
    assert restarted.stop() == 0
    (place / "l3.jpg").write_bytes(b"good")
    restarted.start()
    three = restarted.done("l3.jpg")
    assert one["batch"] == two["batch"] == three["batch"]
    (place / "notes.txt").unlink()
    until(lambda: not place.exists(), 10)
    assert b"job.yaml" in restarted.source(three)


def test_a_batch_that_was_done_before_a_restart_still_ends(restarted: QuickFolder) -> None:
    place = drop(restarted, "short", "s1.jpg")
    (place / "notes.txt").write_text("mine")
    done = restarted.done("s1.jpg")
    assert restarted.stop() == 0
    (place / "notes.txt").unlink()
    restarted.start()
    until(lambda: not place.exists(), 10)
    assert b"job.yaml" in restarted.source(done)


def test_a_batch_can_be_cancelled_and_retried_by_its_folders_name(running: QuickFolder) -> None:
    running.pair("other.jpg", b"hang")
    until(lambda: running.of("other.jpg") and running.of("other.jpg")[0]["state"] == "processing")
    drop(running, "many", "n1.jpg", "n2.jpg", "n3.jpg")
    until(lambda: len([job for job in running.statuses() if "many" in (job["batch"] or "")]) == 3, 15)
    assert running.verb("cancel", "--batch", "many").returncode == 0
    jobs = jobs_of(running, "n1.jpg", "n2.jpg", "n3.jpg")
    assert [job["state"] for job in jobs] == ["cancelled"] * 3
    assert running.of("other.jpg")[0]["state"] == "processing"
    unknown = running.verb("cancel", "--batch", "nobody")
    assert (unknown.returncode, "there is no batch nobody" in unknown.stderr) == (4, True)
    assert running.verb("jobs", "--batch", "nobody").returncode == 4
    assert running.verb("retry", "--batch", jobs[0]["batch"]).returncode == 0
    assert running.verb("cancel", running.of("other.jpg")[0]["job_id"]).returncode == 0
    for name in ("n1.jpg", "n2.jpg", "n3.jpg"):
        until(lambda name=name: running.of(name)[0]["state"] == "completed", 20)
    assert (
        running.verb("jobs", "--batch", "many", "--json").stdout
        == running.verb("jobs", "--batch", jobs[0]["batch"], "--json").stdout
    )
    listed = json.loads(running.verb("jobs", "--batch", jobs[0]["batch"], "--json").stdout)
    assert len(listed) == 3


def test_images_names_which_pictures_of_a_batch_are_meant(running: QuickFolder) -> None:
    place = drop(running, "some", "x1.jpg", "x1.png", "y1.jpg", spec=b'images: ["x*.jpg"]\n')
    running.done("x1.jpg")
    assert running.waits("some/y1.jpg", "not listed under")
    assert (place / "x1.png").exists()
    for name in ("x1.png", "y1.jpg"):
        (place / name).unlink()
