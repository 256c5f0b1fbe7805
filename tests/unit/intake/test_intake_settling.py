"""When a file counts as complete."""

from dataclasses import replace

import pytest
from intake_scene import MONDAY, Scene

from daemon.intake import grew, put_back


def test_a_pair_is_taken_after_two_seconds_without_change():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert scene.until_ready() == pytest.approx(2.0)
    assert scene.ready == [b"photo.jpg"]
    assert scene.decision.ready[0].sidecar.name == b"photo.yaml"


def test_a_network_disk_gets_five_seconds():
    scene = Scene(network=True)
    scene.put("photo.jpg", how="closed")
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(5.0)


def test_one_look_proves_nothing_however_long_ago_it_was():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    scene.look()
    scene.now += 100
    scene.look({})  # a step without a look at these names
    assert scene.ready == []
    assert scene.decision.check_again_at > scene.now
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_a_close_shortens_nothing_as_long_as_nothing_is_known_of_the_writers():
    scene = Scene()
    scene.put("photo.jpg", how="closed")
    scene.put("photo.yaml", how="closed")
    assert scene.until_ready() == pytest.approx(2.0)


def closing_once(pictures: int, *, folder: bytes = b"") -> Scene:
    """A scene in which this many pictures in a row were closed once and taken."""
    scene = Scene()
    for number in range(pictures):
        close(scene, f"{number}.jpg")
        scene.until_ready()
        scene.take()
        scene.pass_time(100)
    return scene


def close(scene: Scene, name: str) -> None:
    """Write and close a picture and its sidecar."""
    scene.put(name, how="closed")
    scene.put(f"{name}.yaml", how="closed")


def test_a_close_is_believed_after_half_a_second_once_five_pictures_in_a_row_were_closed_once():
    waits = []
    for pictures in (4, 5, 6):
        scene = closing_once(pictures)
        close(scene, "photo.jpg")
        waits.append(scene.until_ready())
    assert waits == pytest.approx([2.0, 0.5, 0.5])


def test_pictures_that_were_renamed_in_say_nothing_of_how_writers_close():
    scene = Scene()
    for number in range(9):
        scene.put(f"{number}.jpg", how="renamed_in")
        scene.put(f"{number}.yaml", how="closed")
        scene.until_ready()
        scene.take()
    close(scene, "photo.jpg")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_second_close_breaks_the_row():
    scene = closing_once(5)
    scene.put("photo.jpg", how="closed")
    scene.look()
    scene.pass_time(0.2)
    scene.put("photo.jpg", size=20, how="closed")
    scene.put("photo.yaml", how="closed")
    assert scene.until_ready() == pytest.approx(2.0)
    scene.take()
    close(scene, "other.jpg")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_picture_under_the_name_of_one_that_was_just_taken_breaks_the_row():
    """It may be the rest of it, from a program that opened the name again."""
    scene = closing_once(5)
    for seconds, expected in ((59, 2.0), (61, 0.5)):
        scene = closing_once(5)
        close(scene, "photo.jpg")
        scene.until_ready()
        scene.take()
        scene.pass_time(seconds)
        close(scene, "photo.jpg")
        assert scene.until_ready() == pytest.approx(expected)


def test_what_turned_out_to_be_incomplete_breaks_the_row():
    scene = closing_once(5)
    scene.memory = grew(scene.memory, b"", scene.now)
    close(scene, "photo.jpg")
    assert scene.until_ready() == pytest.approx(4.0)


def test_each_folder_has_a_row_of_its_own():
    scene = closing_once(5)
    scene.folder(b"preset")
    scene.control("preset", folder=b"preset")
    scene.settle(100)
    scene.put("photo.jpg", folder=b"preset", how="closed")
    scene.put("photo.yaml", folder=b"preset", how="closed")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_close_speaks_only_for_what_was_there_when_it_came():
    scene = closing_once(5)
    scene.put("photo.jpg", how="closed")
    scene.put("photo.yaml", how="closed")
    scene.look()
    scene.put("photo.jpg", size=20)
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_sidecar_renamed_in_last_is_the_go():
    scene = Scene()
    scene.put("photo.jpg", how="renamed_in")
    scene.put("photo.yaml", how="renamed_in")
    scene.look()
    assert scene.ready == [b"photo.jpg"]


@pytest.mark.parametrize(("pictures", "expected"), [(0, 2.0), (5, 0.0)], ids=["unknown writers", "writers that close once"])
def test_the_go_counts_for_an_image_that_was_closed_where_writers_close_once(pictures, expected):
    """Somebody else may drop the sidecar while a scanner writes its second page."""
    scene = closing_once(pictures)
    scene.put("photo.jpg", how="closed")
    scene.look()
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(expected)


@pytest.mark.parametrize("how", ["renamed_in", "closed"])
def test_a_sidecar_renamed_in_before_its_image_is_no_go(how):
    scene = Scene()
    scene.put("photo.yaml", how="renamed_in")
    scene.put("photo.jpg", how=how)
    assert scene.until_ready() == pytest.approx(0.5 if how == "renamed_in" else 2.0)


def test_a_sidecar_renamed_in_before_its_image_was_closed_again_is_no_go():
    scene = Scene()
    scene.put("photo.jpg", how="renamed_in")
    scene.put("photo.yaml", how="renamed_in")
    scene.put("photo.jpg", size=20, how="closed")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_sidecar_renamed_in_once_more_is_a_go_for_what_came_between():
    scene = Scene()
    for name in ("photo.yaml", "photo.jpg", "photo.yaml"):
        scene.put(name, how="renamed_in")
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_the_go_does_not_count_for_a_depth_picture_that_came_after_it():
    scene = Scene()
    for name in ("photo.jpg", "photo.yaml", "photo.depth.png"):
        scene.put(name, how="renamed_in")
    assert scene.until_ready() == pytest.approx(0.5)


@pytest.mark.parametrize("parts", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("pause", [0.2, 1.0, 1.9])
@pytest.mark.parametrize("sidecar", ["before", "between", "after"])
@pytest.mark.parametrize("how", ["renamed_in", "closed", None])
def test_a_picture_that_is_opened_written_and_closed_in_parts_is_taken_whole(parts, pause, sidecar, how):
    scene = Scene()
    for part in range(parts):
        if (sidecar, part) in (("before", 0), ("between", 1)):
            scene.put("scan.yaml", how=how)
        scene.put("scan.jpg", size=10 * (part + 1), how="closed")
        if (sidecar, part) == ("after", parts - 1):
            scene.put("scan.yaml", how=how)
        scene.look()
        assert scene.ready == []
        if part < parts - 1:
            scene.pass_time(pause)
            assert scene.ready == []
    assert scene.until_ready() == pytest.approx(2.0)
    assert scene.decision.ready[0].image.size == 10 * parts


def test_the_go_counts_for_an_image_at_rest():
    scene = Scene()
    scene.put("photo.jpg")
    scene.settle()
    scene.put("photo.yaml", how="renamed_in")
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_the_go_does_not_count_for_an_image_still_being_written():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(2.0)


def test_the_go_does_not_count_for_an_image_changed_since():
    scene = Scene()
    scene.put("photo.jpg", how="renamed_in")
    scene.look()
    scene.put("photo.jpg", size=20)
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_sidecar_rewritten_after_its_rename_is_no_go_any_more():
    scene = Scene()
    scene.put("photo.yaml", how="renamed_in")
    scene.look()
    scene.put("photo.yaml", how="closed", size=30)
    scene.put("photo.jpg", how="renamed_in")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_slow_writer_is_waited_for():
    scene = Scene()
    scene.put("photo.yaml")
    for size in range(1, 20):
        scene.put("photo.jpg", size=size)
        scene.look()
        scene.pass_time(1.5)
        assert scene.ready == []
    assert scene.until_ready() == pytest.approx(0.5)


@pytest.mark.parametrize("change", [{"size": 11}, {"ino": 999}, {"dev": 7}], ids=lambda c: next(iter(c)))
def test_any_part_of_the_fingerprint_starts_the_time_anew(change):
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    scene.look()
    scene.pass_time(1.5)
    held = scene.files[b""]
    scene.files[b""] = {**held, b"photo.jpg": replace(held[b"photo.jpg"], **change)}
    assert scene.until_ready() == pytest.approx(2.0)


@pytest.mark.parametrize("mtime", [0, -1, MONDAY * 2], ids=["1970", "before", "future"])
def test_the_date_of_a_file_is_compared_with_nothing_but_itself(mtime):
    scene = Scene()
    scene.put("photo.yaml")
    entry = scene.put("photo.jpg")
    scene.files[b""] = {**scene.files[b""], b"photo.jpg": replace(entry, mtime_ns=mtime)}
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_settled_image_that_grew_again_doubles_the_settle_time_up_to_a_minute():
    scene, waits = Scene(), []
    scene.put("photo.jpg", size=1)
    for size in range(2, 10):
        scene.settle(70)
        scene.put("photo.jpg", size=size)
        scene.look()
        scene.put("other.jpg")
        scene.put("other.yaml")
        waits.append(scene.until_ready())
        scene.take()
    assert waits == pytest.approx([4, 8, 16, 32, 60, 60, 60, 60])


def test_the_patience_ends_after_an_hour():
    scene = Scene()
    scene.put("photo.jpg", size=1)
    scene.settle()
    scene.put("photo.jpg", size=2)
    scene.settle(4000)
    scene.put("other.jpg")
    scene.put("other.yaml")
    assert scene.until_ready() == pytest.approx(2.0)


@pytest.mark.parametrize(
    "rewritten", [{"size": 9, "ino": 4711}, {"size": 3}, {"size": 5}], ids=["replaced", "smaller", "same size"]
)
def test_only_growth_of_the_same_file_is_growth(rewritten):
    scene = Scene()
    scene.put("photo.jpg", size=5)
    scene.settle()
    scene.put("photo.jpg", **rewritten)
    scene.put("photo.yaml")
    assert scene.until_ready() == pytest.approx(2.0)


@pytest.mark.parametrize("birth", [443779200.0, -2082844800.0, -753578704.0])
def test_finders_birth_times_hold_a_file_for_ten_minutes(birth):
    scene = Scene()
    scene.put("photo.jpg", birth=birth)
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(600.0)


def test_a_birth_time_that_becomes_ordinary_frees_the_file():
    scene = Scene()
    entry = scene.put("photo.jpg", birth=443779200.0)
    scene.put("photo.yaml")
    scene.settle(60)
    assert "Finder" in scene.reason("photo.jpg")
    scene.files[b""] = {**scene.files[b""], b"photo.jpg": replace(entry, birth=1.7e9)}
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_a_birth_time_of_the_folder_holds_all_in_it():
    scene = Scene()
    scene.folder(b"holiday")
    scene.births[b"holiday"] = 443779200.0
    scene.control("batch", folder=b"holiday")
    scene.put("photo.jpg", folder=b"holiday")
    assert scene.until_ready() == pytest.approx(600.0, abs=0.1)


def test_the_inbox_own_birth_time_holds_nothing():
    scene = Scene()
    scene.births[b""] = 443779200.0
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_dataless_file_is_held_and_its_download_asked_for():
    scene = Scene()
    entry = scene.put("photo.jpg", dataless=True)
    scene.put("photo.yaml")
    assert scene.settle(100) == []
    assert scene.decision.downloads == {b"": frozenset({b"photo.jpg"})}
    assert "iCloud" in scene.reason("photo.jpg")
    scene.files[b""] = {**scene.files[b""], b"photo.jpg": replace(entry, dataless=False)}
    assert scene.settle(6) == [b"photo.jpg"]
    assert scene.decision.downloads == {}


@pytest.mark.parametrize("ending", [".part", ".aria2"])
def test_an_unfinished_download_beside_it_makes_a_file_busy(ending):
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    scene.put(f"photo.jpg{ending}")
    assert scene.settle(100) == []
    assert "downloaded" in scene.reason("photo.jpg")
    scene.remove(f"photo.jpg{ending}")
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_an_empty_picture_is_taken_and_failed_after_ten_minutes():
    scene = Scene()
    scene.put("photo.jpg", size=0, how="renamed_in")
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(600.0)
    assert "empty" in scene.decision.ready[0].problem


def test_a_sidecar_stays_for_the_picture_that_follows_an_empty_placeholder():
    scene = Scene()
    scene.put("scan.jpg", size=0)
    scene.put("._scan.jpg", size=5)
    scene.put("scan.yaml")
    scene.put("scan.depth.png")
    scene.until_ready()
    assert [entry.name for entry in scene.decision.ready[0].entries] == [b"scan.jpg", b"._scan.jpg"]
    assert "empty for too long" in scene.reason("scan.yaml")
    scene.take()
    scene.pass_time(4000)
    assert scene.reason("scan.yaml") == "waiting for its picture, scan.jpg or another picture of that name"
    assert scene.decision.late == ()
    scene.put("scan.jpg", size=9)
    scene.until_ready()
    assert [entry.name for entry in scene.decision.ready[0].entries] == [b"scan.jpg", b"scan.depth.png", b"scan.yaml"]


def test_an_empty_picture_without_a_sidecar_is_never_taken():
    scene = Scene()
    scene.put("photo.jpg", size=0)
    assert scene.settle(10_000) == []


def test_an_empty_picture_that_is_filled_in_time_is_an_ordinary_one():
    scene = Scene()
    scene.put("photo.jpg", size=0)
    scene.put("photo.yaml")
    scene.settle(599)
    scene.put("photo.jpg", size=5)
    assert scene.until_ready() == pytest.approx(2.0)
    assert scene.decision.ready[0].problem is None


def test_an_empty_sidecar_is_given_a_minute_and_then_means_all_defaults():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml", size=0)
    assert scene.until_ready() == pytest.approx(60.0)
    assert scene.decision.ready[0].problem is None


def test_what_a_claim_found_open_settles_anew_and_longer_each_time():
    scene, waits = Scene(), []
    scene.put("photo.jpg", how="renamed_in")
    scene.put("photo.yaml", how="renamed_in")
    scene.look()
    for _ in range(7):
        scene.memory = put_back(scene.memory, scene.decision.ready[0], scene.now, "still open in another program")
        scene.look({})
        assert scene.ready == []
        assert scene.reason("photo.jpg") == "still open in another program"
        waits.append(scene.pass_time(100, lambda d: bool(d.ready)))
    assert waits == pytest.approx([4, 8, 16, 32, 60, 60, 60])


def test_a_claim_that_found_the_file_growing_slows_its_whole_folder():
    scene = Scene()
    scene.put("photo.jpg", how="renamed_in")
    scene.put("photo.yaml", how="renamed_in")
    scene.look()
    scene.memory = put_back(scene.memory, scene.decision.ready[0], scene.now, "it changed", grew=True)
    scene.remove("photo.jpg")
    scene.put("other.jpg")
    scene.put("other.yaml")
    assert scene.until_ready() == pytest.approx(4.0)
