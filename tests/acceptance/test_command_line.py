"""The command line, as a person and as a script use it."""

import json

import pytest

from daemon.contract.requests import RequestAnswer
from daemon.contract.status import Status
from tests.acceptance.home import HotFolder, picture, until


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("photos") / "beach day.png"
    path.write_bytes(picture(seed=21))
    return path


def test_submit_and_wait_gives_the_result_and_leaves_the_original(running: HotFolder, photo) -> None:
    done = running.run("submit", str(photo), "--num-layers", "3", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    status = Status.model_validate(json.loads(done.stdout)[0])
    assert (status.state, status.spec.num_layers) == ("completed", 3)
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
    ):
        done = running.verb("submit", str(photo), *arguments)
        assert done.returncode == 2
        assert said in done.stderr
    assert running.verb("submit", "/no/such/picture.png").returncode == 2
    assert "is a folder" in running.verb("submit", str(photo.parent)).stderr
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
    assert again.returncode == 2
    assert "mine" in again.stderr


def test_a_failed_job_makes_submit_wait_exit_1_and_tell_why(running: HotFolder, tmp_path) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(b"not a picture " * 500)
    done = running.verb("submit", str(path), "--wait")
    assert done.returncode == 1
    assert "not" in done.stderr
    assert "Export the picture" in done.stderr


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
    assert missing.returncode == 1
    assert "no job 'nobody'" in missing.stderr
    for verb in ("show", "cancel", "retry", "rm"):
        meant = running.verb(verb, "stor")
        assert meant.returncode == 1
        assert "Did you mean story?" in meant.stderr
    for odd in ("../x", "", "-", "ü"):
        assert running.verb("rm", "--", odd).returncode == 1
        assert "Traceback" not in running.verb("show", "--", odd).stderr


def test_show_tells_all_that_is_wrong_with_a_sidecar(running: HotFolder) -> None:
    running.drop("wrong.png", picture(), "num_layer: 3\nmode: paintery\n")
    told = running.verb("show", running.ended("wrong.png")["job_id"]).stdout
    assert "(and 1 more)" in told
    assert 'line 2: mode must be photo-realistic or painterly, not "paintery"' in told


def test_waiting_says_why(running: HotFolder) -> None:
    (running.inbox / "lonely.png").write_bytes(picture())
    until(lambda: "waiting for" in running.verb("waiting").stdout)
    items = json.loads(running.verb("waiting", "--json").stdout)
    assert "waiting for lonely" in next(item["reason"] for item in items if item["path"] == "lonely.png")


def test_check_finds_what_the_daemon_would_refuse(running: HotFolder, tmp_path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("num_layers: 5\n")
    bad.write_text("num_layer: 5\n")
    assert running.verb("check", str(good)).returncode == 0
    done = running.verb("check", str(bad))
    assert done.returncode == 1
    assert "line 1" in done.stdout
    assert "num_layers" in done.stdout
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
    assert done.returncode == 1
    answer = RequestAnswer.model_validate_json(done.stdout)
    assert [(one.job_id, one.accepted) for one in answer.answers] == [("nobody", False)]
    assert "when it starts" in answer.problem
    folder.start()
    until(lambda: not folder.of("kept.png"))


def test_a_home_that_is_not_there_is_told_and_not_made(folder: HotFolder, photo, tmp_path) -> None:
    typo = tmp_path / "typo"
    for verb in (["jobs"], ["show", "x"], ["waiting"], ["watch"], ["stats"], ["rm", "x"], ["submit", str(photo)]):
        done = folder.verb(*verb, "--home", str(typo))
        assert done.returncode == 78, verb
        assert f"the home {typo} is not there" in done.stderr
    assert not typo.exists()
    assert "is no folder" in folder.verb("jobs", "--home", str(photo)).stderr
    done = folder.run("run", "--home", str(photo))
    assert done.returncode == 78
    assert done.stderr.count("Not a directory") == 1


def test_the_home_may_stand_before_the_verb(folder: HotFolder, tmp_path) -> None:
    typo = tmp_path / "typo"
    assert f"the home {typo} is not there" in folder.verb("--home", str(typo), "jobs").stderr
    assert f"the home {typo} is not there" in folder.verb(f"--home={typo}", "waiting", "--json").stderr
    assert folder.verb("--home", str(folder.home), "jobs").returncode == 0


def test_submit_tells_that_nobody_looks_at_the_inbox(folder: HotFolder, photo) -> None:
    done = folder.verb("submit", str(photo), "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 1
    assert "The daemon is not running" in done.stderr


def test_every_verb_explains_itself(running: HotFolder) -> None:
    listed = running.verb("--help")
    assert listed.returncode == 0
    for verb in ("run", "submit", "jobs", "show", "waiting", "cancel", "retry", "rm", "check", "schema"):
        assert verb in listed.stdout
        assert "--help" in running.verb(verb, "--help").stdout


def test_a_wrong_setting_is_one_sentence(folder: HotFolder) -> None:
    folder.settings["MULTIPLANE_QUEUE__MAX_PENDNG"] = "3"
    done = folder.run("jobs")
    assert done.returncode == 78
    assert "MAX_PENDING" in done.stderr.upper()
    assert "Traceback" not in done.stderr
