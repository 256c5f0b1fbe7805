"""Presets, batches and folders with neither."""

from dataclasses import replace

import pytest
from intake_scene import Scene

from daemon.intake import Finished, batch_under_way


def batch(*pictures: str, images: tuple[str, ...] | None = None) -> Scene:
    """A scene with a batch folder."""
    scene = Scene()
    scene.folder(b"holiday")
    scene.control("batch", folder=b"holiday", images=images)
    for name in pictures:
        scene.put(name, folder=b"holiday")
    return scene


@pytest.mark.parametrize("folder", [b"", b"oil painting"])
def test_a_picture_alone_is_taken_with_the_preset_after_ten_seconds(folder):
    scene = Scene()
    if folder:
        scene.folder(folder)
    scene.control("preset", folder=folder)
    scene.settle(100)
    scene.put("photo.jpg", folder=folder)
    assert scene.until_ready() == pytest.approx(10.0)
    (ready,) = scene.decision.ready
    assert (ready.sidecar, ready.control.kind, ready.folder) == (None, "preset", folder)


def test_a_sidecar_beside_it_overrides_and_needs_no_grace():
    scene = Scene()
    scene.control("preset")
    scene.settle(100)
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert scene.until_ready() == pytest.approx(2.0)
    (ready,) = scene.decision.ready
    assert ready.sidecar.name == b"photo.yaml"
    assert ready.control.kind == "preset"


def test_a_sidecar_just_before_the_end_of_the_grace_still_counts():
    scene = Scene()
    scene.control("preset")
    scene.settle(100)
    scene.put("photo.jpg")
    scene.settle(9.9)
    scene.put("photo.yaml")
    assert scene.until_ready() == pytest.approx(2.0)
    assert scene.decision.ready[0].sidecar is not None


def test_a_sidecar_just_after_the_claim_is_reported():
    scene = Scene()
    scene.control("preset")
    scene.settle(100)
    scene.put("photo.jpg")
    scene.until_ready()
    scene.take()
    scene.put("photo.yaml")
    scene.look()
    told = []
    scene.pass_time(40, lambda decision: bool(told.extend(decision.late)))
    assert [late.image for late in told] == [b"photo.jpg"]


def test_a_picture_edited_during_the_grace_gets_all_of_it_again():
    scene = Scene()
    scene.control("preset")
    scene.settle(100)
    scene.put("photo.jpg")
    scene.settle(9)
    scene.put("photo.jpg", size=99)
    assert scene.until_ready() == pytest.approx(10.0)


def test_same_named_pictures_do_not_clash_where_no_sidecar_is_needed():
    scene = Scene()
    scene.control("preset")
    for name in ("a.jpg", "A.JPG", "a.png"):
        scene.put(name)
    assert sorted(scene.settle(20)) == [b"A.JPG", b"a.jpg", b"a.png"]


def test_a_broken_preset_holds_its_pictures_with_its_own_reason():
    scene = Scene()
    scene.control("preset", problem="line 2: style is not a mapping")
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert scene.settle(100) == []
    assert scene.reason("photo.jpg") == "_preset.yaml: line 2: style is not a mapping"
    assert scene.reason("_preset.yaml") == scene.reason("photo.jpg")
    assert not any(item.will_resolve for item in scene.decision.waiting)
    scene.control("preset")
    assert scene.settle(100) == [b"photo.jpg"]


def test_a_preset_settles_like_any_file():
    scene = Scene()
    scene.put("photo.jpg")
    scene.settle(100)
    scene.control("preset")
    scene.look()
    assert scene.ready == []
    assert scene.reason("photo.jpg").startswith("waiting for _preset.yaml")
    assert scene.settle(3) == [b"photo.jpg"]


def test_a_preset_that_goes_leaves_its_pictures_waiting_for_sidecars():
    scene = Scene()
    scene.control("preset")
    scene.put("photo.jpg")
    scene.settle(5)
    scene.remove("_preset.yaml")
    scene.controls.clear()
    assert scene.settle(100) == []
    assert scene.reason("photo.jpg") == "waiting for photo.yaml"


def test_two_control_files_in_one_folder_hold_everything():
    scene = batch("a.jpg")
    scene.control("preset", folder=b"holiday")
    assert scene.settle(100) == []
    assert "keep one of them" in scene.reason("a.jpg", b"holiday")


def test_job_yaml_directly_in_the_inbox_is_the_sidecar_of_job_jpg():
    scene = Scene()
    scene.put("job.jpg")
    scene.put("job.yaml")
    assert scene.settle() == [b"job.jpg"]
    assert scene.decision.ready[0].sidecar.name == b"job.yaml"


def test_a_batch_waits_until_its_folder_is_quiet_for_five_seconds():
    scene = batch("a.jpg")
    for i in range(5):
        scene.put(f"{i}.jpg", folder=b"holiday")
        scene.settle(4.9)
        assert scene.ready == []
        assert scene.reason("a.jpg", b"holiday") == "the folder is still being filled"
    assert scene.until_ready() == pytest.approx(0.1)
    assert len(scene.ready) == 6


def test_what_is_taken_from_a_batch_makes_it_no_noise():
    scene = batch("a.jpg", "b.jpg")
    scene.settle(6)
    scene.decision = replace(scene.decision, ready=scene.decision.ready[:1])
    scene.take()
    assert scene.ready == [b"b.jpg"]


def test_a_batch_takes_only_the_pictures_it_names():
    scene = batch("IMG_1.JPG", "img_2.jpg", "other.png", images=("IMG_*.jpg",))
    assert sorted(scene.settle(6)) == [b"IMG_1.JPG", b"img_2.jpg"]
    assert "not listed under" in scene.reason("other.png", b"holiday")
    scene.take()
    assert scene.settle(100) == []
    assert scene.decision.finished == ()


def test_a_batch_without_pictures_for_a_minute_is_finished():
    scene = batch("a.jpg")
    scene.put(".DS_Store", folder=b"holiday")
    scene.settle(6)
    scene.take()
    assert scene.reason(b"holiday") == "all its pictures were taken; the folder goes in a minute"
    assert any(item.will_resolve for item in scene.decision.waiting)
    assert scene.pass_time(100, lambda d: bool(d.finished)) == pytest.approx(60.0)
    control = scene.files[b"holiday"][b"job.yaml"]
    assert scene.decision.finished == (Finished(b"holiday", control, ()),)


def test_what_somebody_may_miss_keeps_the_folder_of_a_batch_and_is_named():
    scene = batch("a.jpg")
    scene.put("notes.txt", folder=b"holiday")
    scene.settle(6)
    scene.take()
    scene.pass_time(100, lambda d: bool(d.finished))
    assert scene.decision.finished[0].leftovers == (b"notes.txt",)
    assert scene.reason(b"holiday") == "all its pictures were taken; the folder stays because of notes.txt"


def test_a_picture_that_comes_within_the_minute_keeps_the_batch_open():
    scene = batch("a.jpg")
    scene.settle(6)
    scene.take()
    scene.settle(50)
    scene.put("b.jpg", folder=b"holiday")
    assert scene.settle(15) == [b"b.jpg"]
    assert scene.decision.finished == ()


def test_a_batch_that_never_had_a_picture_is_not_finished():
    scene = batch()
    scene.settle(1000)
    assert scene.decision.finished == ()
    assert scene.reason(b"holiday") == "a batch without pictures"


def test_a_batch_begun_before_a_restart_is_finished_after_it():
    scene = batch()
    scene.memory = batch_under_way(scene.memory, b"holiday", scene.now)
    scene.settle(100)
    assert [f.folder for f in scene.decision.finished] == [b"holiday"]


def test_a_folder_with_neither_is_shown_once_and_nothing_in_it_taken():
    scene = Scene()
    scene.folder(b"new folder")
    assert scene.look().waiting[0].reason == "an empty folder"
    for name in ("a.jpg", "a.yaml", "b.jpg"):
        scene.put(name, folder=b"new folder")
    assert scene.settle(100) == []
    remedy = "put one in, or move the folder into one that has a _preset.yaml"
    assert scene.reason(b"new folder") == f"2 pictures in a folder without _preset.yaml or job.yaml: {remedy}"
    assert len(scene.decision.waiting) == 1
    assert not any(item.will_resolve for item in scene.decision.waiting)


def test_only_one_level_is_looked_into():
    scene = batch("a.jpg")
    scene.put("deeper", folder=b"holiday", kind="directory")
    scene.settle(6)
    assert (
        scene.reason("deeper", b"holiday")
        == "a folder inside a folder is not read: move its pictures, or the folder, up one level"
    )


def test_a_folder_that_cannot_be_read_keeps_what_it_had_and_says_why():
    scene = batch("a.jpg")
    scene.settle(6)
    scene.problems[b"holiday"] = "holiday cannot be read: Input/output error"
    scene.look()
    assert scene.ready == []
    assert scene.reason(b"holiday") == "holiday cannot be read: Input/output error"
    scene.problems.clear()
    scene.look()
    assert scene.ready == [b"a.jpg"]


def test_a_folder_that_went_takes_its_lines_with_it():
    scene = batch("a.jpg")
    scene.look()
    del scene.files[b"holiday"]
    scene.remove(b"holiday")
    scene.look()
    assert scene.decision.waiting == ()
