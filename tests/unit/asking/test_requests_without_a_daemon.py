"""What is asked while no daemon runs is either kept and carried out, in order, or refused at once: nothing is dropped later."""

import json
import os

import pytest
from service_scene import Scene

from daemon.cli.asking import sending_requests
from daemon.cli.asking.sending_requests import _name_after
from daemon.contract.records import Ended, Started
from daemon.contract.requests import RequestAnswer
from daemon.errors import Internal
from tests.acceptance.home import HotFolder


@pytest.fixture
def folder(tmp_path):
    return HotFolder(tmp_path / "home")


@pytest.fixture
def scene(folder):
    """In that home, a pending job, a failed one, and two that are completed; no daemon runs."""
    scene = Scene(folder.home)
    scene.pending("waits", "failed", "done", "other")
    scene.ledger.record(*(Started(job=job_id, attempt="x") for job_id in ("failed", "done", "other")))
    scene.ledger.record(Ended(job="failed", state="failed", error=Internal("it did").info()))
    scene.ledger.record(*(Ended(job=job_id, state="completed") for job_id in ("done", "other")))
    return scene


def carry_out(scene) -> dict[str, bool]:
    """Let the daemon carry out everything. Returns what it says to each job, and whether it accepted it."""
    for _ in range(3):
        scene.requests.handle()
        while scene.parts.copies.advance():
            pass
    answers = [json.loads(path.read_text()) for path in sorted(scene.requests_folder.glob("*.answer.json"))]
    assert not [answer["problem"] for answer in answers if answer["problem"]]
    assert len(list(scene.requests_folder.glob("*.json"))) == len(answers)
    return {one["sentence"]: one["accepted"] for answer in answers for one in answer["answers"]}


@pytest.mark.parametrize(
    "lines",
    [
        ["redo done", "rm done"],
        ["redo done", "rm done other", "cancel waits", "rm waits"],
        ["retry failed", "cancel failed", "rm failed"],
        ["rm failed failed"],
        ["cancel waits", "retry waits"],
    ],
)
def test_what_was_accepted_is_carried_out_in_order(folder, scene, lines) -> None:
    for line in lines:
        done = folder.verb(*line.split())
        assert (done.returncode, "is kept" in done.stderr) == (0, True), line
    scene.runs.cancel = lambda job: scene.ledger.record(Ended(job=job.job_id, state="cancelled"))
    assert all(carry_out(scene).values())


@pytest.mark.parametrize(
    ("before", "line", "status", "said"),
    [
        ("rm done", "redo done", 4, "done is to be removed already"),
        ("rm done", "rm done", 4, "done is to be removed already"),
        ("rm failed", "retry failed", 4, "failed is to be removed already"),
        ("retry failed", "rm failed", 1, "failed has not ended yet (pending); cancel it first"),
        ("retry failed", "retry failed", 1, "failed has not ended yet (pending); there is nothing to retry"),
        ("cancel waits", "cancel waits", 1, "waits has already ended (cancelled)"),
        ("cancel waits", "cancel --batch nobody", 4, "there is no batch nobody"),
    ],
)
def test_what_would_be_dropped_later_is_refused_now(folder, scene, before, line, status, said) -> None:
    assert folder.verb(*before.split()).returncode == 0
    done = folder.verb(*line.split())
    assert done.returncode == status, done.stderr
    assert said in " ".join(done.stderr.split())
    assert len(list(scene.requests_folder.iterdir())) == 1


def test_a_job_that_is_to_run_again_or_to_be_removed_is_not_pruned_as_well(folder, scene) -> None:
    words = ("prune", "--older-than", "0m", "--dry-run", "--json")
    for line, left in (("rm done", {"failed", "other"}), ("retry failed", {"other"})):
        assert folder.verb(*line.split()).returncode == 0
        assert {job["job_id"] for job in json.loads(folder.verb(*words).stdout)["jobs"]} == left


def test_a_redo_cannot_be_waited_for_without_a_daemon_but_is_kept(folder, scene) -> None:
    done = folder.verb("redo", "done", "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (75, [])
    assert "is kept and carried out when it starts" in json.loads(done.stderr)["error"]["message"]
    assert len(list(scene.requests_folder.iterdir())) == 1


def test_a_batch_of_which_nothing_can_be_cancelled_is_told_at_once(folder, scene) -> None:
    scene.pending("one", batch="20260131T110000-holiday-01234567", folder="holiday")
    assert folder.verb("cancel", "--batch", "holiday").returncode == 0
    done = folder.verb("cancel", "--batch", "holiday")
    assert (done.returncode, "none of its jobs is pending or running" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("cancel waits", ["waits"]),
        ("cancel --batch holiday", ["one", "two"]),
        ("retry failed", ["failed"]),
        ("redo done other", ["done", "other"]),
        ("rm done failed", ["done", "failed"]),
    ],
)
def test_a_program_learns_of_each_job_that_its_request_is_only_kept(folder, scene, line, kept) -> None:
    scene.pending("one", "two", "three", batch="20260131T110000-holiday-01234567", folder="holiday")
    scene.ledger.record(Started(job="three", attempt="x"), Ended(job="three", state="completed"))
    done = folder.verb(*line.split(), "--json")
    answer = RequestAnswer.model_validate_json(done.stdout)
    assert [(one.job_id, one.accepted) for one in answer.answers] == [(job_id, None) for job_id in kept]
    assert all(f"the request about {one.job_id} is kept" in one.sentence for one in answer.answers)
    assert (done.returncode, "is kept and carried out when it starts" in answer.problem) == (0, True)


def test_what_is_refused_and_what_is_kept_are_told_apart(folder, scene) -> None:
    done = folder.verb("cancel", "waits", "done", "--json")
    answers = json.loads(done.stdout)["answers"]
    assert (done.returncode, {one["job_id"]: one["accepted"] for one in answers}) == (1, {"waits": None, "done": False})


@pytest.mark.parametrize("words", [("waits",), ("--batch", "holiday")])
def test_a_daemon_that_does_not_answer_has_decided_nothing(folder, scene, monkeypatch, words) -> None:
    scene.pending("one", batch="20260131T110000-holiday-01234567", folder="holiday")
    monkeypatch.setattr(sending_requests, "_PATIENCE_SECONDS", 0.0)
    held = scene.fs.lock_folder(scene.settings.paths.state_bytes)  # as a daemon does
    done = folder.verb("cancel", *words, "--json")
    os.close(held)
    (answer,) = json.loads(done.stdout)["answers"]
    assert (done.returncode, answer["job_id"], answer["accepted"]) == (0, "waits" if words == ("waits",) else "one", None)


def test_requests_stay_in_order_when_the_clock_is_set_back() -> None:
    names: list[bytes] = [b"8999999999999999999-01234567.json"]
    for _ in range(3):
        names.append(_name_after(names) + b".json")
    assert names == sorted(names)


@pytest.mark.parametrize("named", ["mine", "photo.jpg"])
def test_a_picture_that_is_still_in_the_inbox_is_cancelled_by_its_id_or_its_name(folder, scene, named) -> None:
    (folder.inbox / "four").mkdir()
    (folder.inbox / "four" / "photo.jpg.yaml").write_text("id: mine\n")
    done = folder.verb("cancel", named)
    assert (done.returncode, "is kept" in done.stderr) == (0, True)
    (request,) = scene.requests_folder.iterdir()
    asked = json.loads(request.read_text())
    assert (asked["jobs"], asked["in_inbox"]) == (["mine"], ["four/photo.jpg.yaml"])
    other = folder.verb("rm", "mine")
    assert other.returncode == 4
    assert "mine is still in the inbox" in " ".join(other.stderr.split())
    assert "multiplane cancel mine" in " ".join(other.stderr.split())


def test_a_picture_without_an_id_is_taken_back_by_hand_and_the_hint_says_how(folder, scene) -> None:
    (folder.inbox / "photo.yaml").write_text("num_layers: 3\n")
    done = folder.verb("cancel", "photo.jpg")
    assert done.returncode == 4
    assert f"move it and {folder.inbox}/photo.yaml out of the inbox" in " ".join(done.stderr.split())
    assert not list(scene.requests_folder.iterdir())


def test_the_status_of_a_cluster_that_there_is_not_says_how_to_name_one(folder) -> None:
    done = folder.verb("cluster", "status", "--json")
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["message"]) == (2, "this home has no cluster: no scheduler is named")
    assert "cluster status tls://studio.local:8786" in error["hint"]


def test_a_bare_picture_in_the_inbox_is_named_and_taken_back_by_hand(folder, scene) -> None:
    (folder.inbox / "four").mkdir()
    (folder.inbox / "four" / "lonely.png").write_bytes(b"")
    for verb in ("cancel", "rm"):
        done = folder.verb(verb, "lonely.png")
        assert done.returncode == 4
        said = " ".join(done.stderr.split())
        assert "lonely.png is still in the inbox, and has no id yet" in said
        assert f"To take it back, move {folder.inbox}/four/lonely.png out of the inbox." in said
    assert not list(scene.requests_folder.iterdir())
