"""A problem stays with its job, folder or disk for as long as it lasts, and is reported."""

import errno
import json
import os
import re
import shutil
import time
from dataclasses import replace

import pytest
from service_scene import SETTINGS, Scene

from daemon.contract.commands import command
from daemon.contract.records import CancelRequested, Job, Noted, Publishing
from daemon.contract.segment_records import SegmentStart
from daemon.contract.spec import JOB_ID_PATTERN, RESERVED_IDS
from daemon.contract.status import Source
from daemon.errors import Internal, SourceMissing, SpecInvalid, WorkerCrashed
from daemon.fs import LocalFiles
from daemon.intake.model import Entry, Ready
from daemon.jobs.decide import cancelled
from daemon.journal import Entry as Line
from daemon.journal import hold_lock
from daemon.journal.line import encode
from daemon.outbox import Waiting
from daemon.outbox.waiting_list import WaitingList
from daemon.running.recovery import Recovery
from daemon.service import Service, assemble
from daemon.service.hotfolder import HotFolder
from daemon.settings import load
from daemon.supervisor import Failed
from daemon.views import metrics


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(tmp_path)


def set_aside(scene: Scene) -> None:
    """Replace the outbox by an empty folder, as if its disk had been unmounted."""
    scene.root.rename(scene.root.with_name("elsewhere"))
    scene.root.mkdir()


# -- the outbox goes away -----------------------------------------------------------------------------------------------------


def test_a_job_whose_outbox_went_away_runs_again_and_that_was_no_attempt(scene: Scene) -> None:
    scene.processing("j")
    set_aside(scene)
    scene.runs.on_end("j", Failed(WorkerCrashed("the worker could not write").info(), True, 1.0))
    job = scene.jobs.live["j"]
    assert (job.state, job.attempts) == ("pending", 0)
    assert job.retry_at - time.time() < 6.0


def test_no_job_is_started_or_failed_while_the_outbox_is_away(scene: Scene) -> None:
    scene.pending("j")
    set_aside(scene)
    scene.runs.start_next()
    assert (scene.workers.commands, scene.jobs.live["j"].state) == ([], "pending")
    assert "the outbox is not there" in scene.runs.problem


def test_a_job_that_is_thrown_away_under_its_worker_is_cancelled_and_has_not_failed(scene: Scene) -> None:
    scene.processing("j")
    scene.pending("next")
    scene.trash_actions.look()
    (scene.root / "j").rename(scene.root.with_name("trash"))
    scene.runs.on_end("j", Failed(SourceMissing("there is no picture").info(), False, 1.0))
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["next"]
    assert scene.jobs.live["j"].state == "pending"
    scene.trash_actions.look()
    scene.trash_actions.look()
    assert scene.jobs.ended["j"].state == "cancelled"


@pytest.mark.parametrize("place", ["gone", "a link"])
def test_a_job_whose_attempt_was_removed_under_its_worker_runs_again(scene: Scene, place: str) -> None:
    attempt = scene.processing("j").attempt.folder
    shutil.rmtree(os.fsdecode(scene.outbox.work))
    if place == "a link":
        (scene.root / ".work").mkdir()
        (scene.root / ".work" / attempt).symlink_to(scene.root)
    scene.runs.on_end("j", Failed(Internal("the program failed on this picture").info(), False, 1.0))
    job = scene.jobs.live["j"]
    assert (job.state, job.attempts) == ("pending", 1)
    assert "removed from .work" in job.last_error.message
    assert scene.outbox.new_attempt() != attempt


def test_a_job_whose_folder_does_not_answer_has_not_failed_and_the_others_have_their_turn(scene: Scene) -> None:
    scene.processing("j")
    scene.fs.stale.add(b"/j")
    scene.runs.on_end("j", Failed(WorkerCrashed("the worker could not read").info(), True, 1.0))
    assert (scene.jobs.live["j"].state, scene.jobs.live["j"].attempts) == ("pending", 0)
    scene.clock = lambda: time.monotonic() + 60.0
    scene.runs.start_next()
    assert "no job can be started: Stale file handle" in scene.runs.problem
    scene.pending("next")
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["next"]
    assert scene.runs.problem is None


def test_a_job_whose_folder_may_not_be_read_waits_until_it_may_and_holds_nobody_up(scene: Scene) -> None:
    shut = [f"shut{number}" for number in range(5)]
    scene.pending(*shut)
    denied = {f"/{job_id}/source/{job_id}.jpg".encode() for job_id in shut}
    scene.fs.denied |= denied
    scene.runs.start_next()
    assert "no job can be started: Permission denied" in (scene.runs.problem or "")
    assert [scene.jobs.live[job_id].state for job_id in shut] == ["pending"] * 5
    scene.pending("next")
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["next"]
    scene.runs.on_end("next", Failed(SpecInvalid("done").info(), False, 1.0))
    scene.fs.denied -= denied
    scene.runs.start_next()
    assert scene.workers.commands[-1].job_id == "shut0"
    assert scene.runs.problem is None


def test_a_share_that_comes_and_goes_keeps_no_worker_busy_with_failing(scene: Scene) -> None:
    scene.clock = lambda: 1000.0
    scene.processing("j")
    scene.fs.stale.add(b"/j")
    scene.runs.on_end("j", Failed(WorkerCrashed("the worker could not read").info(), True, 1.0))
    scene.fs.stale.clear()
    scene.runs.start_next()
    assert scene.workers.commands == []
    scene.clock = lambda: 1006.0
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["j"]


def test_one_folder_that_does_not_answer_keeps_no_home_from_its_start(scene: Scene) -> None:
    for job_id in ("odd", "next"):
        scene.processing(job_id)
    source = Source(image="odd.jpg", bytes=9, sha256="0" * 64, width=4, height=3)
    attempt = scene.jobs.live["odd"].attempt.folder
    said = {"source": source, "outputs": (), "manifest": "result/m", "warnings": (), "timings": {}, "processing_seconds": 1.0}
    made = Publishing(job="odd", attempt=attempt, **said)
    scene.ledger.record(made)
    scene.fs.stale |= {b"/odd", b"/odd/result"}
    Recovery(scene.fs, scene.ledger, scene.outbox, scene.claims, scene.runs, "another boot").perform()
    assert [scene.jobs.live[job_id].state for job_id in ("odd", "next")] == ["processing", "pending"]
    assert scene.jobs.live["odd"].attempt.publishing == made, "what was checked is kept"
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["next"], "and keeps nobody back"


def test_without_the_outboxs_marker_nothing_is_started(scene: Scene) -> None:
    scene.pending("j")
    (scene.root / ".multiplane").unlink()
    scene.runs.start_next()
    assert (scene.workers.commands, scene.runs.problem) == ([], "no job can be started: the outbox is not there")
    (scene.root / ".multiplane").touch()
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["j"]


def test_what_kept_a_job_from_its_start_is_forgotten_with_the_job(scene: Scene) -> None:
    scene.pending("j")
    scene.fs.stale.add(b"/j")
    scene.runs.start_next()
    assert scene.runs.problem
    scene.fs.stale.clear()
    scene.runs.end(scene.jobs.live["j"], cancelled(scene.jobs.live["j"]))
    scene.runs.start_next()
    assert scene.runs.problem is None


def test_what_kept_a_result_from_appearing_is_forgotten_with_the_job(scene: Scene) -> None:
    attempt = scene.processing("j").attempt.folder
    source = Source(image="j.jpg", bytes=9, sha256="0" * 64, width=4, height=3)
    said = {"source": source, "outputs": (), "manifest": "result/m", "warnings": (), "timings": {}, "processing_seconds": 1.0}
    scene.ledger.record(Publishing(job="j", attempt=attempt, **said))
    os.mkdir(os.path.join(scene.outbox.attempt(attempt), b"result"))
    scene.fs.fill("rename")
    scene.runs.end_without_worker()
    assert "the result of j cannot be shown: No space left on device" in scene.runs.problem
    scene.ledger.record(CancelRequested(job="j", discarded=True))
    scene.fs.failing.clear()
    (scene.root / "j").rename(scene.root.with_name("trash"))
    scene.runs.end_without_worker()
    assert (scene.jobs.ended["j"].state, scene.runs.problem) == ("cancelled", None)


def test_a_status_that_cannot_be_written_again_stops_no_daemon(scene: Scene, monkeypatch) -> None:
    scene.pending("j")
    scene.refresh()
    scene.trash_actions.look()
    (scene.root / "j" / "status.json").unlink()
    tried = []

    def full(job: Job) -> None:
        tried.append(job.job_id)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(scene.views, "rewrite", full)
    scene.trash_actions.look()
    scene.trash_actions.look()
    assert tried == ["j"]
    monkeypatch.undo()
    scene.trash_actions.look()
    scene.refresh()
    assert '"state": "pending"' in scene.status("j")


def test_a_disk_that_answers_for_no_folder_is_not_asked_for_each(scene: Scene, monkeypatch) -> None:
    scene.pending(*(f"j{number}" for number in range(20)))
    asked = []

    def stale(job_id: str) -> bool:
        asked.append(job_id)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(scene.outbox, "has_status", stale)
    scene.trash_actions.look()
    assert 1 <= len(asked) <= 4
    monkeypatch.setattr(scene.outbox, "has", stale)
    asked.clear()
    scene.runs.start_next()
    assert 1 <= len(asked) <= 4
    assert "no job can be started: Stale file handle" in scene.runs.problem


def test_one_folder_that_cannot_be_looked_into_does_not_hide_that_another_was_thrown_away(scene: Scene) -> None:
    scene.pending("odd", "j")
    scene.trash_actions.look()
    scene.fs.stale |= {b"/odd", b"/odd/status.json"}
    (scene.root / "j").rename(scene.root.with_name("trash"))
    scene.trash_actions.look()
    scene.trash_actions.look()
    assert scene.jobs.ended["j"].state == "cancelled"
    assert scene.jobs.live["odd"].state == "pending"


def test_a_folder_thrown_away_in_the_moment_of_its_start_does_not_fail_its_job(scene: Scene) -> None:
    scene.pending("j")
    seen = scene.runs.settling.fingerprint

    def gone(job: Job) -> object:
        if (scene.root / "j").exists():
            (scene.root / "j").rename(scene.root.with_name("trash"))
        return seen(job)

    scene.runs.settling.fingerprint = gone
    scene.runs.start_next()
    assert (scene.workers.commands, scene.jobs.live["j"].state) == ([], "pending")


def test_an_outbox_that_cannot_be_looked_into_is_away_and_ends_nothing(scene: Scene) -> None:
    scene.pending("j")
    scene.root.rename(scene.root.with_name("elsewhere"))
    scene.root.symlink_to(scene.root)
    assert not scene.outbox.is_healthy()
    scene.refresh()
    scene.trash_actions.look()
    scene.runs.start_next()
    assert scene.jobs.live["j"].state == "pending"


# -- one odd folder -----------------------------------------------------------------------------------------------------------


def test_one_odd_job_folder_does_not_keep_the_status_of_the_others_from_being_written(scene: Scene) -> None:
    scene.pending("odd", "next")
    for job_id in ("odd", "next"):
        (scene.root / job_id / "status.json").unlink()
    (scene.root / "odd" / "status.json").mkdir()
    scene.ledger.record(Noted(job="odd", warning="a word"), Noted(job="next", warning="a word"))
    scene.refresh()
    assert '"state": "pending"' in scene.status("next")


def test_one_odd_source_folder_fails_its_job_alone(scene: Scene) -> None:
    scene.pending("odd", "next")
    source = scene.root / "odd" / "source"
    source.rename(source.with_name("was"))
    source.symlink_to(source)
    scene.runs.start_next()
    assert scene.jobs.ended["odd"].ended.error.code == "source_missing"
    assert [command.job_id for command in scene.workers.commands] == ["next"]


# -- claims that cannot be finished -------------------------------------------------------------------------------------------


def seen(path) -> Entry:
    """A file as intake saw it."""
    found = path.stat()
    return Entry(
        os.fsencode(path.name), "file", dev=found.st_dev, ino=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns
    )


def test_a_picture_that_cannot_be_moved_is_held_with_the_reason_until_it_can(scene: Scene) -> None:
    image, sidecar = scene.inbox / "a.jpg", scene.inbox / "a.jpg.yaml"
    image.write_bytes(b"a picture")
    sidecar.write_bytes(b"num_layers: 3\n")
    scene.fs.fill("rename", part=b"inbox/a.jpg")
    pair = Ready(b"", seen(image), seen(sidecar), depth=None, twins=(), control=None, warnings=(), arrived=0.0)
    assert scene.claims.claim([pair]).done == (pair,)
    (job_id,) = scene.jobs.unclaimed
    # It still lies in the inbox, but is no second job.
    (dropped,) = scene.claims.claim([pair]).dropped
    assert dropped.reason == "it cannot be moved yet: No space left on device"
    assert list(scene.jobs.unclaimed) == [job_id]
    assert scene.claims.held == {job_id: "No space left on device"}
    assert image.exists()
    folder = HotFolder(
        scene.fs, scene.settings, scene.ledger, scene.claims, scene.batches, scene.parts.earlier, lambda: None, time.monotonic
    )
    held = Waiting(path="a.jpg", reason="it cannot be moved yet: No space left on device")
    assert folder.waiting() == WaitingList(items=(held,), total=1)
    scene.fs.failing.clear()
    scene.claims.finish(list(scene.jobs.unclaimed.values()), again=True)
    assert (scene.claims.held, list(scene.jobs.unclaimed)) == ({}, [])
    assert (scene.root / job_id / "source" / "a.jpg").read_bytes() == b"a picture"


def test_what_is_waiting_is_told_once(scene: Scene) -> None:
    items = (Waiting(path="a", reason="still there"), Waiting(path="b", reason="x"), Waiting(path="a", reason="held"))
    scene.views.show_waiting(WaitingList(items, total=9))
    scene.refresh()
    said = json.loads((scene.root / "daemon.json").read_text())
    assert [(item["path"], item["reason"]) for item in said["waiting"]] == [("a", "held"), ("b", "x")]
    assert said["waiting_total"] == 8


# -- retry --------------------------------------------------------------------------------------------------------------------


def test_a_retry_still_knows_the_preset_and_the_corrected_sidecar_wins_over_it(scene: Scene) -> None:
    refusal = SpecInvalid("photo.yaml: there is no field numlayers").info()
    (job,) = scene.pending("j", spec=None, refusal=refusal, preset={"num_layers": 7, "style": "watercolor", "mode": "painterly"})
    scene.runs.end_without_worker()
    (scene.root / "j" / "source" / job.accepted.files[1].to).write_text("style: oil\n")
    request = scene.requests_folder / "1.json"
    request.write_text('{"verb": "retry", "jobs": ["j"]}')
    scene.requests.handle()
    spec = scene.jobs.live["j"].spec
    assert (spec.num_layers, spec.mode, spec.style) == (7, "painterly", "oil")
    assert not request.exists()


@pytest.mark.parametrize("preset", [None, {"num_layers": 7}])
def test_a_retry_without_the_refused_yaml_file_runs_as_if_there_had_been_none(scene: Scene, preset) -> None:
    refusal = SpecInvalid("photo.yaml: there is no field numlayers").info()
    (job,) = scene.pending("j", spec=None, refusal=refusal, preset=preset)
    scene.runs.end_without_worker()
    (scene.root / "j" / "source" / job.accepted.files[1].to).unlink()
    (scene.requests_folder / "1.json").write_text('{"verb": "retry", "jobs": ["j"]}')
    scene.requests.handle()
    again = scene.jobs.live["j"]
    assert (again.refusal, again.spec.num_layers) == (None, 7 if preset else 4)


def test_a_retry_that_no_reader_of_the_journal_would_accept_is_refused_and_the_next_one_is_done(scene: Scene) -> None:
    for job_id in ("odd", "j"):
        scene.processing(job_id)
        scene.runs.on_end(job_id, Failed(SpecInvalid("wrong").info(), False, 1.0))
    scene.jobs.ended["odd"] = replace(scene.jobs.ended["odd"], notes=("\ud800",))
    (scene.requests_folder / "1.json").write_text('{"verb": "retry", "jobs": ["odd", "j"]}')
    scene.requests.handle()
    (answer,) = (json.loads(path.read_text()) for path in scene.requests_folder.iterdir())
    assert [each["accepted"] for each in answer["answers"]] == [False, True]
    assert "cannot be recorded, so nothing was done" in answer["answers"][0]["sentence"]
    assert (scene.jobs.ended["odd"].state, scene.jobs.live["j"].state) == ("failed", "pending")


def test_the_hint_of_a_failed_job_names_the_job(scene: Scene) -> None:
    scene.processing("order-7")
    scene.runs.on_end("order-7", Failed(SpecInvalid("wrong").info(), False, 1.0))
    scene.refresh()
    assert (
        scene.outbox.commands.fill(f"run: {command('retry', 'order-7')}.") in json.loads(scene.status("order-7"))["error"]["hint"]
    )
    assert "retry ID" not in scene.status("order-7")


# -- removing -----------------------------------------------------------------------------------------------------------------


def test_a_job_without_its_picture_is_not_run_again(scene: Scene) -> None:
    scene.processing("j")
    scene.runs.on_end("j", Failed(SpecInvalid("wrong").info(), False, 1.0))
    (scene.root / "j" / "source" / "j.jpg").unlink()
    (scene.requests_folder / "1.json").write_text('{"verb": "retry", "jobs": ["j"]}')
    scene.requests.handle()
    assert "j.jpg is not in its source folder" in (scene.requests_folder / "1.answer.json").read_text()
    assert scene.jobs.ended["j"].state == "failed"


def test_a_job_whose_files_cannot_be_deleted_is_not_said_to_be_removed(scene: Scene) -> None:
    scene.processing("j")
    scene.runs.on_end("j", Failed(SpecInvalid("wrong").info(), False, 1.0))
    (scene.requests_folder / "1.json").write_text('{"verb": "rm", "jobs": ["j"]}')
    scene.fs.fill("rmdir")
    scene.requests.handle()
    answer = (scene.requests_folder / "1.answer.json").read_text()
    assert '"accepted":false' in answer
    (left,) = (scene.root / ".work").glob("removed-*")
    assert f"remove {left} yourself" in answer
    assert not (scene.root / "j").exists()
    assert "j" in scene.jobs.removed


def test_an_answer_that_nobody_fetched_is_removed_in_the_end_and_a_fresh_one_stays(scene: Scene) -> None:
    old, fresh = (scene.requests_folder / f"{name}.answer.json" for name in ("old", "fresh"))
    old.write_text("{}")
    scene.requests.handle()
    fresh.write_text("{}")
    # Stamped before the clock was set forward: it only looks old.
    os.utime(fresh, (time.time() - 3600,) * 2)
    scene.requests.clock = lambda: time.monotonic() + 3600
    scene.requests.handle()
    assert (old.exists(), fresh.exists()) == (False, True)


# -- the start ----------------------------------------------------------------------------------------------------------------


def test_damage_in_an_old_segment_is_reported_and_stops_no_start(tmp_path, monkeypatch) -> None:
    reported = []
    monkeypatch.setattr("daemon.service.loop.logger.warning", lambda text, *values: reported.append(text.format(*values)))
    scene = Scene(tmp_path)
    scene.journal.rotate([])
    scene.journal.close()
    folder = tmp_path / ".state" / "journal"
    start = encode(Line(1, 1, "2026-01-31T12:00:00.000Z", SegmentStart(version="1", boot_id="b", live=0)))
    (folder / "00000001.jsonl").write_bytes(start.replace(b'"boot_id":"b"', b'"boot_id":"c"'))
    (tmp_path / "inbox" / ".multiplane").touch()
    settings = load(tmp_path, SETTINGS | {"MULTIPLANE_WORKER__SPARE": "false"})
    assert assemble(settings, LocalFiles()).run(once=True) == 0
    assert any("00000001.jsonl" in sentence for sentence in reported)


class Asked(LocalFiles):
    """A disk on which somebody holds the lock the first few times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def lock_folder(self, path):
        self.times -= 1
        return None if self.times >= 0 else super().lock_folder(path)


def test_a_lock_that_is_held_for_a_moment_is_no_other_daemon(tmp_path) -> None:
    hold_lock(Asked(2), os.fsencode(tmp_path / "lock"), 77).release()
    assert (tmp_path / "lock").read_text().strip() == "77"


def test_a_single_run_waits_no_more_once_all_is_done(tmp_path, monkeypatch) -> None:
    wait, waits = Service._wait, []

    def seen(self: Service, now: float) -> None:
        waits.append(self._is_done())
        wait(self, now)

    monkeypatch.setattr(Service, "_wait", seen)
    settings = load(tmp_path / "home", SETTINGS | {"MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5"})
    assert assemble(settings, LocalFiles()).run(once=True) == 0
    assert waits
    assert not any(waits)


def test_every_name_that_the_daemon_writes_beside_the_jobs_is_no_id(scene: Scene) -> None:
    scene.pending("j")
    scene.refresh()
    scene.views.refresh(1000.0, force=True)
    beside = {name for name in os.listdir(scene.root) if re.fullmatch(JOB_ID_PATTERN, name)} - {"j"}
    assert beside == {"daemon.json", "index.html"}
    in_it = {path.name for path in (scene.root / "j").iterdir() if path.is_file()}
    assert "status.json" in in_it
    assert beside | in_it | {os.fsdecode(metrics.NAME)} <= set(RESERVED_IDS)
