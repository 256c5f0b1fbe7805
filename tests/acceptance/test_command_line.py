"""The command line, as people and scripts use it."""

import contextlib
import errno
import getpass
import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import typer

from daemon.cli.common import settings_at
from daemon.cli.job_queries import JobQueries
from daemon.cli.submitting.dropping import drop
from daemon.cli.submitting.given import Given, PictureWithJob
from daemon.cli.submitting.waiting_for_jobs import wait_for
from daemon.contract.requests import RequestAnswer
from daemon.contract.status import Status
from daemon.fs import DirEntry, LocalFiles
from tests.acceptance.home import MULTIPLANE, HotFolder, picture, until


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("photos") / "beach day.png"
    path.write_bytes(picture(seed=21))
    return path


def test_submit_and_wait_gives_the_result_and_leaves_the_original(running: HotFolder, photo) -> None:
    done = running.run("submit", str(photo), "--num-layers", "3", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    status = PictureWithJob.model_validate(json.loads(done.stdout)[0])
    assert (status.image, status.outcome, status.state, status.spec.num_layers) == (str(photo), "submitted", "completed", 3)
    assert photo.exists()
    assert (running.outbox / status.job_id / "result" / "layer_manifest.json").exists()
    assert {"manifest", "layer", "depth", "composite", "psd", "preview", "contact_sheet"} == {
        output.kind for output in status.outputs
    }


def test_submit_takes_the_depth_picture_beside_the_photo(running: HotFolder, tmp_path) -> None:
    (tmp_path / "scene.png").write_bytes(picture(64, 48))
    (tmp_path / "scene.depth.png").write_bytes(picture(64, 48, seed=2))
    done = running.verb("submit", str(tmp_path / "scene.png"), "--wait", "--json")
    # The made-up depth picture is in colour, which is told; that it was told shows that it was taken along.
    status = json.loads(done.stdout)[0]
    assert status["state"] == "completed" or status["error"]["code"] == "depth_unreadable"
    assert (running.job(status) / "source" / "scene.depth.png").exists()


def test_submit_refuses_what_the_daemon_would_refuse(running: HotFolder, photo) -> None:
    for arguments, said in (
        (["--num-layers", "99"], "num_layers"),
        (["--mode", "painterly", "--style", "oil-stroke"], "oil-strokes"),
        (["--id", "No!"], "multiplane: id must be"),
        (["--id", ""], "multiplane: --id is empty"),
    ):
        done = running.verb("submit", str(photo), *arguments)
        assert done.returncode == 2
        assert said in done.stderr
    assert running.verb("submit", "/no/such/picture.png").returncode == 2
    assert "is a folder" in running.verb("submit", str(photo.parent)).stderr
    assert "the name is too long" in running.verb("submit", f"{'z' * 251}.jpg").stderr
    assert not any(running.inbox.glob("beach*"))


def test_a_name_with_dots_is_submitted_twice_under_two_names(folder: HotFolder, tmp_path) -> None:
    path = tmp_path / "IMG.2024.png"
    path.write_bytes(picture())
    assert folder.verb("submit", str(path)).returncode == 0
    assert folder.verb("submit", str(path)).returncode == 0
    assert sorted(item.name for item in folder.inbox.glob("*.png")) == ["IMG.2024-2.png", "IMG.2024.png"]


def test_submit_refuses_an_id_that_another_job_has(running: HotFolder, photo) -> None:
    assert running.verb("submit", str(photo), "--id", "mine", "--wait").returncode == 0
    again = running.verb("submit", str(photo), "--id", "mine", "--wait")
    assert again.returncode == 5
    assert "mine" in again.stderr


def test_a_script_gets_its_results_where_it_wants_them_and_only_once(running: HotFolder, photo, tmp_path) -> None:
    target = tmp_path / "out" / "layers"
    (running.inbox / "four layers").mkdir()
    (running.inbox / "four layers" / "_preset.yaml").write_text("num_layers: 4\n")
    words = ("submit", str(photo), "--preset", "four layers", "--split", "0.2,0.4,0.7", "--formats", "none")
    done = running.verb(*words, "--output", str(target), "--json")
    assert done.returncode == 0, done.stderr
    (status,) = json.loads(done.stdout)
    folder = target / photo.stem
    assert (status["preset"], status["delivered"]) == ("four layers", str(folder))
    assert status["folder"] == str(running.outbox / status["job_id"])
    assert status["owner"] == getpass.getuser()
    assert (status["spec"]["split"], status["spec"]["formats"]) == ([0.2, 0.4, 0.7], [])
    assert min(path.name for path in folder.glob("Layer_*")) == "Layer_1_background.png"
    assert not (folder / "layers.psd").exists()
    again = running.verb(*words, "--output", str(target), "--json")
    assert again.returncode == 5
    assert "is there already" in json.loads(again.stderr)["error"]["message"]
    skipped = running.verb(*words, "--output", str(target), "--if-exists", "skip", "--json")
    assert (skipped.returncode, json.loads(skipped.stdout)) == (0, [status | {"outcome": "skipped"}])
    assert [one["preset"] for one in running.of(photo.name)].count("four layers") == 1
    wrong = running.verb(*words[:2], "--preset", "five layers")
    assert wrong.returncode == 2
    assert "four layers" in wrong.stderr


def test_a_wrong_option_is_told_as_json_to_a_program(folder: HotFolder) -> None:
    done = folder.verb("jobs", "--json", "--stat", "failed")
    assert done.returncode == 2
    assert "--stat" in json.loads(done.stderr)["error"]["message"]


def test_a_picture_that_gets_a_number_in_the_inbox_is_copied_under_its_own_name(running: HotFolder, photo, tmp_path) -> None:
    waiting = running.inbox / photo.name  # without a YAML file it stays there, and takes the name
    waiting.write_bytes(photo.read_bytes())
    target = tmp_path / "layers"
    words = ("submit", str(photo), "--depth", "cues", "--output", str(target), "--if-exists", "skip")
    assert running.verb(*words).returncode == 0
    assert [path.name for path in target.iterdir()] == [photo.stem]
    again = running.verb(*words)
    assert (again.returncode, "is skipped" in again.stderr) == (0, True)
    waiting.unlink()


def test_a_failed_job_makes_submit_wait_exit_1_and_tell_why(running: HotFolder, tmp_path) -> None:
    path = tmp_path / "damaged.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20) + b"IEND\xaeB`\x82")
    done = running.verb("submit", str(path), "--wait")
    assert done.returncode == 1
    assert "damaged.png" in done.stderr
    assert "image_unreadable" in running.run("jobs", "--state", "failed", "--json").stdout


def test_a_file_that_is_no_picture_is_refused_before_it_is_dropped(running: HotFolder, tmp_path) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(b"not a picture " * 500)
    for verb, status in (("check", 1), ("submit", 2)):
        done = running.verb(verb, str(path))
        assert done.returncode == status
        assert "text.jpg is a text file, not a picture." in done.stdout + done.stderr
        assert "Drop a picture instead" in done.stdout + done.stderr
    assert not list(running.inbox.glob("text*"))


def test_jobs_lists_filters_and_pages(running: HotFolder, photo) -> None:
    assert running.verb("submit", str(photo), "--id", "listed", "--wait").returncode == 0
    everything = json.loads(running.run("jobs", "--json").stdout)
    assert "listed" in [job["job_id"] for job in everything]
    completed = json.loads(running.verb("jobs", "--state", "completed", "--json").stdout)
    assert completed
    assert all(Status.model_validate(job).state == "completed" for job in completed)
    assert json.loads(running.verb("jobs", "--page", "99", "--json").stdout) == []
    assert "listed" in running.verb("jobs").stdout


def test_show_tells_the_story_in_order(running: HotFolder, photo) -> None:
    assert running.verb("submit", str(photo), "--id", "story", "--wait").returncode == 0
    story = json.loads(running.verb("show", "story", "--json").stdout)
    events = [event["event"] for event in story["events"]]
    assert events == ["accepted", "claimed", "started", "started", "publishing", "ended"]
    assert "completed" in running.verb("show", "story").stdout
    missing = running.verb("show", "nobody")
    assert missing.returncode == 4
    assert 'no job "nobody"' in missing.stderr
    for verb in ("show", "cancel", "retry", "rm"):
        meant = running.verb(verb, "stor")
        assert meant.returncode == 4
        assert "Did you mean story?" in meant.stderr
    for odd in ("../x", "", "-", "ü"):
        assert running.verb("rm", "--", odd).returncode == 4
        assert "Traceback" not in running.verb("show", "--", odd).stderr


def test_show_tells_all_that_is_wrong_with_a_sidecar(running: HotFolder) -> None:
    running.drop("wrong.png", picture(), "num_layer: 3\nmode: paintery\n")
    told = running.verb("show", running.ended("wrong.png")["job_id"]).stdout
    assert 'line 1: unknown field "num_layer"' in told
    assert 'line 2: mode must be photo-realistic or painterly, not "paintery"' in told


def test_waiting_says_why(running: HotFolder) -> None:
    (running.inbox / "lonely.png").write_bytes(picture())
    until(lambda: "waiting for" in running.verb("waiting").stdout)
    items = json.loads(running.verb("waiting", "--json").stdout)
    assert "waiting for lonely" in next(item["reason"] for item in items if item["path"] == "lonely.png")


@pytest.mark.parametrize(("bytes_left", "said"), [(0, "is empty"), (500, "its end is missing")])
def test_a_picture_that_is_not_all_there_is_refused_before_it_is_dropped(folder: HotFolder, photo, bytes_left, said) -> None:
    part = photo.with_name(f"part{bytes_left}.png")
    part.write_bytes(photo.read_bytes()[:bytes_left])
    for verb, status in (("submit", 2), ("check", 1)):
        done = folder.verb(verb, str(part))
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done
    depth = part.rename(part.with_suffix(".depth.png"))
    assert "depth_unreadable" in folder.verb("check", str(depth)).stdout


#: One that prints JSON, one that prints through rich, one whose process becomes the pipeline's, and one that is no verb.
PRINTING = (["jobs", "--json"], ["config"], ["models", "list"], ["--help"])


def printing_to(folder: HotFolder, words: list[str], output: int) -> tuple[int, str]:
    """Exit status and standard error of a command whose standard output is this descriptor."""
    done = subprocess.run(
        [MULTIPLANE, *words], env=folder.environment, stdout=output, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stderr.replace("\n", " ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_an_output_that_cannot_be_written_is_one_sentence(folder: HotFolder, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        status, told = printing_to(folder, words, full.fileno())
    assert status == 74
    assert told.count("the output cannot be written: No space left on device") == 1
    assert "Traceback" not in told


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_an_output_that_nobody_reads_any_more_ends_it_quietly(folder: HotFolder, words: list[str]) -> None:
    """As `| head -1` does."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert printing_to(folder, words, writing) == (141, "")
    finally:
        os.close(writing)


def test_check_finds_what_the_daemon_would_refuse(running: HotFolder, tmp_path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("num_layers: 5\n")
    bad.write_text("num_layer: 5\n")
    assert running.verb("check", str(good)).returncode == 0
    done = running.verb("check", str(bad))
    assert done.returncode == 1
    assert "line 1" in done.stdout
    assert "num_layers" in done.stdout
    (odd := tmp_path / "photo.yaml.txt").write_text("num_layers: 5\n")
    assert "rename it to photo.yaml" in running.verb("check", str(odd)).stdout
    results = json.loads(running.verb("check", "--json", str(good), str(bad)).stdout)
    assert [result["ok"] for result in results] == [True, False]


def test_schema_prints_a_json_schema(running: HotFolder) -> None:
    for which in ("sidecar", "status", "manifest"):
        assert json.loads(running.verb("schema", which).stdout)["type"] == "object"


def test_a_request_without_a_daemon_is_done_at_the_next_start(folder: HotFolder) -> None:
    folder.start()
    folder.drop("kept.png", picture())
    job_id = folder.ended("kept.png")["job_id"]
    folder.stop()
    refused = folder.verb("cancel", job_id)
    assert refused.returncode == 1
    assert "already ended (completed)" in refused.stderr
    done = folder.verb("rm", "nobody", job_id, "--json")
    assert done.returncode == 4
    answer = RequestAnswer.model_validate_json(done.stdout)
    assert [(one.job_id, one.accepted) for one in answer.answers] == [("nobody", False), (job_id, None)]
    assert "when it starts" in answer.problem
    folder.start()
    until(lambda: not folder.of("kept.png"))


def test_once_says_that_not_everything_was_taken(folder: HotFolder) -> None:
    folder.put("alone.jpg", b"a picture without a sidecar")
    done = folder.run("run", "--once")
    assert done.returncode == 0
    assert "one item stays in the inbox" in done.stderr


def test_a_home_that_is_not_there_is_told_and_not_made(folder: HotFolder, photo, tmp_path) -> None:
    typo = tmp_path / "typo"
    for verb in (["jobs"], ["show", "x"], ["waiting"], ["watch"], ["stats"], ["rm", "x"], ["submit", str(photo)]):
        done = folder.verb(*verb, "--home", str(typo))
        assert done.returncode == 78, verb
        assert f"the home {typo} does not exist" in done.stderr
    assert not typo.exists()
    assert "is not a folder" in folder.verb("jobs", "--home", str(photo)).stderr
    other = tmp_path / "pictures"
    other.mkdir()
    (other / "holiday.jpg").touch()
    for verb in (["jobs"], ["waiting"], ["watch"], ["stats"], ["rm", "x"], ["prune", "--older-than", "1d"]):
        done = folder.verb(*verb, "--home", str(other))
        assert done.returncode == 78, verb
        assert f"{other} is no home of Multiplane" in done.stderr
    assert folder.verb("submit", str(photo), "--home", str(other)).returncode == 78
    assert [path.name for path in other.iterdir()] == ["holiday.jpg"]


def test_who_submits_into_an_empty_folder_makes_it_a_home_with_presets(folder: HotFolder, photo, tmp_path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    done = folder.verb("submit", str(photo), "--home", str(new))
    assert done.returncode == 0, done.stderr
    assert "it takes the pictures when it starts" in done.stderr
    assert {photo.name, f"{photo.name}.yaml", "photo in 4 layers"} <= {path.name for path in (new / "inbox").iterdir()}
    assert folder.verb("jobs", "--home", str(new)).returncode == 0
    done = folder.run("run", "--home", str(photo))
    assert done.returncode == 78
    assert done.stderr.count("Not a directory") == 1


def test_the_home_may_stand_before_the_verb(folder: HotFolder, tmp_path) -> None:
    typo = tmp_path / "typo"
    assert f"the home {typo} does not exist" in folder.verb("--home", str(typo), "jobs").stderr
    assert f"the home {typo} does not exist" in folder.verb(f"--home={typo}", "waiting", "--json").stderr
    assert folder.verb("--home", str(folder.home), "jobs").returncode == 0
    for unset in (["jobs", "--home", ""], ["--home", "", "jobs"]):
        done = folder.verb(*unset)
        assert done.returncode == 2
        assert "--home is empty" in done.stderr


def test_submit_tells_that_nobody_looks_at_the_inbox(folder: HotFolder, photo) -> None:
    done = folder.verb("submit", str(photo), "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 1
    assert "The daemon isn't running" in done.stderr


def test_two_submits_of_one_name_at_once_lose_neither_picture(folder: HotFolder, tmp_path) -> None:
    """Both would find the name free: a barrier lets each see the inbox before the other has put its picture there."""
    inbox, meet = os.fsencode(folder.inbox), threading.Barrier(2)

    class Slow(LocalFiles):
        def scan(self, path: bytes) -> list[DirEntry]:
            found = super().scan(path)
            if path == inbox:
                with contextlib.suppress(threading.BrokenBarrierError):
                    meet.wait(0.3)
            return found

    paths = [tmp_path / "one" / "photo.png", tmp_path / "two" / "PHOTO.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_bytes(picture(seed=number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daemon.cli.submitting.dropping.fs", Slow())
        settings = settings_at(folder.home)
        drops = [lambda path=path: drop(path, {"id": path.parent.name}, settings) for path in paths]
        with ThreadPoolExecutor(2) as pool:
            ids = {future.result().job_id for future in [pool.submit(one) for one in drops]}
    assert ids == {"one", "two"}
    pictures = {path.name.casefold(): path.read_bytes() for path in folder.inbox.glob("*.png")}
    assert set(pictures) == {"photo.png", "photo-2.png"}
    assert set(pictures.values()) == {path.read_bytes() for path in paths}
    assert len(list(folder.inbox.glob("*.yaml"))) == 2
    assert not list(folder.inbox.glob(".*.part"))


def test_waiting_without_a_daemon_is_given_up_and_loses_nothing(folder: HotFolder, photo) -> None:
    done = folder.verb("submit", str(photo), "--id", "patient", "--wait", "--patience", "0.1", "--json")
    assert done.returncode == 75
    (submitted,) = json.loads(done.stdout)
    assert submitted == {
        "image": str(photo), "outcome": "submitted", "job_id": "patient", "state": "waiting", "delivered": None, "error": None,
    }  # fmt: skip
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert (told[0]["job_id"], told[0]["image"]) == ("patient", str(photo)), "before the waiting begins"
    assert "waiting 0.1 s for it" in done.stderr
    assert "no daemon has been running for 0.1 s; the picture waits for it" in done.stderr
    assert (folder.inbox / photo.name).read_bytes() == photo.read_bytes()


def test_a_daemon_that_comes_back_in_time_is_waited_for(folder: HotFolder, photo) -> None:
    """Half of the patience, a daemon for a moment, then half again: patience starts anew when a daemon ends."""
    settings, ticks, held = settings_at(folder.home), [0.0], list[int]()
    dropped = drop(photo, {"id": "patient"}, settings)
    state = settings.paths.state_bytes
    os.makedirs(state, exist_ok=True)

    def sleep(seconds: float) -> None:
        ticks[0] += seconds
        if 5 <= ticks[0] < 7 and not held:
            held.append(LocalFiles().lock_folder(state))
        elif ticks[0] >= 7 and held:
            os.close(held.pop())

    with pytest.raises(typer.Exit) as ended:
        wait_for([Given.of(dropped)], settings, as_json=False, patience=8.0, clock=lambda: ticks[0], sleep=sleep)
    assert ended.value.exit_code == 75
    assert 15 <= ticks[0] < 17


def test_a_daemon_that_begins_as_patience_ends_is_waited_for(folder: HotFolder, photo) -> None:
    settings, ticks, held = settings_at(folder.home), [0.0], list[int]()
    dropped = drop(photo, {"id": "patient"}, settings)
    os.makedirs(settings.paths.state_bytes, exist_ok=True)

    def sleep(seconds: float) -> None:
        ticks[0] += seconds
        if ticks[0] >= 7.9 and not held:
            held.append(LocalFiles().lock_folder(settings.paths.state_bytes))
        if ticks[0] >= 20:
            raise InterruptedError("it still waits")

    with pytest.raises(InterruptedError):
        wait_for([Given.of(dropped)], settings, as_json=False, patience=8.0, clock=lambda: ticks[0], sleep=sleep)
    os.close(held.pop())


def test_what_was_taken_back_is_not_waited_for(folder: HotFolder, photo) -> None:
    settings = settings_at(folder.home)
    dropped = drop(photo, {"id": "regretted"}, settings)
    for path in folder.inbox.glob("*.*"):
        path.unlink()
    with pytest.raises(typer.Exit) as ended:
        wait_for([Given.of(dropped)], settings, as_json=False, patience=8.0)
    assert ended.value.exit_code == 4


def test_a_lock_that_one_may_not_write_can_still_be_asked(folder: HotFolder, monkeypatch) -> None:
    """As another user of the machine, who can only read the home's files."""
    settings = settings_at(folder.home)
    settings.paths.state.mkdir()

    class Foreign(LocalFiles):
        def lock(self, path: bytes) -> int | None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    looking, holder = JobQueries(Foreign(), settings), LocalFiles().lock_folder(settings.paths.state_bytes)
    assert looking.daemon_runs()
    os.close(holder)
    assert not looking.daemon_runs()


def test_what_the_disk_refuses_is_one_sentence(folder: HotFolder) -> None:
    segment = folder.home / ".state" / "journal" / "00000001.jsonl"
    segment.mkdir(parents=True)
    done = folder.verb("jobs")
    assert done.returncode == 74
    assert f"{segment} cannot be read or written: not a regular file" in done.stderr.replace("\n", "")


def test_every_verb_explains_itself(running: HotFolder) -> None:
    listed = running.verb("--help")
    assert listed.returncode == 0
    for verb in ("run", "submit", "jobs", "show", "waiting", "cancel", "retry", "rm", "check", "schema"):
        assert verb in listed.stdout
        assert "--help" in running.verb(verb, "--help").stdout


def test_a_wrong_setting_is_one_sentence(folder: HotFolder) -> None:
    folder.settings["MULTIPLANE_QUEUE__MAX_PENDNG"] = "3"
    done = folder.run("rm", "x")
    assert done.returncode == 78
    assert "MAX_PENDING" in done.stderr.upper()
    assert "Traceback" not in done.stderr
