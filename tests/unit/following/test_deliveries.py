"""Copies of results in another folder: whole, under a free name, through no link, and for as long as it takes."""

import hashlib
import itertools
import json
import os
import shutil

import pytest
from loguru import logger

from daemon.contract.records import Ended, Publishing, Started
from daemon.contract.status import Output, Source
from daemon.fs import LocalFiles
from daemon.settings.delivery_layout import place_of
from tests.unit.service_scene import Files, Scene

FILES = {
    "Layer_1_background.png": b"far",
    "layers.psd": b"8BPS",
    "preview/a.js": b"//",
    "preview/fonts/a.woff": b"wOFF",
    "layer_manifest.json": b"{}",
}


def at_once(do):
    """Replaces the thread."""
    do()
    yield from ()


class DeliveryScene(Scene):
    """A home that delivers to a folder beside it; time passes when a test says so."""

    def __init__(self, home, fs=None, **settings) -> None:
        self.target = home / "delivered"
        self.target.mkdir(parents=True)
        self.now = 1000.0
        variables = {f"MULTIPLANE_DELIVER__{name.upper()}": value for name, value in settings.items()}
        super().__init__(home, fs, settings={"MULTIPLANE_DELIVER__FOLDER": str(self.target)} | variables, in_background=at_once)
        self.clock = lambda: self.now

    def end(self, job_id: str, **accepted) -> None:
        """Complete a job; its result and its records are as the worker and the runner leave them."""
        (job,) = self.pending(job_id, **accepted)
        result = self.root / job_id / "result"
        for name, data in FILES.items():
            (result / name).parent.mkdir(parents=True, exist_ok=True)
            (result / name).write_bytes(data)
        listed = [name for name in FILES if name != "layer_manifest.json"]
        publishing = Publishing(
            job=job_id,
            attempt="x",
            source=Source(image=job.image.to, bytes=9),
            outputs=tuple(
                Output(
                    path=f"result/{name}", kind="layer", bytes=len(FILES[name]), sha256=hashlib.sha256(FILES[name]).hexdigest()
                )
                for name in listed
            ),
            manifest="result/layer_manifest.json",
            processing_seconds=1.0,
        )
        attempt = self.outbox.new_attempt()
        self.ledger.record(Started(job=job_id, attempt=attempt), publishing)
        self.runs.end(self.jobs.live[job_id], Ended(job=job_id, state="completed"))

    def pass_time(self, seconds: float = 1.0) -> None:
        """Let the loop pass once, after this many seconds."""
        self.now += seconds
        self.parts.deliveries.look(self.now)

    def status_of(self, job_id: str) -> dict:
        return json.loads((self.root / job_id / "status.json").read_bytes())

    def contents(self) -> dict[str, bytes]:
        """Every file in the target folder, hidden ones as well."""
        found = (path for path in self.target.rglob("*") if path.is_file())
        return {path.relative_to(self.target).as_posix(): path.read_bytes() for path in found}


def copy_named(name: str) -> dict[str, bytes]:
    return {f"{name}/{file}": data for file, data in FILES.items()}


@pytest.fixture
def scene(tmp_path):
    return DeliveryScene(tmp_path / "home")


def test_a_result_is_copied_whole_under_the_photos_own_name_and_the_status_says_where(tmp_path):
    scene = DeliveryScene(tmp_path / "home", fs=LocalFiles())
    scene.end("beach")
    assert not scene.parts.deliveries.is_done()
    scene.pass_time()
    scene.pass_time()
    assert scene.contents() == copy_named("beach")
    assert scene.status_of("beach")["delivered"] == str(scene.target / "beach")
    assert scene.parts.deliveries.is_done()
    assert (scene.root / "beach" / "result" / "layers.psd").exists(), "it is a copy"


def test_a_batch_has_a_folder_of_its_own_and_other_layouts_work(tmp_path):
    scene = DeliveryScene(tmp_path / "home", layout="{date}/{preset}/{batch}/{id} {name}")
    scene.end("one", batch="20260131T120000-trip", folder="trip")
    scene.end("two", folder="oil painting")
    scene.end("three", batch="20260131T120000-trip", folder="oil painting/trip")
    scene.end("four", folder="oil painting/20260131T110000-four/source")
    scene.end("five", folder="20260131T110000-five/source")
    for _ in range(5):
        scene.pass_time()
    assert {
        path.relative_to(scene.target).as_posix() for path in scene.target.glob("**/* *") if (path / "layers.psd").exists()
    } == {
        "2026-01-31/trip/one one",
        "2026-01-31/oil painting/two two",
        "2026-01-31/oil painting/trip/three three",
        "2026-01-31/oil painting/four four",
        "2026-01-31/five five",
    }


def test_a_folder_of_somebody_else_is_left_alone_and_the_copy_gets_a_number(scene):
    (scene.target / "beach").mkdir()
    (scene.target / "beach" / "mine.txt").write_text("mine")
    (scene.target / "beach 2").write_text("a file of mine")
    scene.end("beach")
    scene.pass_time()
    assert scene.contents() == copy_named("beach 3") | {"beach/mine.txt": b"mine", "beach 2": b"a file of mine"}


def test_no_link_is_followed_below_the_delivery_folder(scene, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (scene.target / "trip").symlink_to(elsewhere)
    (scene.target / "beach").symlink_to(elsewhere)
    scene.end("one", batch="20260131T120000-trip", folder="trip")
    scene.end("beach")
    scene.pass_time()
    scene.pass_time(10)
    assert not list(elsewhere.iterdir())
    assert scene.contents() == copy_named("beach 2")
    assert "could not be delivered" in scene.status_of("one")["warnings"][-1]


def test_a_folder_that_is_away_is_a_warning_until_it_is_back_and_the_job_stays_completed(scene):
    deliveries = scene.parts.deliveries
    assert deliveries.problem() is None
    scene.target.rename(scene.target.with_name("away"))
    scene.end("beach")
    scene.pass_time()
    assert deliveries.problem() == f"1 result waits to be delivered to {scene.target}: No such file or directory"
    status = scene.status_of("beach")
    assert status["state"] == "completed"
    (warning,) = status["warnings"]
    assert warning == (
        f"The result could not be delivered to {scene.target} yet: No such file or directory. It stays here, and is tried again."
    )
    records = scene.journal._writer.count
    for _ in range(5):
        scene.pass_time(200)
    assert scene.journal._writer.count == records, "the same trouble is not recorded again"
    assert scene.parts.deliveries.is_done(), "`run --once` does not wait for a share"
    scene.target.with_name("away").rename(scene.target)
    scene.pass_time(200)
    assert scene.contents() == copy_named("beach")
    assert scene.status_of("beach")["warnings"] == []
    assert deliveries.problem() is None


def test_a_disk_that_is_full_leaves_nothing_behind_and_is_tried_again(tmp_path):
    fs = Files()
    scene = DeliveryScene(tmp_path / "home", fs=fs)
    scene.end("beach")
    fs.fill("copy")
    scene.pass_time()
    assert scene.contents() == {}
    assert "No space left on device" in scene.status_of("beach")["warnings"][-1]
    del fs.failing["copy"]
    scene.pass_time(20)
    assert scene.contents() == copy_named("beach")


def test_one_that_cannot_be_copied_does_not_keep_back_the_others(scene):
    scene.end("lost")
    shutil.rmtree(scene.root / "lost" / "result")
    scene.end("beach")
    scene.pass_time()
    scene.pass_time(10)
    assert scene.contents() == copy_named("beach")


def test_after_a_crash_between_the_rename_and_its_record_nothing_is_copied_twice(scene):
    scene.end("beach")
    (scene.target / ".multiplane-beach").mkdir()
    (scene.target / ".multiplane-beach" / "half").write_bytes(b"half")
    shutil.copytree(scene.root / "beach" / "result", scene.target / "beach")
    (scene.target / "beach" / "notes.txt").write_text("written meanwhile")
    scene.pass_time()
    assert scene.contents() == copy_named("beach") | {"beach/notes.txt": b"written meanwhile"}
    assert scene.status_of("beach")["delivered"] == str(scene.target / "beach")


@pytest.mark.parametrize(
    ("layout", "name", "place"),
    [
        ("{batch}/{name}", "beach", ("beach",)),
        ("{name}/", "../../etc/passwd", ("etc-passwd",)),
        ("x/{name}", "...", ("x", "job")),
        ("{name}", "a:b\nc ", ("a-b-c",)),
        ("{name}", "ü" * 200, ("ü" * 100,)),
        ("{name}", "山田\u3000花子 東京タワー（夜）", ("山田\u3000花子 東京タワー（夜）",)),
        ("{name}", "Screenshot 7.30\u202fPM", ("Screenshot 7.30\u202fPM",)),
        ("{name}", "می\u200cخواهم 👨\u200d👩\u200d👧", ("می\u200cخواهم 👨\u200d👩\u200d👧",)),
        ("{name}", "gpj\u202e.exe", ("gpj-.exe",)),
    ],
)
def test_a_name_leads_nowhere_else_and_suits_every_disk(layout, name, place):
    found = place_of(layout, {"batch": "", "name": name, "id": "job"})
    assert found == place
    assert os.sep not in "".join(found)


def test_a_folder_that_stays_away_is_tried_more_and_more_rarely_and_logged_once(scene):
    shutil.rmtree(scene.target)
    scene.end("one")
    scene.end("two")
    tries, said = [], []
    handler = logger.add(lambda message: said.append(message), level="WARNING")
    original = scene.parts.deliveries._copy
    scene.parts.deliveries._copy = lambda *given: (tries.append(scene.now), original(*given))
    for _ in range(700):
        scene.pass_time()
    logger.remove(handler)
    assert [round(later - before) for before, later in itertools.pairwise(tries)][:5] == [10, 20, 40, 80, 120]
    assert len(tries) < 12
    assert len(said) == 1


def test_a_copy_that_hangs_does_not_hold_back_the_hooks_for_ever(tmp_path):
    scene = DeliveryScene(tmp_path)
    scene.parts.deliveries._in_background = lambda do: itertools.repeat(None)
    scene.end("one")
    scene.pass_time()
    assert scene.parts.deliveries.comes_first("one")
    scene.pass_time(61)
    assert not scene.parts.deliveries.comes_first("one")
