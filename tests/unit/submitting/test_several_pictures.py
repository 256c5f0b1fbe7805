"""Submitting many pictures at once: one that is no good does not keep the others back. No daemon runs here."""

import json

import pytest
import yaml

from tests.acceptance.home import HotFolder, picture


@pytest.fixture
def folder(tmp_path):
    return HotFolder(tmp_path / "home")


@pytest.fixture
def shoot(tmp_path):
    """Two good pictures, one cut off, and one that is empty."""
    whole = picture()
    for name, data in {"a.png": whole, "b.png": whole[:-40], "c.png": b"", "d.png": whole}.items():
        (tmp_path / name).write_bytes(data)
    return [str(tmp_path / name) for name in ("a.png", "b.png", "c.png", "d.png")]


def sidecars(folder) -> dict[str, dict]:
    return {path.name: yaml.safe_load(path.read_text()) for path in folder.inbox.glob("*.yaml")}


def test_the_good_pictures_are_submitted_and_each_bad_one_is_named(folder, shoot) -> None:
    done = folder.verb("submit", *shoot)
    assert done.returncode == 6
    assert set(sidecars(folder)) == {"a.png.yaml", "d.png.yaml"}
    assert len(done.stdout.split()) == 2
    said = " ".join(done.stderr.split())
    assert "b.png is incomplete: its end is missing." in said
    assert "c.png is empty." in said


def test_a_program_learns_which_files_were_refused(folder, shoot) -> None:
    done = folder.verb("submit", *shoot, "--json")
    assert (done.returncode, [one["outcome"] for one in json.loads(done.stdout)]) == (
        6,
        ["submitted", "refused", "refused", "submitted"],
    )
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["error"]["file"] for line in said if "error" in line] == shoot[1:3]


def test_refused_pictures_show_in_the_exit_status_of_a_wait_as_well(folder, shoot) -> None:
    done = folder.verb("submit", *shoot, "--wait", "--patience", "0")
    assert done.returncode == 75, "that the others have not ended comes first"
    assert "c.png is empty." in " ".join(done.stderr.split())


def test_when_no_picture_is_good_nothing_is_submitted(folder, shoot) -> None:
    done = folder.verb("submit", *shoot[1:3], "/no/such/picture.png")
    assert (done.returncode, sidecars(folder)) == (2, {})
    assert done.stderr.count("multiplane:") == 3


def test_a_wrong_option_is_told_once_and_nothing_is_submitted(folder, shoot) -> None:
    done = folder.verb("submit", *shoot, "--num-layers", "99")
    assert (done.returncode, sidecars(folder)) == (2, {})
    assert done.stderr.count("num_layers must be") == 1
    assert "b.png" not in done.stderr


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--formats", "psd", "--formats", "ora"), ["psd", "ora"]),
        (("--formats", "psd,ora", "--formats", "psd, glb"), ["psd", "ora", "glb"]),
        (("--formats", "none"), []),
        (("--formats", "none", "--formats", "none"), []),
    ],
)
def test_formats_that_are_named_apart_add_up(folder, shoot, options, wanted) -> None:
    assert folder.verb("submit", shoot[0], *options).returncode == 0
    assert sidecars(folder)["a.png.yaml"]["formats"] == wanted


@pytest.mark.parametrize("verb", ["submit", "redo"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--formats", "none,psd"), "--formats says none, and also psd. Leave one of them out."),
        (("--formats", "psd", "--formats", "none"), "--formats says none, and also psd. Leave one of them out."),
        (("--formats", ""), "--formats has an empty name."),
        (("--formats", "psd,,ora"), "--formats has an empty name."),
        (("--formats", "pds"), '; did you mean "psd"?'),
    ],
)
def test_formats_that_make_no_sense_are_refused_with_a_sentence(folder, shoot, verb, options, said) -> None:
    done = folder.verb(verb, shoot[0] if verb == "submit" else "some-job", *options, "--json")
    assert (done.returncode, sidecars(folder)) == (2, {})
    assert said in json.loads(done.stderr)["error"]["message"]


def test_a_preset_that_is_misspelt_is_recognised(folder, shoot) -> None:
    (folder.inbox / "photo in 4 layers").mkdir()
    (folder.inbox / "photo in 4 layers" / "_preset.yaml").write_text("num_layers: 4\n")
    done = folder.verb("submit", shoot[0], "--preset", "photo in 4 layer", "--json")
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["message"]) == (
        2,
        'there is no preset "photo in 4 layer" in the inbox; did you mean "photo in 4 layers"?',
    )
