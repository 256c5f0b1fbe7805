"""However a pair is dropped, it becomes exactly one job."""

import json
import os

import pytest

from tests.acceptance.home import HotFolder, picture, until

pytestmark = pytest.mark.xdist_group("drops")


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


def test_a_pair_dropped_while_the_daemon_is_down_becomes_one_job(folder: HotFolder) -> None:
    folder.start()
    assert folder.stop() == 0
    folder.drop("early.png", picture(seed=5))
    assert folder.statuses() == []
    folder.start()
    only_completed(folder, "early.png")


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
    assert (running.job(status) / "source" / "second.png").exists()


def test_a_bare_picture_in_a_preset_folder_is_taken_with_the_preset(folder: HotFolder) -> None:
    folder.settings["MULTIPLANE_INTAKE__GRACE_SECONDS"] = "1"
    folder.start()
    preset = folder.inbox / "three layers"
    preset.mkdir()
    (preset / "_preset.yaml").write_text("num_layers: 3\n")
    (preset / "bare.png").write_bytes(picture(seed=9))
    status = folder.ended("bare.png")
    assert (status["state"], status["spec"]["num_layers"]) == ("completed", 3)
    assert sorted(os.listdir(folder.job(status) / "source")) == ["bare.png", "bare.png.yaml"]
    # source/ is a complete pair: dropped again, it is the same job anew.
    for name in ("bare.png", "bare.png.yaml"):
        (folder.job(status) / "source" / name).rename(folder.inbox / name)
    again = until(
        lambda: [other for other in folder.of("bare.png") if other["job_id"] != status["job_id"] and other["completed_at"]]
    )
    assert (again[0]["state"], again[0]["spec"]["num_layers"]) == ("completed", 3)


def test_the_original_is_kept_bit_for_bit(running: HotFolder) -> None:
    data = picture(seed=10) + b"bytes behind the end of the picture"
    running.drop("original.png", data, "num_layers: 2  # a comment\n")
    status = only_completed(running, "original.png")
    source = running.job(status) / "source"
    assert (source / "original.png").read_bytes() == data
    assert (source / "original.png.yaml").read_text() == "num_layers: 2  # a comment\n"


def test_priority_goes_before_arrival(folder: HotFolder) -> None:
    for name, priority in (("low.png", -5), ("middle.png", 0), ("high.png", 9)):
        folder.drop(name, picture(), f"num_layers: 2\npriority: {priority}\n")
    assert folder.run("run", "--once").returncode == 0
    started = sorted(folder.statuses(), key=lambda status: status["started_at"])
    assert [status["source"]["image"] for status in started] == ["high.png", "middle.png", "low.png"]


def test_what_is_above_the_queues_limit_waits_in_the_inbox_and_says_so(folder: HotFolder) -> None:
    folder.settings["MULTIPLANE_QUEUE__MAX_PENDING"] = "1"
    for number in range(3):
        folder.drop(f"photo{number}.png", picture(seed=number))
    folder.start()
    until(lambda: any("queue is full" in item["reason"] for item in folder.health()["waiting"]))
    for number in range(3):
        assert folder.ended(f"photo{number}.png")["state"] == "completed"


def test_status_files_are_whole_at_every_look(running: HotFolder) -> None:
    running.drop("watched.png", picture(600, 400, seed=11), "num_layers: 6\n")
    until(lambda: running.of("watched.png"))
    path = running.job(running.of("watched.png")[0]) / "status.json"
    seen: list[str] = []
    while not seen or seen[-1] not in ("completed", "failed"):
        status = json.loads(path.read_text())
        assert (status["state"] == "completed") == (path.parent / "result").exists() or status["state"] == "processing"
        if not seen or seen[-1] != status["state"]:
            seen.append(status["state"])
    assert seen[-1] == "completed"
    assert seen == [state for state in ("pending", "processing", "completed") if state in seen]
