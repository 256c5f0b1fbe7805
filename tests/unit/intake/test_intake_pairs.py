"""Which files belong together, and what waits for which reason."""

import unicodedata

import pytest
from intake_scene import Scene

from daemon.intake import Late, Taken, recall, taken
from daemon.intake.names import IMAGE_EXTENSIONS


def pair_of(*names: str | bytes) -> tuple[bytes, bytes | None] | None:
    """The picture and sidecar that are taken from these files."""
    scene = Scene()
    for name in names:
        scene.put(name)
    scene.settle()
    if not scene.decision.ready:
        return None
    (ready,) = scene.decision.ready
    return ready.image.name, ready.sidecar.name if ready.sidecar else None


@pytest.mark.parametrize("ending", [*(each[1:] for each in IMAGE_EXTENSIONS), "JPG", "HIF", "Jfif"])
def test_pictures_are_known_by_their_extension(ending):
    assert pair_of(f"photo.{ending}", "photo.yaml") == (f"photo.{ending}".encode(), b"photo.yaml")


SIDECARS = ["photo.jpg.yaml", "photo.jpg.yml", "photo.yaml", "photo.yml"]


@pytest.mark.parametrize("first", range(4))
def test_sidecars_count_in_their_order_and_the_others_get_a_warning(first):
    scene = Scene()
    for name in ["photo.jpg", *SIDECARS[first:]]:
        scene.put(name)
    scene.settle()
    (ready,) = scene.decision.ready
    assert ready.sidecar.name == SIDECARS[first].encode()
    assert len(ready.warnings) == 3 - first
    for name in SIDECARS[first + 1 :]:
        assert scene.reason(name) == f"{SIDECARS[first]} is used instead"
        assert any(name in warning for warning in ready.warnings)


def test_a_sidecar_that_was_passed_over_says_so_after_the_picture_is_gone():
    scene = Scene()
    for name in ("photo.jpg", "photo.jpg.yaml", "photo.yaml"):
        scene.put(name)
    scene.settle()
    scene.take()
    scene.settle()
    assert scene.reason("photo.yaml") == "photo.jpg was taken with another YAML file"


def test_the_short_form_is_ambiguous_when_two_images_have_the_stem():
    scene = Scene()
    for name in ("a.jpg", "a.png", "a.yaml"):
        scene.put(name)
    assert scene.settle() == []
    for name in ("a.jpg", "a.png", "a.yaml"):
        assert scene.reason(name) == "ambiguous: a.jpg and a.png share the YAML file a.yaml"
    assert not any(item.will_resolve for item in scene.decision.waiting)


def test_the_full_form_is_not_ambiguous_then():
    scene = Scene()
    for name in ("a.jpg", "a.png", "a.jpg.yaml", "a.png.yaml"):
        scene.put(name)
    assert scene.settle() == [b"a.jpg", b"a.png"]


@pytest.mark.parametrize("companion", ["photo.mov", "photo.aae", "photo.xmp", "PHOTO.MOV"])
def test_a_phones_companions_are_left_alone_and_make_nothing_ambiguous(companion):
    scene = Scene()
    for name in ("photo.heic", "photo.yaml", companion):
        scene.put(name)
    assert scene.settle() == [b"photo.heic"]
    assert scene.decision.waiting == ()


def test_a_camera_raw_waits_with_advice_and_makes_nothing_ambiguous():
    scene = Scene()
    for name in ("a.nef", "a.jpg", "a.yaml", "b.CR3"):
        scene.put(name)
    assert scene.settle() == [b"a.jpg"]
    for name in ("a.nef", "b.CR3"):
        assert f"taken only with a YAML file of its own, {name}.yaml; better export it as TIFF or HEIC" in scene.reason(name)


@pytest.mark.parametrize("sidecar", ["b.yaml", "b.CR3.yaml"])
def test_a_camera_raw_with_a_sidecar_of_its_own_is_taken(sidecar):
    assert pair_of(b"b.CR3", sidecar.encode()) == (b"b.CR3", sidecar.encode())


def test_a_camera_raw_is_taken_beside_its_jpeg_only_if_a_full_name_asks_for_it():
    scene = Scene()
    for name in ("a.nef", "a.jpg", "a.yaml", "a.nef.yaml"):
        scene.put(name)
    assert sorted(scene.settle()) == [b"a.jpg", b"a.nef"]


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("Photo.JPG", "photo.yaml"),
        ("x.yaml.jpg", "x.yaml.yaml"),
        ("x.yaml.jpg", "x.yaml.jpg.yml"),
        ("a.jpg.png", "a.jpg.yaml"),
        ("-rf.jpg", "-rf.yaml"),
        ("two words.jpg", "two words.yaml"),
        ("line\nbreak.jpg", "line\nbreak.yaml"),
        ("\u202egpj.jpg", "\u202egpj.yaml"),
        ("CON.jpg", "con.yaml"),
        ("trailing..jpg", "trailing..yaml"),
        (unicodedata.normalize("NFC", "Jürgen.jpg"), unicodedata.normalize("NFD", "Jürgen.yaml")),
        (unicodedata.normalize("NFD", "JÜRGEN.jpg"), unicodedata.normalize("NFC", "jürgen.jpg.yaml")),
        ("STRASSE.jpg", "straße.yaml"),
        (b"\xff\xfe.jpg", b"\xff\xfe.yaml"),
        ("e" * 251 + ".jpg", "e" * 250 + "e.yml"),
    ],
)  # fmt: skip
def test_odd_names_pair_up_and_keep_their_bytes(image, sidecar):
    raw = tuple(n.encode() if isinstance(n, str) else n for n in (image, sidecar))
    assert pair_of(*raw) == raw


def test_broken_bytes_are_told_apart():
    assert pair_of(b"\xff.jpg", b"\xfe.yaml") is None


def test_a_sidecar_is_not_the_short_form_of_one_picture_and_the_full_form_of_another():
    scene = Scene()
    for name in ("a.jpg", "a.jpg.png", "a.jpg.yaml"):
        scene.put(name)
    assert scene.settle() == [b"a.jpg"]
    assert scene.reason("a.jpg.png") == "waiting for a.jpg.yaml"


@pytest.mark.parametrize("names", [("photo.jpg", "Photo.JPG"), ("Jürgen.jpg", unicodedata.normalize("NFD", "Jürgen.jpg"))])
def test_two_images_of_one_name_share_a_sidecar_and_neither_is_taken(names):
    scene = Scene()
    for name in (*names, f"{names[0]}.yaml"):
        scene.put(name)
    assert scene.settle() == []
    assert all("ambiguous" in scene.reason(name) for name in (*names, f"{names[0]}.yaml"))


def test_two_sidecars_of_one_name_are_both_left_and_both_shown():
    scene = Scene()
    for name in ("photo.jpg", "photo.yaml", "Photo.yaml"):
        scene.put(name)
    assert scene.settle() == []
    assert all("name the same picture" in scene.reason(name) for name in ("photo.jpg", "photo.yaml", "Photo.yaml"))


@pytest.mark.parametrize(
    "name", ["photo.depth.png", "photo.depth.tif", "photo.depth.tiff", "Photo.Depth.PNG", "photo.jpg.depth.png"]
)
def test_a_depth_picture_goes_with_its_photo_and_is_no_job(name):
    scene = Scene()
    for one in ("photo.jpg", "photo.yaml", name):
        scene.put(one)
    scene.settle()
    (ready,) = scene.decision.ready
    assert (ready.image.name, ready.depth.name) == (b"photo.jpg", name.encode())


def test_a_depth_picture_settles_with_the_pair():
    scene = Scene()
    scene.put("photo.jpg", how="renamed_in")
    scene.put("photo.depth.png")
    scene.put("photo.yaml", how="renamed_in")
    assert scene.until_ready() == pytest.approx(2.0)


def test_a_depth_picture_alone_waits_also_under_a_preset():
    scene = Scene()
    scene.control("preset")
    scene.put("photo.depth.png")
    assert scene.settle(100) == []
    assert scene.reason("photo.depth.png") == "waiting for its picture, photo.jpg or another picture of that name"


def test_a_depth_picture_for_two_photos_is_ambiguous():
    scene = Scene()
    for name in ("a.jpg", "a.png", "a.jpg.yaml", "a.png.yaml", "a.depth.png"):
        scene.put(name)
    assert scene.settle() == []
    assert "share the depth picture" in scene.reason("a.depth.png")


def test_apple_double_halves_are_no_jobs_but_move_along():
    scene = Scene()
    for name in ("photo.jpg", "photo.yaml", "photo.depth.png"):
        scene.put(name)
        scene.put(f"._{name}")
    scene.put("._other.jpg")
    scene.settle()
    (ready,) = scene.decision.ready
    assert {t.name for t in ready.twins} == {b"._photo.jpg", b"._photo.yaml", b"._photo.depth.png"}
    assert ready.entries[0].name == b"photo.jpg"
    assert ready.entries[-1].name == b"photo.yaml"
    assert scene.decision.waiting == ()


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._photo.jpg", ".hidden.jpg", "Icon\r", "Thumbs.db", "desktop.ini", "~$photo.jpg", "photo.jpg~",
     "photo.jpg.part",
     "photo.partial", "photo.jpg.crdownload", "photo.download", "photo.tmp", "photo.jpg.filepart", "x.uploading", "x.opdownload",
     "x.jpg.aria2", "X.TMP"],
)  # fmt: skip
def test_what_is_ignored_is_ignored_without_a_word(name):
    scene = Scene()
    scene.put(name)
    scene.control("preset")
    assert scene.settle(100) == []
    assert scene.decision.waiting == ()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "socket", "device", "unreadable"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.yaml"])
def test_what_is_no_plain_file_is_refused_and_named(kind, name):
    scene = Scene()
    other = "photo.yaml" if name == "photo.jpg" else "photo.jpg"
    scene.put(name, kind=kind)
    scene.put(other)
    assert scene.settle(100) == []
    assert scene.reason(name)
    assert scene.reason(other).startswith("waiting for ")


def test_a_locked_file_waits_with_what_to_do_and_is_looked_at_until_it_is_unlocked():
    scene = Scene()
    scene.put("photo.jpg", kind="locked")
    scene.put("photo.yaml")
    assert scene.settle(10) == []
    assert scene.reason("photo.jpg") == "locked: choose Get Info in Finder and untick Locked"
    assert scene.decision.check_again_at is not None
    assert not any(item.will_resolve for item in scene.decision.waiting)
    scene.put("photo.jpg", kind="file")
    assert scene.settle() == [b"photo.jpg"]


def test_a_hard_link_is_refused_until_its_other_name_is_gone():
    scene = Scene()
    scene.put("photo.jpg", nlink=2)
    scene.put("photo.yaml")
    assert scene.settle(10) == []
    assert "hard link" in scene.reason("photo.jpg")
    assert any(item.will_resolve for item in scene.decision.waiting)
    scene.pass_time(60)
    assert not any(item.will_resolve for item in scene.decision.waiting)
    entry = scene.files[b""][b"photo.jpg"]
    scene.files[b""] = {**scene.files[b""], b"photo.jpg": type(entry)(b"photo.jpg", "file", 1, entry.ino, 10, entry.mtime_ns)}
    scene.look()
    assert scene.ready == [b"photo.jpg"]


def test_a_picture_alone_waits_for_its_sidecar_and_is_noticed_once_after_half_an_hour():
    scene = Scene()
    scene.put("photo.jpg")
    scene.look()
    assert scene.reason("photo.jpg") == "just arrived or still growing"
    notices = []
    scene.pass_time(1799, lambda d: bool(notices.extend(d.notices)))
    assert (scene.reason("photo.jpg"), notices) == ("waiting for photo.yaml", [])
    scene.pass_time(4000, lambda d: bool(notices.extend(d.notices)))
    assert [n.name for n in notices] == [b"photo.jpg"]
    assert scene.ready == []


def test_a_sidecar_alone_waits_for_its_picture():
    scene = Scene()
    scene.put("photo.yaml")
    scene.put("other.png.yaml")
    assert scene.settle(100) == []
    assert scene.reason("photo.yaml") == "waiting for its picture, photo.jpg or another picture of that name"
    assert scene.reason("other.png.yaml") == "waiting for its picture, other.png"
    assert not any(item.will_resolve for item in scene.decision.waiting)


def test_a_sidecar_that_comes_after_its_picture_was_taken_is_reported_once():
    scene = Scene()
    for name in ("photo.jpg", "photo.yaml"):
        scene.put(name)
    scene.settle()
    scene.take()
    entry = scene.put("photo.jpg.yaml")
    scene.look()
    assert "drop the picture again" in scene.reason("photo.jpg.yaml")
    assert late_while(scene, 29) == []
    assert late_while(scene, 2) == [Late(b"", entry, b"photo.jpg")]
    assert late_while(scene, 4000) == []


def late_while(scene: Scene, seconds: float) -> list[Late]:
    """The sidecars that are reported as late while this much time passes."""
    told: list[Late] = []
    scene.pass_time(seconds, lambda decision: bool(told.extend(decision.late)))
    return told


def after_taking(*names: str) -> Scene:
    """A scene in which a picture with that name was taken, with the other named files."""
    scene = Scene()
    scene.control("preset")
    scene.settle()
    for name in names:
        scene.put(name)
    scene.settle(11)
    scene.take()
    assert scene.log
    return scene


def test_a_sidecar_that_is_dropped_again_before_its_picture_is_no_late_one():
    scene = after_taking("scan.jpg", "scan.yaml")
    scene.put("scan.yaml")
    scene.look()
    assert late_while(scene, 4000) == []
    assert scene.reason("scan.yaml") == "waiting for its picture, scan.jpg or another picture of that name"


def test_a_sidecar_whose_picture_follows_in_time_is_no_late_one():
    scene = after_taking("scan.jpg")
    scene.put("scan.yaml")
    scene.look()
    assert late_while(scene, 20) == []
    scene.put("scan.jpg")
    scene.look()
    assert late_while(scene, 4000) == []


def test_a_sidecar_that_comes_an_hour_later_is_no_late_one():
    scene = after_taking("scan.jpg")
    scene.pass_time(3600)
    scene.put("scan.yaml")
    scene.look()
    assert late_while(scene, 4000) == []


def test_what_an_earlier_process_took_is_compared_by_its_own_time():
    told = []
    for age in (10.0, 5000.0):
        scene = Scene()
        scene.memory = recall(scene.memory, b"", [Taken(b"scan.jpg", scene.now - age)], scene.now)
        scene.put("scan.yaml")
        scene.look()
        told.append(len(late_while(scene, 100)))
    assert told == [1, 0]


def test_of_very_many_pictures_the_last_hundreds_are_remembered_and_one_that_came_again_among_them():
    scene = Scene()
    names = ["scan.jpg", *(f"{number}.jpg" for number in range(30_000)), "scan.jpg"]
    scene.memory = recall(scene.memory, b"", [Taken(name.encode(), scene.now) for name in names], scene.now)
    assert len(scene.memory.folders[b""].recent) < 3_000
    for name in ("scan.yaml", "29900.yaml"):
        scene.put(name)
    scene.look()
    assert {late.image for late in late_while(scene, 100)} == {b"scan.jpg", b"29900.jpg"}


def test_something_else_altogether_is_shown():
    scene = Scene()
    scene.put("notes.pdf")
    scene.put("README")
    scene.put("photo.JP2")
    assert scene.settle() == []
    assert scene.reason("photo.JP2") == "not a supported picture: JPEG 2000 is not read; export it as PNG or TIFF"
    assert "not a supported picture" in scene.reason("notes.pdf")
    assert "not a supported picture" in scene.reason("README")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip.MP4", "a video, which is not read: export a frame of it as JPEG or PNG"),
        ("album.zip", "not a supported picture: an archive; take the pictures out of it, and drop those"),
        ("photo.jpg alias", "Finder alias; drop the original instead"),
        ("README", "by its name"),
        (".photo.jpg.icloud", "still in iCloud: choose Download Now in Finder"),
        (".notes.icloud", None),
    ],
)
def test_what_a_person_may_take_for_a_picture_is_named_with_what_to_do(name, said):
    scene = Scene()
    scene.put(name)
    assert scene.settle() == []
    assert said is None if scene.reason(name) is None else said in scene.reason(name)


def test_a_folder_that_finder_shows_as_one_file_is_named():
    scene = Scene()
    for folder, said in ((b"Photos Library.photoslibrary", "a Photos library"), (b"notes", "a folder without pictures")):
        scene.folder(folder)
        scene.put("database", folder=folder)
        scene.settle()
        assert said in scene.reason(folder)


def test_what_is_ready_stays_so_until_it_is_taken_or_changes():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    assert scene.settle() == [b"photo.jpg"]
    scene.look()
    assert scene.ready == [b"photo.jpg"]
    scene.put("photo.yaml", size=20)
    scene.look()
    assert scene.ready == []


def test_the_same_name_again_is_a_new_pair_also_as_the_very_same_file():
    scene = Scene()
    files = [scene.put("photo.jpg"), scene.put("photo.yaml")]
    scene.settle()
    scene.take()
    assert scene.ready == []
    scene.files[b""] = {f.name: f for f in files}
    assert scene.until_ready() == pytest.approx(2.0)


def test_what_was_taken_is_not_offered_again_by_a_look_that_did_not_look_there():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    scene.settle()
    before = scene.files[b""]
    scene.take()
    scene.files[b""] = before  # the scanner still holds them as last seen
    scene.now += 10
    assert scene.look({}).ready == ()
    assert scene.decision.waiting == ()


def test_a_full_look_that_still_shows_what_was_taken_means_that_it_is_back():
    scene = Scene()
    scene.put("photo.jpg")
    scene.put("photo.yaml")
    scene.settle()
    before = scene.files[b""]
    scene.memory = taken(scene.memory, scene.decision.ready, scene.now)
    scene.now += 10
    assert scene.files[b""] is before
    assert scene.until_ready() == pytest.approx(2.0)


def test_first_come_is_first_taken():
    scene = Scene()
    for name in ("c", "a", "b"):
        scene.put(f"{name}.jpg")
        scene.put(f"{name}.yaml")
        scene.look()
        scene.now += 0.1
    assert scene.settle() == [b"c.jpg", b"a.jpg", b"b.jpg"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sp.jpg ", "a space"),
        ("sp.jpg.", "a dot"),
        ("sp.jpg. ", "a space"),
        ("sp.yaml ", "a space"),
        ("sp.depth.png\u00a0", "a space"),
        ("sp.JPG\n", "an invisible character"),
        ("sp.jpg\u200e", "an invisible character"),
        ("sp.nef ", "a space"),
        ("_preset.yaml ", "a space"),
    ],
)
def test_what_stands_unseen_behind_a_name_is_named(name, said):
    scene = Scene()
    scene.put(name)
    scene.settle()
    assert scene.reason(name) == f"its name ends in {said}: rename it without that"


@pytest.mark.parametrize("name", ["README ", "notes.pdf.", "...", " .", b"\xff ", "a.jpg .txt"])
def test_where_it_would_mean_nothing_without_that_it_is_no_picture(name):
    scene = Scene()
    scene.put(name)
    scene.settle()
    assert (scene.reason(name) or "not a supported picture").startswith("not a supported picture")
