"""Files as TextEdit, renderers and phones name them: each is named in the waiting list, or on the job, with what to do."""

import pytest
from intake_scene import Scene

PRESET = b"in 4 layers"
DOCUMENT = "a document, not plain text: save it as plain text named {} (in TextEdit: Format, Make Plain Text)"


def scene_of(*names: str, preset: bool = False) -> Scene:
    scene = Scene()
    if preset:
        scene.folder(PRESET)
        scene.control("preset", folder=PRESET)
    for name in names:
        scene.put(name, folder=PRESET if preset else b"")
    scene.settle(20)
    return scene


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Photo.yaml.txt", "its name ends in .txt, which Finder may hide: rename it to Photo.yaml"),
        ("Photo.jpg.yaml.txt", "its name ends in .txt, which Finder may hide: rename it to Photo.jpg.yaml"),
        ("Photo.txt", "its name ends in .txt, which Finder may hide: rename it to Photo.yaml"),
        ("Photo.jpg.txt", "its name ends in .txt, which Finder may hide: rename it to Photo.jpg.yaml"),
        ("photo.yaml.rtf", DOCUMENT.format("photo.yaml")),
        ("Photo.rtf", DOCUMENT.format("Photo.yaml")),
        ("Photo.docx", DOCUMENT.format("Photo.yaml")),
    ],
)
def test_settings_saved_under_another_name_say_how_to_rename_them(name, said):
    scene = scene_of("Photo.jpg", name)
    assert scene.ready == []
    assert scene.reason(name) == said
    assert scene.reason("Photo.jpg") == f"waiting for Photo.yaml: {name} has another name"


def test_a_picture_taken_with_a_preset_says_that_the_settings_beside_it_were_not_used():
    scene = scene_of("photo.jpg", "photo.yaml.txt", preset=True)
    (one,) = scene.decision.ready
    assert one.warnings == (
        "photo.yaml.txt was not used: its name ends in .txt, which Finder may hide: rename it to photo.yaml.",
    )
    scene.take()
    assert "rename it to photo.yaml" in scene.reason("photo.yaml.txt", PRESET)


def test_a_text_without_a_picture_of_its_name_is_just_no_picture():
    scene = scene_of("notes.txt", "photo.jpg")
    assert scene.reason("notes.txt").startswith("not a supported picture")
    assert scene.reason("photo.jpg") == "waiting for photo.yaml"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("photo.txt.yaml", "its name ends in .txt.yaml: rename it to photo.yaml"),
        ("Photo.TXT.yml", "its name ends in .txt.yml: rename it to Photo.yaml"),
        ("photo.jpg.rtf.yaml", "its name ends in .rtf.yaml: rename it to photo.jpg.yaml"),
        ("photo.yaml.yaml", "its name ends in .yaml.yaml: rename it to photo.yaml"),
    ],
)
def test_a_yaml_file_with_two_endings_is_told_its_right_name(name, said):
    scene = scene_of(name, "photo.jpg")
    assert scene.reason(name) == said
    assert scene.reason("photo.jpg") == "waiting for photo.yaml"


@pytest.mark.parametrize("name", ["job.yaml.txt", "Job.txt", "job.rtf", "_preset.yaml.txt"])
def test_a_folder_whose_yaml_file_has_another_name_says_so(name):
    scene = Scene()
    scene.folder(b"holiday")
    scene.put("a.jpg", folder=b"holiday")
    scene.put(name, folder=b"holiday")
    scene.settle(20)
    wanted = "_preset.yaml" if name.startswith("_") else "job.yaml"
    assert f", but {name}: " in scene.reason(b"holiday")
    assert wanted in scene.reason(b"holiday").partition(name)[2]


@pytest.mark.parametrize(
    "name", ["photo_depth.png", "Photo-Depth.PNG", "photo depth.tif", "photo_depthmap.png", "photo.jpg_depth.png"]
)
def test_a_depth_picture_named_as_renderers_do_is_no_picture_of_its_own(name):
    scene = scene_of("photo.jpg", name, preset=True)
    assert scene.ready == [], "the photo would be cut without its depth"
    right = f"photo.depth.{name[-3:].lower()}"
    assert scene.reason(name, PRESET) == (
        f"looks like the depth picture of photo.jpg: rename it to {right}, or drop it in another folder"
    )
    assert scene.reason("photo.jpg", PRESET) == (f"{name} looks like its depth picture: rename it to {right}, or take it away")
    scene.remove(name, PRESET)
    scene.put(right, folder=PRESET)
    scene.settle(20)
    (one,) = scene.decision.ready
    assert (one.image.name, one.depth.name) == (b"photo.jpg", right.encode())


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "webp"])
def test_a_depth_picture_in_a_format_that_blurs_depth_is_no_picture_of_its_own(ending):
    scene = scene_of("photo.png", f"photo.depth.{ending}", preset=True)
    assert scene.ready == []
    remedy = f"save it as photo.depth.png, because {ending.upper()} blurs depth"
    assert scene.reason("photo.png", PRESET) == f"photo.depth.{ending} looks like its depth picture: {remedy}, or take it away"
    assert remedy in scene.reason(f"photo.depth.{ending}", PRESET)


def test_a_photo_with_its_depth_picture_does_not_wait_for_another_one():
    scene = scene_of("photo.jpg", "photo.depth.png", "photo_depth.png", preset=True)
    assert scene.ready == [b"photo.jpg"]
    assert scene.reason("photo_depth.png", PRESET).startswith("looks like the depth picture of photo.jpg")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("lake_depth.png",), [b"lake_depth.png"]),
        (("lake.jpg", "lake_depth.jpg"), [b"lake.jpg", b"lake_depth.jpg"]),
        (("lake.jpg", "in_depth.png"), [b"in_depth.png", b"lake.jpg"]),
        (("lake.jpg", "lake_depth.png", "lake_depth.yaml"), [b"lake.jpg", b"lake_depth.png"]),
    ],
)
def test_a_picture_that_only_has_depth_in_its_name_is_a_picture(names, taken):
    assert sorted(scene_of(*names, preset=True).ready) == taken


def test_a_lone_video_is_named_and_that_of_a_live_photo_is_not():
    scene = scene_of("IMG_1.mov", "clip.mp4", "IMG_2.jpg", "IMG_2.MOV", preset=True)
    assert scene.reason("IMG_1.mov", PRESET) == (
        "a video without its photo: to make layers, export a frame of IMG_1.mov as JPEG; otherwise take it away"
    )
    assert (
        scene.reason("clip.mp4", PRESET)
        == "not a supported picture: a video, which is not read: export a frame of it as JPEG or PNG"
    )
    assert scene.ready == [b"IMG_2.jpg"]
    scene.take()
    scene.pass_time(100)
    assert scene.reason("IMG_2.MOV", PRESET) is None
