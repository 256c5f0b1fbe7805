"""What people do with `redo`: another result of a picture, while the first one stays."""

import hashlib
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from job_records import publishing
from service_scene import Scene

from daemon.cli.verbs.upkeep.estimated_jobs import estimated_jobs
from daemon.contract.records import Claimed, Ended, Started
from daemon.contract.requests import Request, RequestAnswer
from daemon.jobs import decide
from daemon.journal import History


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def completed(scene: Scene, *job_ids: str, depth: str = "model", **accepted) -> None:
    """Add jobs that are completed, and whose depth came from there."""
    for job in scene.pending(*job_ids, **accepted):
        published = replace(publishing(job.job_id), depth_source=depth)
        scene.ledger.record(Started(job=job.job_id, attempt="x"), published, Ended(job=job.job_id, state="completed"))


def ask(scene: Scene, verb: str, *jobs: str, name: str = "1", **more) -> RequestAnswer:
    """Put a request in place, as the verb does, and let the daemon answer it."""
    request = scene.requests_folder / f"{name}.json"
    request.write_text(Request(verb=verb, jobs=jobs, **more).model_dump_json())
    scene.requests.handle()
    answer = request.with_suffix(".answer.json")
    try:
        return RequestAnswer.model_validate_json(answer.read_text())
    finally:
        answer.unlink()


def copy_all(scene: Scene) -> None:
    while scene.parts.copies.advance():
        pass


def hashes(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_redo_of_a_completed_job_with_six_layers_leaves_the_old_one_as_it_was_even_after_rm_of_either(scene):
    completed(scene, "old")
    before = hashes(scene.root / "old" / "source")
    (one,) = ask(scene, "redo", "old", settings="num_layers: 6").answers
    copy_all(scene)
    new = scene.jobs.live[one.new_job]
    assert (new.claimed, new.spec.num_layers, new.spec.depth, new.accepted.redo_of) == (True, 6, "cues", "old")
    assert one.sentence == f"old is redone as {one.new_job}"
    source = scene.root / new.job_id / "source"
    assert (source / "old.jpg").read_bytes() == b"a picture"
    assert "num_layers: 6\n" in (source / "old.jpg.yaml").read_text(), "the pair is complete"
    assert '"redo_of": "old"' in scene.status(new.job_id)
    (two,) = ask(scene, "redo", "old", name="2").answers
    copy_all(scene)
    scene.ledger.record(decide.cancelled(scene.jobs.live[new.job_id]))
    ask(scene, "rm", new.job_id, name="3")
    assert not (scene.root / new.job_id).exists()
    assert hashes(scene.root / "old" / "source") == before
    ask(scene, "rm", "old", name="4")
    assert (scene.root / two.new_job / "source" / "old.jpg").read_bytes() == b"a picture"
    assert scene.jobs.find("old") is None


def test_a_request_that_comes_back_after_a_crash_is_not_carried_out_twice(scene):
    completed(scene, "a", "b")
    first = ask(scene, "redo", "a")
    again = ask(scene, "redo", "a", "b")
    assert [one.new_job for one in again.answers[:1]] == [one.new_job for one in first.answers]
    assert len(scene.jobs.live) == 2


def test_redo_of_a_batch_makes_a_batch_of_the_same_name(scene):
    completed(scene, "a", "b", batch="20260131T110000-holiday-01234567", folder="holiday")
    scene.processing("c")
    answers = ask(scene, "redo", batch="holiday").answers
    copy_all(scene)
    assert [one.job_id for one in answers] == ["a", "b"]
    new = [scene.jobs.live[one.new_job] for one in answers]
    (batch,) = {job.accepted.batch for job in new}
    assert batch != "20260131T110000-holiday-01234567"
    assert {job.accepted.name_of_batch for job in new} == {"holiday"}
    assert scene.jobs.batches.keys() == {"holiday"}, "only the folder in the inbox is one that goes away"
    assert [one.job_id for one in ask(scene, "cancel", batch="holiday", name="2").answers] == [job.job_id for job in new]


def test_a_redo_of_one_picture_of_a_batch_stays_in_its_batch_and_keeps_its_preset(scene):
    completed(scene, "a", "b", batch="20260131T110000-holiday-01234567", folder="oil painting/holiday")
    completed(scene, "c", folder="oil painting")
    new = [scene.jobs.live[one.new_job] for one in ask(scene, "redo", "a", "c").answers]
    assert [(job.accepted.batch, job.accepted.name_of_batch, job.preset) for job in new] == [
        ("20260131T110000-holiday-01234567", "holiday", "oil painting"),
        (None, None, "oil painting"),
    ]
    copy_all(scene)
    status = scene.status(new[0].job_id)
    assert '"batch_name": "holiday"' in status
    assert '"preset": "oil painting"' in status
    # The batch now has three jobs, and still two pictures.
    scene.ledger.record(decide.cancelled(new[0]))
    again = ask(scene, "redo", batch="holiday", name="2").answers
    assert [one.job_id for one in again] == ["b", new[0].job_id]
    assert {scene.jobs.live[one.new_job].preset for one in again} == {"oil painting"}


@pytest.mark.parametrize(
    ("settings", "damage", "said"),
    [
        ("num_layers: 60", None, "num_layers must be a whole number from 2 to 12, not 60"),
        ("split: [0.2]", None, "old cannot be redone: split: 4 layers need 3 thresholds, 1 given"),
        ("", "old.jpg", "old cannot be redone: old.jpg is not in its source folder; put it back, or drop the picture again"),
        ("", ".", "the folder of old is no longer in the outbox: put it back, or drop the picture in its source/ again"),
    ],
)
def test_what_cannot_be_redone_is_said_in_one_sentence_and_nothing_is_done(scene, settings, damage, said):
    completed(scene, "old")
    if damage == ".":
        (scene.root / "old").rename(scene.root.parent / "aside")
    elif damage:
        (scene.root / "old" / "source" / damage).unlink()
    answer = ask(scene, "redo", "old", settings=settings)
    assert said in (answer.problem or answer.answers[0].sentence)
    assert not scene.jobs.live


def put(scene: Scene, name: str, verb: str, *jobs: str, **more) -> None:
    """Put a request in place without letting the daemon answer it."""
    (scene.requests_folder / f"{name}.json").write_text(Request(verb=verb, jobs=jobs, **more).model_dump_json())


def kept(scene: Scene) -> list[str]:
    return sorted(path.stem for path in scene.requests_folder.glob("?.json"))


def said(scene: Scene, name: str) -> list[str]:
    answer = RequestAnswer.model_validate_json((scene.requests_folder / f"{name}.answer.json").read_text())
    return [one.sentence for one in answer.answers]


def test_an_rm_behind_a_redo_of_the_same_job_waits_until_its_picture_is_copied(scene):
    completed(scene, "old", "other")
    put(scene, "1", "redo", "old")
    put(scene, "2", "rm", "old")
    put(scene, "3", "redo", "old")
    put(scene, "4", "rm", "other")
    scene.requests.handle()
    assert kept(scene) == ["2", "3"], "what comes after the removal waits as well, and nothing else does"
    assert said(scene, "4") == ["other was removed"]
    (new,) = scene.jobs.uncopied
    scene.requests.handle()
    assert kept(scene) == ["2", "3"]
    copy_all(scene)
    scene.requests.handle()
    assert kept(scene) == []
    assert (said(scene, "2"), said(scene, "3")) == (["old was removed"], ["there is no job old"])
    assert (scene.root / new / "source" / "old.jpg").read_bytes() == b"a picture"
    assert not (scene.root / "old").exists()


def test_an_rm_behind_a_redo_is_still_done_after_a_crash_between_them(scene):
    completed(scene, "old")
    put(scene, "1", "redo", "old")
    put(scene, "2", "rm", "old")
    scene.requests.handle()
    put(scene, "1", "redo", "old")  # a power loss brought it back
    recorded = list(scene.history.entries())
    scene.journal.close()
    again = Scene(scene.inbox.parent)
    for entry in recorded:
        again.jobs.apply(entry)
    again.requests.handle()
    assert kept(again) == ["2"]
    copy_all(again)
    again.requests.handle()
    assert kept(again) == []
    (new,) = again.jobs.live
    assert (again.root / new / "source" / "old.jpg").read_bytes() == b"a picture"
    assert not (again.root / "old").exists()


def test_a_cancel_of_a_picture_in_the_inbox_waits_until_it_is_a_job(scene):
    path = scene.inbox / "new.jpg.yaml"
    path.write_text("id: new\n")
    put(scene, "1", "cancel", "new", in_inbox=("new.jpg.yaml",))
    scene.requests.handle()
    assert kept(scene) == ["1"]
    scene.pending("new")
    path.unlink()
    scene.requests.handle()
    assert (kept(scene), said(scene, "1")) == ([], ["new is being cancelled"])


def test_a_cancel_of_a_picture_that_was_taken_back_waits_no_longer(scene):
    put(scene, "1", "cancel", "new", in_inbox=("new.jpg.yaml",))
    scene.requests.handle()
    assert (kept(scene), said(scene, "1")) == ([], ["there is no job new"])


def test_a_redo_waits_for_space_and_says_so(scene):
    completed(scene, "old")
    scene.fs.fill("copy")
    now = [0.0]
    scene.parts.copies._clock = lambda: now[0]
    (one,) = ask(scene, "redo", "old").answers
    copy_all(scene)
    assert scene.parts.copies.reason_to_wait() == "1 redone picture cannot be copied yet: No space left on device"
    assert os.listdir(scene.root / one.new_job / "source") == []
    scene.fs.failing.clear()
    copy_all(scene)
    assert not scene.jobs.live[one.new_job].claimed, "it pauses"
    now[0] += 6.0
    copy_all(scene)
    assert scene.jobs.live[one.new_job].claimed
    assert scene.parts.copies.reason_to_wait() is None


def test_a_redone_job_whose_picture_vanished_meanwhile_ends_and_says_why(scene):
    completed(scene, "old")
    (one,) = ask(scene, "redo", "old").answers
    (scene.root / "old" / "source" / "old.jpg").unlink()
    copy_all(scene)
    scene.runs.start_next()
    job = scene.jobs.find(one.new_job)
    assert job.last_error is None
    assert job.ended.error.code == "source_missing"


def test_guessed_means_each_job_whose_depth_was_estimated_and_that_nobody_has_redone(scene):
    ids = [f"g{n}" for n in range(5)]
    completed(scene, *ids, depth="heuristic")
    completed(scene, "real", depth="model")
    completed(scene, "asked", depth="heuristic", spec=scene.jobs.ended["g0"].spec.model_copy(update={"depth": "cues"}))
    queries = SimpleNamespace(history=History(scene.fs, scene.settings.paths.journal_bytes))
    assert estimated_jobs(queries, scene.settings, asked=False) == ids
    assert estimated_jobs(queries, scene.settings, asked=True) == [*ids, "asked"]
    answers = ask(scene, "redo", *ids, named="guessed", once=True, settings="depth: auto").answers
    copy_all(scene)
    assert estimated_jobs(queries, scene.settings, asked=False) == []
    assert len({scene.jobs.live[one.new_job].accepted.batch for one in answers}) == 1
    again = ask(scene, "redo", "g0", named="guessed", once=True, name="2").answers[0]
    assert (again.new_job, again.sentence) == (answers[0].new_job, f"g0 is redone already as {answers[0].new_job}")
    scene.ledger.record(decide.cancelled(scene.jobs.live[answers[0].new_job]))
    assert estimated_jobs(queries, scene.settings, asked=False) == ["g0"], "a redo that did not complete does not count"


def test_a_redo_keeps_the_depth_picture_and_the_hidden_metadata(scene):
    (job,) = scene.pending("old")
    source, more = scene.root / "old" / "source", []
    for role, name in (("twin", "._old.jpg"), ("depth", "old.depth.png"), ("twin", "._old.jpg.yaml")):
        (source / name).write_bytes(name.encode())
        more.append(replace(job.image, role=role, name=name, to=name))
    both = replace(job.accepted, job="both", files=(*job.accepted.files, *more))
    (scene.root / "old").rename(scene.root / "both")
    scene.ledger.record(both, Claimed(job="both"), Ended(job="both", state="failed"))
    (one,) = ask(scene, "redo", "both").answers
    copy_all(scene)
    assert sorted(os.listdir(scene.root / one.new_job / "source")) == ["._old.jpg", "old.depth.png", "old.jpg", "old.jpg.yaml"]
