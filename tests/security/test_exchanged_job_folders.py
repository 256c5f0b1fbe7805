"""Outbox folders are swapped for links: nothing outside the outbox is written, read or deleted."""

import os
import sys
from pathlib import Path

import pytest

from daemon.cli import common
from daemon.cli.job_queries import JobQueries
from daemon.contract.records import Ended
from daemon.errors import WorkerCrashed
from daemon.fs import LocalFiles, remove_tree
from daemon.health.folder_health import FolderHealth
from daemon.outbox import status_of
from daemon.outbox.ownership import Ownership, who
from daemon.running.recovery import Recovery
from daemon.supervisor import Cancelled
from daemon.supervisor.joblog import JobLog
from tests.security.test_exchanged_folders import Exchanger, exchange
from tests.unit.service_scene import Scene

SOAK = "SOAK_TESTS" in os.environ
EXCHANGES, ROUNDS = (100_000, 2_000) if SOAK else (10_000, 200)
SECRET = b"nobody's business"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's; the calls that are made are the same")


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path, LocalFiles())


@pytest.fixture
def victim(tmp_path):
    """A folder of another user that has all the names a job's folder has."""
    folder = tmp_path / "victim"
    for name in ("job.log", "status.json", "source/a.jpg", "result/Layer_1.png", "tmp/x"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replace_by_link(folder: Path, target: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name} away"))
    folder.symlink_to(target)


def test_a_log_is_not_written_through_a_link(scene, victim):
    scene.pending("a")
    before = contents(victim)
    replace_by_link(scene.root / "a", victim)
    log = JobLog(scene.fs, 1000)
    log.open(scene.outbox.job("a", b"job.log"))
    log.feed(b"said")
    log.close()
    assert contents(victim) == before


def test_what_is_behind_a_link_is_neither_a_jobs_status_nor_its_result_nor_its_picture(scene, victim):
    (job,) = scene.pending("a")
    (victim / "source" / "a.jpg").write_bytes(b"a picture")
    os.utime(victim / "source" / "a.jpg", ns=(0, job.image.mtime_ns))
    replace_by_link(scene.root / "a", victim)
    health = FolderHealth(
        scene.fs, scene.settings, scene.outbox, lambda: (), Ownership(scene.fs, who(scene.fs, scene.settings.paths))
    )
    assert not scene.outbox.has_status("a")
    assert not scene.outbox.has_result("a")
    assert not health._has(job)
    assert scene.runs.settling.fingerprint(job) is None


def test_an_attempt_whose_folder_is_a_link_is_removed_and_what_it_leads_to_stays(scene, victim):
    before = contents(victim)
    attempt = scene.outbox.new_attempt()
    replace_by_link(Path(os.fsdecode(scene.outbox.attempt(attempt))), victim)
    scene.outbox.discard_attempt(attempt)
    assert contents(victim) == before
    replace_by_link(Path(os.fsdecode(scene.outbox.work)), victim)
    with pytest.raises(NotADirectoryError, match="a link or a file is in the place of the folder "):
        remove_tree(scene.fs, scene.outbox.attempt("tmp"))
    with pytest.raises(NotADirectoryError):
        scene.outbox.new_attempt()
    assert contents(victim) == before


def test_a_job_folder_that_is_a_link_is_removed_and_what_it_leads_to_stays(scene, victim):
    before = contents(victim)
    scene.pending("a")
    replace_by_link(scene.root / "a", victim)
    aside = scene.outbox.move_aside("a")
    scene.outbox.remove(aside)
    assert not os.path.lexists(scene.root / "a")
    assert not os.path.lexists(os.fsdecode(aside))
    assert contents(victim) == before


def put_back(folder: Path) -> None:
    folder.unlink()
    folder.with_name(f"{folder.name} away").rename(folder)


def test_a_job_under_way_whose_folder_is_a_link_is_cancelled_and_says_so_when_the_folder_is_back(scene, victim):
    before = contents(victim)
    scene.processing("a")
    scene.refresh()
    assert '"state": "processing"' in scene.status("a")
    replace_by_link(scene.root / "a", victim)
    for _ in range(3):
        scene.trash_actions.look()
    assert scene.workers.cancelled == ["a"]
    scene.runs.on_end("a", Cancelled(1.0))
    scene.refresh()
    assert scene.jobs.ended["a"].state == "cancelled"
    put_back(scene.root / "a")
    scene.trash_actions.look()
    assert '"state": "cancelled"' in scene.status("a")
    assert contents(victim) == before


@pytest.mark.parametrize("away", ["a link", "nothing"])
def test_a_status_that_a_folder_did_not_take_is_written_when_it_is_back(scene, victim, away):
    before = contents(victim)
    job = scene.processing("a")
    scene.refresh()
    replace_by_link(scene.root / "a", victim)
    if away == "nothing":
        (scene.root / "a").unlink()
    error = WorkerCrashed("it did not survive this").info()
    scene.ledger.record(Ended(job=job.job_id, state="failed", error=error))
    scene.refresh()
    put_back_link = scene.root / "a"
    if away == "nothing":
        put_back_link.symlink_to(victim)
    put_back(put_back_link)
    assert '"state": "processing"' in scene.status("a")
    scene.trash_actions.look()
    assert '"state": "failed"' in scene.status("a")
    assert contents(victim) == before


@on_linux
def test_exchanges_during_writes_looks_and_removals_reach_nothing_outside(scene, victim, tmp_path):
    """The folders of a job and an attempt are swapped for links continuously while the daemon uses them."""
    (job,) = scene.pending("a")
    before = contents(victim)
    (tmp_path / "link").symlink_to(victim)
    exchanger = Exchanger(scene.root / "a", tmp_path / "link", EXCHANGES // ROUNDS)
    seen: set[object] = set()
    logged = 0
    try:
        for number in range(ROUNDS):
            with exchanger.round():
                log = JobLog(scene.fs, 1 << 20)
                log.open(scene.outbox.job("a", b"job.log"))
                log.feed(b"a line\n")
                log.close()
                for do in (
                    lambda: scene.fs.read(scene.outbox.job("a", b"job.log"), 100),
                    lambda: scene.fs.digest(scene.outbox.job("a", b"source", b"a.jpg")),
                    lambda: scene.fs.sync_dir(scene.outbox.job("a")),
                    lambda: scene.fs.unlink(scene.outbox.job("a", b"tmp", b"x")),
                    lambda: remove_tree(scene.fs, scene.outbox.job("a", b"result")),
                ):
                    try:
                        seen.add(do())
                    except OSError:
                        continue
                scene.runs.settling.fingerprint(job)
                scene.outbox.has_result("a")
            assert contents(victim) == before, number
            logged = (scene.root / "a" / "job.log").stat().st_size if (scene.root / "a" / "job.log").exists() else logged
    finally:
        exchanger.close()
    assert exchanger.times >= EXCHANGES
    assert logged > 0
    assert SECRET not in seen


@on_linux
@pytest.mark.parametrize("place", ["a", ".work"])
def test_exchanges_while_a_result_is_published_and_a_start_recovers_reach_nothing_outside(scene, victim, tmp_path, place):
    """`place`: the folder that is swapped for a link continuously."""
    job = scene.processing("a")
    recovery = Recovery(scene.fs, scene.ledger, scene.outbox, scene.claims, scene.runs, "b")
    folder, link = scene.root / place, tmp_path / "link"
    link.symlink_to(victim)
    names = [scene.outbox.new_attempt() for _ in range(ROUNDS // 4)]
    made = [Path(os.fsdecode(scene.outbox.attempt(name))) / "result" for name in names]
    for number, result in enumerate(made):
        result.mkdir()
        (result / "Layer_1.png").write_bytes(b"layer %d" % number)
        # What a stranger may guess: the same names behind the link.
        (victim / names[number] / "result").mkdir(parents=True)
        (victim / names[number] / "result" / "Layer_1.png").write_bytes(SECRET)
    before = contents(victim)
    published, written, refused = 0, 0, 0
    exchanger = Exchanger(folder, link, EXCHANGES // len(names))
    try:
        for number, name in enumerate(names):
            with exchanger.round():
                for do in (
                    lambda: scene.outbox.write_status(status_of(job), durable=True),
                    lambda name=name: list(scene.outbox.making_durable(name)),
                    lambda name=name: scene.outbox.publish("a", name),
                    lambda: recovery._says("a", "processing", None),
                    lambda: recovery._rewrite_views(),
                    lambda kept=names[number:]: scene.outbox.sweep(kept),
                ):
                    try:
                        do()
                    except OSError:
                        refused += 1
            assert contents(victim) == before, number
            if folder.is_symlink():
                exchange(folder, link)
            result = scene.root / "a" / "result"
            published += result.exists() and (result / "Layer_1.png").read_bytes() == b"layer %d" % number
            written += (scene.root / "a" / "status.json").exists()
    finally:
        exchanger.close()
    print(f"{exchanger.times:,} exchanges: {published} published, {written} statuses, {refused} refused")
    assert exchanger.times >= EXCHANGES
    assert published > 0
    assert written > 0


def test_a_verb_reads_no_status_through_a_link(scene, victim, tmp_path, monkeypatch):
    scene.pending("a")
    scene.refresh()
    (victim / "status.json").write_bytes((scene.root / "a" / "status.json").read_bytes())
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    monkeypatch.setattr(common, "fs", LocalFiles())
    settings = common.settings_at(tmp_path)
    assert JobQueries(common.fs, settings).status("a") is not None
    replace_by_link(scene.root / "a", victim)
    assert JobQueries(common.fs, settings).status("a") is None
