"""Folders dropped into a folder with a preset: pictures without any YAML file, and jobs from the outbox."""

from intake_scene import Scene

PRESET, PLAIN, SOURCE = b"in 4 layers", b"in 4 layers/holiday", b"in 4 layers/job-1/source"
JOB = b"in 4 layers/job-1"


def preset() -> Scene:
    scene = Scene()
    scene.folder(PRESET)
    scene.control("preset", folder=PRESET)
    scene.settle(20)
    return scene


def drop_folder(scene: Scene, *names: str, folder: bytes = PLAIN) -> None:
    above, _, name = folder.rpartition(b"/")
    scene.put(name, folder=above, kind="directory", size=0)
    scene.files.setdefault(folder, {})
    for each in names:
        scene.put(each, folder=folder)


def drop_job(scene: Scene, *names: str) -> None:
    drop_folder(scene, "status.json", "job.log", folder=JOB)
    scene.put("result", folder=JOB, kind="directory")
    drop_folder(scene, *names, folder=SOURCE)


def test_a_plain_folder_of_pictures_dropped_into_a_preset_folder_is_a_batch_by_that_preset():
    scene = preset()
    drop_folder(scene, "a.jpg", "b.jpg", "b.yaml", "notes.txt")
    scene.settle(4)
    assert scene.reason("a.jpg", PLAIN) == "the folder is still being filled"
    assert scene.reason("holiday", PRESET) is None, "the folder needs no line of its own"
    scene.pass_time(4)
    assert sorted(scene.ready) == [b"a.jpg", b"b.jpg"]
    for one in scene.decision.ready:
        assert (one.folder, one.control.kind, one.control.folder, one.control.entry.name) == (
            PLAIN, "batch", PRESET, b"_preset.yaml",
        )  # fmt: skip
    scene.take()
    scene.pass_time(70)
    assert scene.reason(PLAIN) == "all its pictures were taken; the folder stays because of notes.txt"
    scene.remove("notes.txt", PLAIN)
    scene.look()
    (over,) = scene.decision.finished
    assert (over.folder, over.leftovers, over.from_job) == (PLAIN, (), False)


def test_a_plain_folder_with_a_job_yaml_of_its_own_follows_that():
    scene = preset()
    drop_folder(scene, "a.jpg")
    scene.control("batch", folder=PLAIN)
    scene.settle(9)
    (one,) = scene.decision.ready
    assert (one.control.entry.name, one.control.folder) == (b"job.yaml", None)


def test_a_deeper_folder_is_named_with_what_to_do():
    scene = preset()
    drop_folder(scene, "a.jpg")
    scene.put("day 1", folder=PLAIN, kind="directory")
    scene.settle(9)
    assert scene.ready == [b"a.jpg"]
    assert scene.reason("day 1", PLAIN) == "a folder inside a folder is not read: move its pictures, or the folder, up one level"


def test_a_plain_folder_waits_with_its_preset():
    scene = preset()
    drop_folder(scene, "a.jpg")
    scene.control("preset", folder=PRESET, problem="num_layers must be a whole number")
    scene.settle(9)
    assert scene.ready == []
    assert scene.reason("a.jpg", PLAIN) == "_preset.yaml: num_layers must be a whole number"
    scene.control("preset", folder=PRESET)
    scene.settle(9)
    assert scene.ready == [b"a.jpg"]


def test_a_plain_folder_in_the_inbox_follows_the_preset_of_the_inbox():
    scene = Scene()
    scene.control("preset")
    drop_folder(scene, "a.jpg", folder=b"holiday")
    scene.settle(9)
    assert [(one.folder, one.control.folder) for one in scene.decision.ready] == [(b"holiday", b"")]


def test_an_empty_folder_in_a_preset_folder_says_so():
    scene = preset()
    drop_folder(scene)
    scene.settle(9)
    assert scene.reason(PLAIN) == "a folder without pictures"


def test_a_jobs_folder_dropped_into_a_preset_folder_is_a_redo_by_that_preset():
    scene = preset()
    drop_job(scene, "photo.jpg", "photo.jpg.yaml", "photo.jpg.yaml.original", "photo.depth.png", "job.yaml")
    scene.settle(9)
    (one,) = scene.decision.ready
    assert (one.folder, one.image.name, one.sidecar.name, one.depth.name) == (
        SOURCE, b"photo.jpg", b"photo.jpg.yaml", b"photo.depth.png",
    )  # fmt: skip
    assert (one.from_job, one.control.kind, one.control.folder, one.warnings) == (True, "batch", PRESET, ())
    assert [w.name for w in scene.decision.waiting] == [], "result, status and log need no line"
    scene.take()
    assert [(w.name, w.reason) for w in scene.decision.waiting] == [
        (JOB, "its picture was taken; what is left follows it in a moment")
    ]
    scene.pass_time(6)
    assert [(over.folder, over.from_job, over.leftovers) for over in scene.decision.finished] == [(SOURCE, True, ())]


def test_a_jobs_folder_in_a_place_without_a_preset_says_where_to_put_it():
    scene = Scene()
    drop_folder(scene, "status.json", folder=b"job-1")
    drop_folder(scene, "photo.jpg", folder=b"job-1/source")
    scene.settle(9)
    assert scene.ready == []
    assert scene.reason(b"job-1") == (
        "a job's folder from the outbox: put it into a folder with a preset to make another result of its picture"
    )


def test_a_plain_folder_that_is_called_source_is_no_jobs():
    scene = preset()
    drop_folder(scene, "a.jpg", "a.yaml", folder=PRESET + b"/source")
    scene.settle(9)
    assert [(one.from_job, one.sidecar.name) for one in scene.decision.ready] == [(False, b"a.yaml")]
