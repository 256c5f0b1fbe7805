"""A script that runs again submits what is not there yet: `--if-exists`, and the folder of `--output`. No daemon runs here."""

import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from job_records import publishing
from service_scene import Scene

from daemon.cli.common import settings_at
from daemon.cli.submitting.dropping import drop
from daemon.cli.submitting.existing_jobs import ExistingJobs
from daemon.cli.submitting.if_exists import IfExists, WhatIsThere
from daemon.contract.records import Accepted, Claimed, ClaimedFile, Ended, Started
from daemon.contract.spec import JobSpec
from daemon.contract.status import Output
from daemon.fs import LocalFiles
from tests.acceptance.home import HotFolder, picture


@pytest.fixture
def folder(tmp_path):
    return HotFolder(tmp_path / "home")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    return path


def usual(settings, **fields) -> JobSpec:
    """The settings of a job without a sidecar, except for these."""
    return JobSpec.model_validate(settings.spec_defaults | fields)


@pytest.fixture
def job(folder, photo):
    """Makes a job of the picture, or of another one of its name, as the daemon records it. Returns the scene."""
    scene = Scene(folder.home)

    def job(name: str, state: str | None = None, data: bytes | None = None, *, manifest: bytes = b"{}", **spec):
        data = photo.read_bytes() if data is None else data
        source = scene.root / name / "source"
        source.mkdir(parents=True)
        (source / "photo-2.png").write_bytes(data)
        file = ClaimedFile(role="image", name="photo-2.png", to="photo-2.png", ino=1, size=len(data), mtime_ns=1)
        scene.ledger.record(Accepted(job=name, files=(file,), spec=usual(scene.settings, **spec)), Claimed(job=name))
        if state is not None:
            (scene.root / name / "result").mkdir()
            (scene.root / name / "result" / "layer_manifest.json").write_bytes(manifest)
            digest = hashlib.sha256(manifest).hexdigest()
            output = Output(path="result/layer_manifest.json", kind="manifest", bytes=len(manifest), sha256=digest)
            published = replace(publishing(name), outputs=(output,))
            scene.ledger.record(Started(job=name, attempt="x"), *((published,) if state == "completed" else ()))
            scene.ledger.record(Ended(job=name, state=state))
        return scene

    return job


def waiting(folder) -> set[str]:
    return {path.name for path in folder.inbox.glob("*.png")}


def test_a_picture_that_waits_in_the_inbox_is_there_whatever_number_it_got(folder, photo) -> None:
    (folder.inbox / "photo.png").write_bytes(b"another picture of that name")
    (folder.inbox / "photo.png.yaml").write_text("num_layers: 3\n")
    (first,) = folder.verb("submit", str(photo)).stdout.split()
    again = folder.verb("submit", str(photo), "--if-exists", "skip")
    assert (again.returncode, again.stdout.split()) == (0, [first]), again.stderr
    assert f"is skipped: it waits in the inbox as {first}" in " ".join(again.stderr.split())
    failed = folder.verb("submit", str(photo), "--if-exists", "fail")
    assert (failed.returncode, failed.stdout) == (5, "")
    assert waiting(folder) == {"photo.png", "photo-2.png"}
    assert folder.verb("submit", str(photo), "--if-exists", "new").returncode == 0
    assert waiting(folder) == {"photo.png", "photo-2.png", "photo-3.png"}


@pytest.mark.parametrize("state", [None, "completed"])
def test_a_picture_whose_job_runs_or_is_completed_is_there(folder, photo, job, state) -> None:
    job("made", state)
    again = folder.verb("submit", str(photo), "--if-exists", "skip", "--json")
    (told,) = json.loads(again.stdout)
    assert (again.returncode, told["job_id"], told["outcome"], waiting(folder)) == (0, "made", "skipped", set())
    failed = folder.verb("submit", str(photo), "--if-exists", "fail", "--json")
    error = next(json.loads(line)["error"] for line in failed.stderr.splitlines() if "error" in line)
    assert (failed.returncode, error["file"]) == (5, str(photo))


def test_another_content_other_settings_or_a_failed_job_is_not_the_same(folder, photo, job) -> None:
    job("other", "completed", b"another content")
    job("failed", "failed")
    job("six", "completed", num_layers=6)
    assert folder.verb("submit", str(photo), "--if-exists", "fail").returncode == 0
    assert waiting(folder) == {"photo.png"}


def test_a_depth_picture_makes_another_pair(folder, photo) -> None:
    assert folder.verb("submit", str(photo)).returncode == 0
    photo.with_suffix(".depth.png").write_bytes(picture(seed=2))
    assert folder.verb("submit", str(photo), "--if-exists", "fail").returncode == 0
    assert folder.verb("submit", str(photo), "--if-exists", "fail").returncode == 5


def test_a_picture_that_is_named_twice_is_submitted_once(folder, photo) -> None:
    done = folder.verb("submit", str(photo), str(photo), "--if-exists", "skip")
    assert (done.returncode, len(done.stdout.split()), waiting(folder)) == (0, 1, {"photo.png"})


def test_two_submits_of_one_picture_at_once_submit_it_once(folder, photo) -> None:
    """Each has seen that nothing is there before the other drops it."""
    settings, meet = settings_at(folder.home), threading.Barrier(2)

    def submit(name: str) -> str:
        existing = ExistingJobs(settings, usual(settings), settings.paths.inbox, None, [photo])
        there = WhatIsThere(settings, existing, IfExists.SKIP, None)
        assert existing.of(photo) is None
        meet.wait(20)
        return drop(photo, {"id": name}, settings, None, lambda: there.instead(photo, None)).job_id

    with ThreadPoolExecutor(2) as pool:
        ids = set(pool.map(submit, ("one", "two")))
    assert len(ids) == 1
    assert waiting(folder) == {"photo.png"}
    assert not list(folder.inbox.glob(".*"))


def test_an_id_that_waits_in_the_inbox_is_taken(folder, photo, tmp_path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(picture(seed=3))
    assert folder.verb("submit", str(photo), "--id", "mine").returncode == 0
    for choice, image, status in ((None, photo, 5), ("fail", photo, 5), ("skip", photo, 0), ("skip", other, 5)):
        words = ("--if-exists", choice) if choice else ()
        assert folder.verb("submit", str(image), "--id", "mine", *words).returncode == status, (choice, image)
    assert waiting(folder) == {"photo.png"}
    new = folder.verb("submit", str(photo), "--id", "mine", "--if-exists", "new")
    assert (new.returncode, "The id mine is taken" in new.stderr) == (0, True)
    assert new.stdout.strip() != "mine"


def test_a_folder_with_a_result_of_another_picture_of_that_name_is_no_reason_to_skip(folder, photo, job, tmp_path) -> None:
    scene = job("other", "completed", b"another content", manifest=b'{"its": 1}')
    output = tmp_path / "out"
    shutil.copytree(scene.root / "other" / "result", output / "photo")
    words = ("submit", str(photo), "--output", str(output), "--if-exists", "skip", "--patience", "0")
    assert folder.verb(*words).returncode == 75
    assert waiting(folder) == {"photo.png"}
    shutil.copytree(job("made", "completed", manifest=b'{"its": 2}').root / "made" / "result", output / "photo 2")
    again = folder.verb(*words, "--json")
    assert (again.returncode, f"{output / 'photo 2'} is there already" in json.loads(again.stderr)["note"]) == (0, True)
    (told,) = json.loads(again.stdout)
    assert (told["outcome"], told["delivered"]) == ("skipped", str(output / "photo 2"))


def test_a_result_of_which_nobody_knows_what_it_was_made_of_is_left_alone(folder, photo, tmp_path) -> None:
    (tmp_path / "out" / "photo").mkdir(parents=True)
    (tmp_path / "out" / "photo" / "layer_manifest.json").write_text('{"layers": []}')
    words = ("submit", str(photo), "--output", str(tmp_path / "out"))
    skipped = folder.verb(*words, "--if-exists", "skip", "--json")
    assert (skipped.returncode, json.loads(skipped.stdout)) == (0, [{
        "image": str(photo), "outcome": "skipped", "job_id": None, "state": None, "delivered": str(tmp_path / "out" / "photo"),
        "error": None,
    }])  # fmt: skip
    assert folder.verb(*words).returncode == 5
    assert waiting(folder) == set()


@pytest.mark.parametrize("found", ["nothing", "other files", "no layers", "a file"])
def test_a_folder_without_a_whole_result_is_no_reason_to_skip(folder, photo, job, tmp_path, found) -> None:
    job("other", "completed", b"another")
    place = tmp_path / "out" / "photo"
    place.parent.mkdir()
    if found == "a file":
        place.touch()
    else:
        place.mkdir()
    if found == "other files":
        (place / "notes.txt").touch()
    if found == "no layers":
        (place / "layer_manifest.json").write_text('{"layers": [{"file": "Layer_1_background.png"}]}')
    done = folder.verb("submit", str(photo), "--output", str(place.parent), "--if-exists", "skip", "--patience", "0")
    assert done.returncode == 75  # it waits for a daemon, which does not run here
    assert waiting(folder) == {"photo.png"}


def test_a_result_that_is_not_in_the_folder_yet_is_copied_and_a_name_that_is_taken_is_told(folder, photo, job, tmp_path) -> None:
    output = tmp_path / "out"
    job("made", "completed")
    shutil.copytree(job("other", "completed", b"another", manifest=b"[]").root / "other" / "result", output / "photo")
    words = ("submit", str(photo), "--output", str(output), "--patience", "0", "--if-exists", "skip")
    done = folder.verb(*words)
    assert done.returncode == 0, done.stderr
    assert (output / "photo 2" / "layer_manifest.json").exists()
    assert f"was copied to {output / 'photo 2'}: the name photo was taken" in " ".join(done.stderr.split())
    assert waiting(folder) == set()


@pytest.mark.parametrize(
    ("place", "status", "said"),
    [
        ("", 2, "--output is empty"),
        ("home/inbox", 2, "is inside the inbox of this home"),
        ("home/inbox/new/deep", 2, "is inside the inbox of this home"),
        ("home/outbox/layers", 2, "is inside the outbox of this home"),
        ("link", 2, "is inside the outbox of this home"),
        ("photo.png", 2, "is not a folder"),
        ("photo.png/below", 2, "is not a folder"),
        pytest.param("locked", 77, "Permission denied", marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write")),
    ],
)
def test_a_folder_that_cannot_take_results_is_refused_before_anything_is_submitted(
    folder, photo, tmp_path, place, status, said
) -> None:
    (folder.home / "outbox").mkdir()
    (tmp_path / "link").symlink_to(folder.home / "outbox")
    (tmp_path / "locked").mkdir(mode=0o500)
    done = folder.verb("submit", str(photo), "--output", str(tmp_path / place) if place else "")
    assert (done.returncode, waiting(folder)) == (status, set()), done.stderr
    assert said in " ".join(done.stderr.split())
    assert not (folder.inbox / "new").exists()


def test_the_folder_for_results_is_made_and_nothing_is_left_of_the_trial(folder, photo, tmp_path) -> None:
    assert folder.verb("submit", str(photo), "--output", str(tmp_path / "new" / "out"), "--patience", "0").returncode == 75
    assert list((tmp_path / "new" / "out").iterdir()) == []


def test_the_journal_is_searched_once_for_all_pictures(folder, photo, job, tmp_path, monkeypatch) -> None:
    scene = job("made", "completed")
    scene.ledger.begin_segment()
    photos = [photo, *(tmp_path / f"{number}.png" for number in range(3))]
    for path in photos[1:]:
        path.write_bytes(picture(seed=int(path.stem)))
    read, whole = [], LocalFiles.read
    monkeypatch.setattr(LocalFiles, "read", lambda fs, path, limit: read.append((path, limit)) or whole(fs, path, limit))
    existing = ExistingJobs(scene.settings, usual(scene.settings), scene.settings.paths.inbox, None, photos)
    assert [found and found.job_id for found in map(existing.of, photos)] == ["made", None, None, None]
    # Of a segment that continues another, the first line is read as well.
    assert sum(path.endswith(b".jsonl") and limit > 4096 for path, limit in read) == 2


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_did_not_complete_is_no_result(folder, photo, job, state) -> None:
    job("made", state)
    again = folder.verb("submit", str(photo), "--if-exists", "skip", "--json")
    assert (again.returncode, json.loads(again.stdout)[0]["outcome"], waiting(folder)) == (0, "submitted", {"photo.png"})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, ("cancel", "made")),
        ("completed", ("rm", "made")),
        ("completed", ("prune", "--older-than", "0m")),
        ("completed", ("prune", "--older-than", "0m", "--keep-source")),
    ],
)
def test_a_job_that_is_to_be_cancelled_or_removed_is_no_result_either(folder, photo, job, state, words) -> None:
    job("made", state)
    assert folder.verb(*words).returncode == 0
    again = folder.verb("submit", str(photo), "--if-exists", "skip", "--json")
    assert (again.returncode, json.loads(again.stdout)[0]["outcome"], waiting(folder)) == (0, "submitted", {"photo.png"})


def test_a_picture_in_the_inbox_that_is_to_be_cancelled_is_submitted_anew(folder, photo) -> None:
    (first,) = folder.verb("submit", str(photo)).stdout.split()
    assert folder.verb("cancel", first).returncode == 0
    (second,) = folder.verb("submit", str(photo), "--if-exists", "skip").stdout.split()
    assert (second != first, waiting(folder)) == (True, {"photo.png", "photo-2.png"})
    assert folder.verb("submit", str(photo), "--if-exists", "skip").stdout.split() == [second]
