"""The order in which pictures are taken: batches by name, submitted pictures as they were given, others as they came."""

import random

from intake_scene import Scene

from daemon.intake.order import name_order


def test_a_batch_is_taken_by_name_whatever_order_its_copy_came_in() -> None:
    scene = Scene()
    scene.folder(b"wedding")
    scene.control("batch", folder=b"wedding")
    names = [f"IMG_{number}.jpg" for number in range(1, 13)]
    random.Random(5).shuffle(names)
    for place, name in enumerate(names):
        scene.put(name, folder=b"wedding")
        if place % 5 == 4:  # the copy takes a few looks
            scene.settle(1.0)
    assert scene.settle(20.0) == [b"IMG_%d.jpg" % number for number in range(1, 13)]


def test_pictures_of_one_submit_are_taken_as_they_were_given() -> None:
    scene = Scene()
    for name in ("muller", "iphone", "coffee"):
        scene.put(f"{name}.jpg", how="renamed_in")
        scene.put(f"{name}.jpg.yaml", how="renamed_in")
    assert scene.settle() == [b"muller.jpg", b"iphone.jpg", b"coffee.jpg"]


def test_pictures_in_a_preset_folder_are_taken_as_they_came_and_by_name_if_they_came_together() -> None:
    scene = Scene()
    scene.folder(b"oil")
    scene.control("preset", folder=b"oil")
    scene.put("late first.jpg", folder=b"oil")
    scene.settle(1.5)
    for name in ("b10.jpg", "b9.jpg", "a.jpg"):
        scene.put(name, folder=b"oil")
    assert scene.settle(20.0) == [b"late first.jpg", b"a.jpg", b"b9.jpg", b"b10.jpg"]


def test_names_sort_as_in_a_file_manager_and_any_name_can_be_sorted() -> None:
    names = [b"10.jpg", b"9.jpg", b"img_2.jpg", b"IMG_10.jpg", b"\xff\xfe.jpg", "é2.jpg".encode(), b"2" * 250, b"", "²".encode()]
    assert sorted(names, key=name_order)
    assert sorted([b"IMG_10.jpg", b"img_2.jpg", b"10.jpg", b"9.jpg"], key=name_order) == [
        b"9.jpg", b"10.jpg", b"img_2.jpg", b"IMG_10.jpg",
    ]  # fmt: skip
