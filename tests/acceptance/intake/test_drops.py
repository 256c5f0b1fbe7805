"""However a pair is dropped, it becomes exactly one job."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import HotFolder, picture, until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[QuickFolder]:
    """A home with the quick worker and no running daemon, for tests that do not depend on the picture."""
    with quick_folder(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def quickly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    """The same with a running daemon that all tests share."""
    with quick_folder(tmp_path_factory.mktemp("quick") / "home") as made:
        made.start()
        yield made


def only_completed(running: HotFolder, name: str) -> dict:
    status = running.ended(name)
    assert status["state"] == "completed", status["error"]
    assert status["attempts"] == 1
    source = sorted(os.listdir(running.job(status) / "source"))
    assert source == [name, f"{name}.yaml"]
    assert not (running.inbox / name).exists()
    assert not (running.inbox / f"{name}.yaml").exists()
    return status


def test_a_pair_renamed_in_becomes_one_job(running: HotFolder) -> None:
    running.drop("renamed.png", picture())
    only_completed(running, "renamed.png")


def test_a_pair_with_the_image_first_becomes_one_job(running: HotFolder) -> None:
    (running.inbox / "image-first.png").write_bytes(picture(seed=2))
    until(lambda: any(item["path"] == "image-first.png" for item in running.health()["waiting"]))
    (running.inbox / "image-first.png.yaml").write_text("num_layers: 2\n")
    only_completed(running, "image-first.png")


def test_a_pair_with_the_sidecar_first_becomes_one_job(running: HotFolder) -> None:
    (running.inbox / "sidecar-first.png.yaml").write_text("num_layers: 2\n")
    until(lambda: any(item["path"] == "sidecar-first.png.yaml" for item in running.health()["waiting"]))
    (running.inbox / "sidecar-first.png").write_bytes(picture(seed=3))
    only_completed(running, "sidecar-first.png")


def test_a_pair_copied_in_slowly_in_chunks_becomes_one_whole_job(running: HotFolder) -> None:
    data = picture(400, 300, seed=4)
    (running.inbox / "slow.png.yaml").write_text("num_layers: 2\n")
    size = len(data) // 8
    with (running.inbox / "slow.png").open("wb") as file:
        for start in range(0, len(data), size):
            file.write(data[start : start + size])
            file.flush()
            # Every chunk is seen before the next one comes.
            until(lambda: any(item["path"] == "slow.png" for item in running.health()["waiting"]))
    status = only_completed(running, "slow.png")
    assert (running.job(status) / "source" / "slow.png").read_bytes() == data


def test_a_pair_dropped_while_the_daemon_is_down_becomes_one_job(quick: QuickFolder) -> None:
    quick.prepare()
    quick.pair("early.png")
    assert quick.statuses() == []
    quick.start()
    only_completed(quick, "early.png")


def test_the_sidecars_own_id_names_the_folder(running: HotFolder) -> None:
    running.drop("named.png", picture(seed=6), "id: order-123\nnum_layers: 2\n")
    status = only_completed(running, "named.png")
    assert status["job_id"] == status["requested_id"] == "order-123"


def test_a_taken_id_gives_a_failed_job_that_names_it(running: HotFolder) -> None:
    running.drop("first.png", picture(seed=7), "id: twice\nnum_layers: 2\n")
    assert running.ended("first.png")["job_id"] == "twice"
    running.drop("second.png", picture(seed=8), "id: twice\nnum_layers: 2\n")
    status = running.ended("second.png")
    assert (status["state"], status["error"]["code"], status["requested_id"]) == ("failed", "id_taken", "twice")
    assert '"twice"' in status["error"]["message"]
    assert re.search(r"`[^`]*multiplane[^`]* rm twice [^`]*`", status["error"]["hint"]), (
        "the command removes the other job, not this"
    )
    assert (running.job(status) / "source" / "second.png").exists()


def test_a_bare_picture_in_a_preset_folder_is_taken_with_the_preset(quickly: QuickFolder) -> None:
    quick = quickly
    preset = quick.inbox / "three layers"
    preset.mkdir()
    (preset / "_preset.yaml").write_text("num_layers: 3\n")
    (preset / "bare.png").write_bytes(b"good")
    status = quick.ended("bare.png")
    assert (status["state"], status["spec"]["num_layers"]) == ("completed", 3)
    assert sorted(os.listdir(quick.job(status) / "source")) == ["bare.png", "bare.png.yaml"]
    # source/ is a complete pair: dropped again, it is the same job anew.
    for name in ("bare.png", "bare.png.yaml"):
        (quick.job(status) / "source" / name).rename(quick.inbox / name)
    again = until(
        lambda: [other for other in quick.of("bare.png") if other["job_id"] != status["job_id"] and other["completed_at"]]
    )
    assert (again[0]["state"], again[0]["spec"]["num_layers"]) == ("completed", 3)


def test_the_original_is_kept_bit_for_bit(running: HotFolder) -> None:
    data = picture(seed=10) + b"bytes behind the end of the picture"
    running.drop("original.png", data, "num_layers: 2  # a comment\n")
    status = only_completed(running, "original.png")
    source = running.job(status) / "source"
    assert (source / "original.png").read_bytes() == data
    assert (source / "original.png.yaml").read_text() == "num_layers: 2  # a comment\n"


def test_priority_goes_before_arrival(quickly: QuickFolder) -> None:
    quick, names = quickly, ("low.png", "middle.png", "high.png")
    quick.pair("first.png", b"hang")
    first = until(lambda: [job for job in quick.of("first.png") if job["state"] == "processing"])[0]
    for name, priority in zip(names, (-5, 0, 9), strict=True):
        quick.pair(name, sidecar=f"priority: {priority}\n".encode())
    until(lambda: all(quick.of(name) for name in names))
    assert quick.verb("cancel", first["job_id"]).returncode == 0
    ended = [quick.done(name) for name in names]
    started = sorted(ended, key=lambda status: status["started_at"])
    assert [status["source"]["image"] for status in started] == ["high.png", "middle.png", "low.png"]


def test_what_is_above_the_queues_limit_waits_in_the_inbox_and_says_so(quick: QuickFolder) -> None:
    quick.settings["MULTIPLANE_QUEUE__MAX_PENDING"] = "1"
    quick.pair("photo0.png", b"hang", sidecar=b"priority: 9\n")
    quick.start()
    until(lambda: quick.of("photo0.png") and quick.of("photo0.png")[0]["state"] == "processing")
    for number in (1, 2):
        quick.pair(f"photo{number}.png")
    until(lambda: any("queue is full" in reason for reason in quick.waiting().values()))
    assert len(quick.statuses()) == 2
    assert quick.verb("cancel", quick.of("photo0.png")[0]["job_id"]).returncode == 0
    for number in (1, 2):
        quick.done(f"photo{number}.png")


def test_a_finder_alias_named_like_a_picture_fails_in_plain_words(running: HotFolder) -> None:
    """Uses the first bytes of an alias file as Finder writes it (bookmark data)."""
    alias = b"book\0\0\0\0mark\0\0\0\0\x38\0\0\0\x38\0\0\0" + bytes(900)
    running.drop("alias.png", alias)
    status = running.ended("alias.png")
    assert (status["state"], status["error"]["code"]) == ("failed", "image_type")
    assert "a Finder alias of another file" in status["error"]["message"]
    assert (running.job(status) / "source" / "alias.png").read_bytes() == alias


def test_status_files_are_whole_at_every_look(running: HotFolder) -> None:
    running.drop("watched.png", picture(160, 120, seed=11), "num_layers: 4\n")
    until(lambda: running.of("watched.png"))
    path = running.job(running.of("watched.png")[0]) / "status.json"
    seen: list[str] = []
    while not seen or seen[-1] not in ("completed", "failed"):
        status = json.loads(path.read_text())
        # The file is at most half a second behind the job: the result may be there already, and then it is there whole.
        result = path.parent / "result"
        assert result.exists() or status["state"] != "completed"
        assert not result.exists() or (result / "layer_manifest.json").exists()
        if not seen or seen[-1] != status["state"]:
            seen.append(status["state"])
    assert seen[-1] == "completed"
    assert seen == [state for state in ("pending", "processing", "completed") if state in seen]
