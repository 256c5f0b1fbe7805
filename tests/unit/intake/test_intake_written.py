"""Whether a picture is being written is seen, and told by its file system's own clock; ours may differ from it, or be set."""

import pytest
from intake_scene import MONDAY, Scene

from daemon.intake import INBOX, Memory, put_back

SECOND = 10**9
#: Where the clock of the file system may be, seen from anywhere else.
CLOCKS = pytest.mark.parametrize("clock", [MONDAY, 0, 4 * MONDAY], ids=["ours", "1970", "2120"])


def written(scene: Scene) -> tuple[float | None, float | None]:
    """When picture and depth picture were written, of the one pair that is ready."""
    scene.until_ready()
    (ready,) = scene.decision.ready
    return ready.image_written, ready.depth_written


def put(scene: Scene, name: str, clock: int, age: float = 0.0, **fields: object) -> None:
    """A file whose last write was so many seconds before its name appeared, by the file system's clock."""
    scene.look()  # so that nothing was unseen for long
    scene.put(name, **fields)
    entry = scene.files[INBOX][name.encode()]
    dated = type(entry)(**{field: getattr(entry, field) for field in entry.__slots__} | {"mtime_ns": clock - int(age * SECOND)})
    scene.files[INBOX] = {**scene.files[INBOX], entry.name: dated}
    scene.mtimes[INBOX] = clock
    scene.look()


@CLOCKS
@pytest.mark.parametrize(("age", "is_seen"), [(0.0, True), (59.0, True), (61.0, False), (1e6, False), (-3600.0, True)])
def test_a_picture_that_was_written_as_it_came_is_seen_to_be_by_any_clock(clock, age, is_seen):
    scene = Scene()
    scene.now += 10
    put(scene, "photo.jpg", clock, age)
    put(scene, "photo.depth.png", clock, 1e6)
    arrived = scene.now
    put(scene, "photo.yaml", clock)
    assert written(scene) == (arrived if is_seen else None, None)


@pytest.mark.parametrize(("age", "is_seen"), [(159.0, True), (161.0, False)])
def test_after_a_long_time_without_a_scan_names_that_came_later_do_not_make_it_old(age, is_seen):
    """A large share is polled every few minutes; a machine may sleep."""
    scene = Scene()
    scene.put("photo.yaml")
    scene.now += 100
    scene.put("photo.jpg")
    entry = scene.files[INBOX][b"photo.jpg"]
    scene.mtimes[INBOX] = entry.mtime_ns + int(age * SECOND)
    arrived = scene.now
    assert written(scene) == (arrived if is_seen else None, None)


@CLOCKS
def test_growth_is_writing_whatever_date_the_file_is_given_meanwhile(clock):
    scene = Scene()
    put(scene, "photo.depth.png", clock, 1e6)
    put(scene, "photo.jpg", clock, 1e6)
    scene.pass_time(1.0)
    put(scene, "photo.depth.png", clock, 1e6, size=20)
    put(scene, "photo.yaml", clock)
    assert written(scene) == (None, scene.now - 2.0)


def test_a_date_put_back_at_the_end_of_a_copy_says_that_it_is_over():
    scene = Scene()
    put(scene, "photo.jpg", MONDAY)
    scene.pass_time(1.0)
    put(scene, "photo.jpg", MONDAY, 1e6)
    put(scene, "photo.yaml", MONDAY)
    assert written(scene) == (None, None)


def test_of_what_was_there_before_the_first_look_nobody_saw_it():
    scene = Scene()
    scene.memory = Memory()
    scene.mtimes[INBOX] = scene.put("photo.jpg").mtime_ns
    scene.put("photo.yaml")
    assert written(scene) == (None, None)


def test_without_the_folders_time_nobody_can_tell():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert written(scene) == (None, None)


def test_a_claim_that_was_dropped_is_no_writing():
    scene = Scene()
    put(scene, "photo.jpg", MONDAY, 1e6)
    put(scene, "photo.yaml", MONDAY)
    scene.until_ready()
    scene.memory = put_back(scene.memory, scene.decision.ready[0], scene.now, "still open")
    assert written(scene) == (None, None)
