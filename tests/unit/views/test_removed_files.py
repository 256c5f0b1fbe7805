"""What people remove from the outbox: views are written again, and a job's folder in the Trash cancels or removes it."""

import shutil
import time

import pytest
from service_scene import Scene

from daemon.contract.records import Ended
from daemon.outbox.gallery import chunks, gallery
from daemon.views import view_writer


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(tmp_path)


def completed(scene: Scene, *job_ids: str) -> None:
    scene.pending(*job_ids)
    scene.ledger.record(*(Ended(job=job_id, state="completed") for job_id in job_ids))


@pytest.fixture
def small_chunks(monkeypatch) -> None:
    """Use chunks of two jobs, and count only two jobs as recent."""
    monkeypatch.setattr(chunks, "CHUNK_JOBS", 2)
    monkeypatch.setattr(gallery, "CHUNK_JOBS", 2)
    monkeypatch.setattr(gallery, "_RECENT", 1)
    monkeypatch.setattr(view_writer, "_MAX_ENDED", 2)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "name", ["index.html", "daemon.json", ".gallery/live.js", ".gallery/history-0.js", ".gallery/history-1.js"]
)
def test_a_view_that_somebody_removed_is_there_again(scene: Scene, name) -> None:
    completed(scene, *"abcd")
    scene.refresh()
    path = scene.root / name
    before = path.read_text()
    path.unlink()
    scene.trash_actions.look()
    scene.refresh()
    # Times and stamps are new in live.js and daemon.json; all else says just the same.
    assert path.read_text() == before or (path.name in ("live.js", "daemon.json") and path.read_text()[:20] == before[:20])


def test_the_whole_feed_comes_back(scene: Scene) -> None:
    completed(scene, "a")
    scene.refresh()
    shutil.rmtree(scene.root / ".gallery")
    scene.trash_actions.look()
    scene.refresh()
    assert '{"id":"a"' in (scene.root / ".gallery" / "history-0.js").read_text()


def test_a_page_that_is_whole_is_not_written_again(scene: Scene) -> None:
    completed(scene, "a")
    scene.refresh()
    before = (scene.root / "index.html").stat().st_ino
    scene.trash_actions.look()
    scene.refresh()
    assert (scene.root / "index.html").stat().st_ino == before


def test_a_status_file_that_somebody_removed_is_there_again(scene: Scene) -> None:
    completed(scene, "done")
    scene.pending("next")
    scene.refresh()
    before = [scene.status(job_id) for job_id in ("done", "next")]
    for job_id in ("done", "next"):
        (scene.root / job_id / "status.json").unlink()
    scene.trash_actions.look()
    # Perhaps somebody is just removing the whole folder.
    assert not any((scene.root / job_id / "status.json").exists() for job_id in ("done", "next"))
    scene.trash_actions.look()
    assert [scene.status(job_id) for job_id in ("done", "next")] == before


@pytest.mark.usefixtures("small_chunks")
def test_a_job_folder_in_the_trash_means_the_job_however_long_ago_it_ended(scene: Scene) -> None:
    scene.jobs.keep = 2
    for pair in ("ab", "cd", "e"):
        completed(scene, *pair)
        scene.refresh()
    assert [job.job_id for job in scene.views.shown()] == ["e", "d"]
    shutil.rmtree(scene.root / "b")
    for _ in range(2 * 3):  # every chunk has its turn, twice
        scene.trash_actions.look()
    assert scene.jobs.removed == {"b"}
    scene.refresh()
    told = "".join(path.read_text() for path in (scene.root / ".gallery").glob("history-*.js"))
    assert [job_id for job_id in "abcde" if f'"id":"{job_id}"' in told] == list("acde")
    assert [job.job_id for job in scene.history.ended(9)] == list("edca")


# -- a job that was thrown away while it was under way, and put back ----------------------------------------------------------


def on_the_page(scene: Scene) -> bool:
    return '{"id":"a"' in (scene.root / ".gallery" / "history-0.js").read_text()


@pytest.fixture
def trash(scene: Scene):
    """The folder of job `a`, which was trashed while the job was pending and so cancelled it."""
    scene.pending("a")
    scene.refresh()
    scene.trash_actions.look()
    trash = (scene.root / "a").rename(scene.root.with_name("trash"))
    for _ in range(2):
        scene.trash_actions.look()
    scene.refresh()
    assert scene.jobs.ended["a"].state == "cancelled"
    return trash


def test_a_cancelled_job_is_on_the_page_when_its_folder_is_back_and_not_before(scene: Scene, trash) -> None:
    assert not on_the_page(scene)
    trash.rename(scene.root / "a")
    scene.trash_actions.look()
    scene.refresh()
    assert on_the_page(scene)
    assert '"state": "cancelled"' in scene.status("a")
    feed_of = (scene.root / ".gallery" / "history-0.js").read_text
    told = feed_of()
    scene.trash_actions.look()
    scene.refresh()
    assert feed_of() == told, "told of once"


def test_thrown_away_again_it_disappears_and_comes_back_again(scene: Scene, trash) -> None:
    for _ in range(2):
        trash.rename(scene.root / "a")
        scene.trash_actions.look()
        scene.refresh()
        assert on_the_page(scene)
        (scene.root / "a").rename(trash)
        scene.trash_actions.look()
        scene.refresh()
        assert not on_the_page(scene)


def test_a_page_that_is_made_again_has_it_only_if_it_is_back(scene: Scene, trash) -> None:
    for back in (False, True):
        if back:
            trash.rename(scene.root / "a")
        scene.views = view_writer.ViewWriter(
            scene.outbox,
            scene.ledger,
            {},
            scene.history.ended,
            scene.history.job,
            scene.runs.pauses.left,
            lambda: None,
            "",
            "multiplane run",
            tuple,
            time.monotonic,
        )
        shutil.rmtree(scene.root / ".gallery")
        scene.refresh()
        assert on_the_page(scene) == back


def test_a_folder_that_does_not_answer_says_nothing_of_the_others_that_are_back(scene: Scene, trash) -> None:
    trash.rename(scene.root / "a")
    scene.trash_actions.look()
    scene.refresh()
    scene.fs.stale.add(b"/a")
    scene.trash_actions.look()
    scene.refresh()
    assert on_the_page(scene)
