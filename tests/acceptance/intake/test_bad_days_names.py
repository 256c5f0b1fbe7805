"""Difficult names, and files that arrive in an unusual order. Names are bytes."""

import os
import shutil
import unicodedata
from collections.abc import Iterator

import pytest

from daemon.contract.names import to_text
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder

NFC, NFD = (unicodedata.normalize(form, "Übung").encode() for form in ("NFC", "NFD"))
LONG = b"x" * 246


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("names") / "home") as made:
        made.start()
        yield made


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        (NFC + b".jpg", NFD + b".jpg.yaml"),
        (NFD + b"2.jpg", NFC + b"2.yaml"),
        (b"Photo.JPG", b"photo.yaml"),
        (b"-rf.jpg", b"-rf.jpg.yaml"),
        (b"two  spaces .jpg", b"two  spaces .jpg.yaml"),
        (b"new\nline.jpg", b"new\nline.jpg.yaml"),
        ("\u202egpj.exe.jpg".encode(), "\u202egpj.exe.jpg.yaml".encode()),
        (LONG + b".jpg", LONG + b".yaml"),
        (b"broken\xff\xfe.jpg", b"broken\xff\xfe.jpg.yaml"),
        (b"back\\x41slash.jpg", b"back\\x41slash.jpg.yaml"),
        (b"CON.jpg", b"CON.jpg.yaml"),
        (b"dot..jpg", b"dot..yaml"),
        (b"x.yaml.jpg", b"x.yaml.jpg.yaml"),
        ("写真.heic".encode(), "写真.yml".encode()),
    ],
    ids=lambda name: to_text(name)[:20].encode("ascii", "backslashreplace").decode(),
)
def test_a_pair_of_such_names_becomes_one_job_and_keeps_them(running: QuickFolder, image: bytes, sidecar: bytes) -> None:
    running.write(image, b"good " + image)
    running.write(sidecar, b"num_layers: 3\n")
    status = running.done(to_text(image))
    assert running.source(status) == sorted([image, sidecar])
    with open(os.path.join(os.fsencode(running.job(status)), b"source", image), "rb") as file:
        assert file.read() == b"good " + image


def test_both_forms_of_one_name_side_by_side_are_ambiguous_and_named(running: QuickFolder) -> None:
    both = [unicodedata.normalize(form, "Öl") for form in ("NFC", "NFD")]
    for name in both:
        running.write(f"{name}.jpg")
    running.write("öl.yaml")
    for name in both:
        assert "ambiguous" in running.waits(f"{name}.jpg", "share the YAML file")
        os.unlink(running.at(f"{name}.jpg"))
    os.unlink(running.at("öl.yaml"))


def test_case_twins_are_ambiguous(running: QuickFolder) -> None:
    for name in ("Twin.jpg", "twin.jpg", "twin.yaml"):
        running.write(name)
    running.waits("Twin.jpg", "ambiguous")
    os.unlink(running.at("Twin.jpg"))
    running.done("twin.jpg")


def test_two_pictures_with_one_short_sidecar_wait_and_say_so(running: QuickFolder) -> None:
    for name in ("a.jpg", "a.png", "a.yaml"):
        running.write(name)
    running.waits("a.yaml", "ambiguous: a.jpg and a.png share the YAML file a.yaml")
    running.write("a.png.yaml")
    running.done("a.png")


def test_the_sidecar_first_or_last(running: QuickFolder) -> None:
    running.write("first.jpg.yaml")
    running.waits("first.jpg.yaml", "waiting for its picture")
    running.write("first.jpg")
    running.done("first.jpg")
    running.write("last.jpg")
    running.waits("last.jpg", "waiting for last.yaml")
    running.write("last.jpg.yaml")
    running.done("last.jpg")


@pytest.fixture
def preset(running: QuickFolder, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"preset {request.node.name[:40]}"
    (running.inbox / name).mkdir()
    (running.inbox / name / "_preset.yaml").write_text("num_layers: 6\n")
    yield name
    shutil.rmtree(running.inbox / name)


def test_a_sidecar_just_before_the_end_of_the_grace_is_used(running: QuickFolder, preset: str) -> None:
    running.write("in time.jpg", folder=preset)
    running.waits(f"{preset}/in time.jpg", "will be taken with the preset in a moment")
    running.write("in time.jpg.yaml", b"num_layers: 2\n", folder=preset)
    assert running.done("in time.jpg")["spec"]["num_layers"] == 2


def test_a_sidecar_that_comes_after_its_picture_was_taken_is_reported_on_that_job(running: QuickFolder, preset: str) -> None:
    running.write("gone.jpg", folder=preset)
    status = running.done("gone.jpg")
    assert (status["spec"]["num_layers"], status["warnings"]) == (6, [])
    running.write("gone.jpg.yaml", b"num_layers: 2\n", folder=preset)
    running.waits(f"{preset}/gone.jpg.yaml", "came after gone.jpg was taken")
    warnings = until(lambda: running.of("gone.jpg")[0]["warnings"])
    assert len(warnings) == 1
    assert "gone.jpg.yaml came after gone.jpg had been taken" in warnings[0]


def test_a_sidecar_edited_during_the_grace_counts_as_it_is_in_the_end(running: QuickFolder, preset: str) -> None:
    running.write("edit.jpg", folder=preset)
    running.write("edit.jpg.yaml", b"num_layers: 2\n", folder=preset)
    running.write("edit.jpg.yaml", b"num_layers: 9\n", folder=preset)
    assert running.done("edit.jpg")["spec"]["num_layers"] == 9


def test_the_same_name_again_while_the_first_is_running(running: QuickFolder) -> None:
    running.pair("same.jpg", b"hang")
    first = until(lambda: [job for job in running.of("same.jpg") if job["state"] == "processing"])[0]
    running.pair("same.jpg", b"good")
    until(lambda: len(running.of("same.jpg")) == 2)
    assert running.verb("cancel", first["job_id"]).returncode == 0
    until(lambda: sorted(job["state"] for job in running.of("same.jpg")) == ["cancelled", "completed"])


def test_an_image_taken_back_before_it_settled_is_nothing(running: QuickFolder) -> None:
    running.write("shy.jpg")
    running.write("shy.jpg.yaml")
    os.unlink(running.at("shy.jpg"))
    running.waits("shy.jpg.yaml", "waiting for its picture")
    assert running.of("shy.jpg") == []


@pytest.mark.parametrize("state", ["waiting", "pending", "processing", "completed"])
def test_cancel_in_every_state(running: QuickFolder, state: str) -> None:
    name = f"cancel {state}.jpg"
    if state == "waiting":
        running.write(name)
        running.waits(name, "waiting for")
        assert running.verb("cancel", "cancel-waiting").returncode == 4
        os.unlink(running.at(name))
        return
    blocker = None
    if state == "pending":
        running.pair("blocker.jpg", b"hang")
        blocker = until(lambda: [job for job in running.of("blocker.jpg") if job["state"] == "processing"])[0]
    running.pair(name, b"hang" if state == "processing" else b"good")
    job = until(lambda: [job for job in running.of(name) if job["state"] == state])[0]
    assert running.verb("cancel", job["job_id"]).returncode == (1 if state == "completed" else 0)
    assert running.ended(name)["state"] == ("completed" if state == "completed" else "cancelled")
    if blocker:
        assert running.verb("cancel", blocker["job_id"]).returncode == 0


def test_what_programs_leave_about_is_ignored_without_a_word(running: QuickFolder) -> None:
    names = [b"Icon\r", b"Thumbs.db", b"desktop.ini", b"~$x.jpg", b"y.jpg~", b"z.jpg.crdownload", b".hidden.jpg", b"w.tmp"]
    for name in names:
        running.write(name)
    running.pair("visible.jpg")
    running.done("visible.jpg")
    assert not {to_text(name) for name in names} & running.waiting().keys()


def test_a_partial_download_beside_it_makes_a_picture_busy(running: QuickFolder) -> None:
    running.write("load.jpg.part")
    running.write("load.jpg")
    running.write("load.jpg.yaml")
    running.waits("load.jpg", "still being downloaded")
    os.unlink(running.at("load.jpg.part"))
    running.done("load.jpg")


def test_appledouble_twins_move_along_with_image_and_sidecar(running: QuickFolder) -> None:
    names = [b"._mac.jpg", b"._mac.jpg.yaml", b"mac.jpg", b"mac.jpg.yaml"]
    for name in names:
        running.write(name, b"# of " + name)
    status = running.done("mac.jpg")
    assert running.source(status) == names


def test_a_phones_companions_are_left_alone_and_a_raw_says_what_to_do(running: QuickFolder) -> None:
    for name in ("phone.jpg", "phone.mov", "phone.aae", "phone.yaml", "raw.dng"):
        running.write(name)
    running.done("phone.jpg")
    assert (running.inbox / "phone.mov").exists()
    running.waits("raw.dng", "export it as TIFF or HEIC")
