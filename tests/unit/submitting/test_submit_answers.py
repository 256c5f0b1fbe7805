"""What `submit --json` prints: one entry for each picture given, in the order given, however it ends. No daemon runs here."""

import errno
import io
import json
import os

import pytest
import yaml

from daemon.cli import common
from daemon.cli.answers import VERBS
from daemon.cli.submitting import dropping
from daemon.fs import LocalFiles
from tests.acceptance.home import HotFolder, picture

KEYS = ["image", "outcome", "job_id", "state", "delivered", "error"]


@pytest.fixture
def folder(tmp_path):
    return HotFolder(tmp_path / "home")


@pytest.fixture
def shoot(tmp_path):
    """Two good pictures; between them one that is cut off, and one that is missing."""
    for number, (name, left) in enumerate({"a.png": None, "cut.png": -40, "d.png": None}.items()):
        (tmp_path / name).write_bytes(picture(seed=number)[:left])
    return [str(tmp_path / name) for name in ("a.png", "cut.png", "gone.png", "d.png")]


def told(done) -> list[dict]:
    """The entries, which the schema must describe."""
    model = VERBS["submit"]
    assert model.dump_python(model.validate_json(done.stdout), mode="json") == json.loads(done.stdout)
    return json.loads(done.stdout)


def notes(done) -> list[dict]:
    return [line for line in map(json.loads, done.stderr.splitlines()) if "job_id" in line]


def ids(folder) -> dict[str, str]:
    """The id of each picture in the inbox."""
    return {path.name[:-5]: yaml.safe_load(path.read_text())["id"] for path in folder.inbox.glob("*.yaml")}


@pytest.mark.parametrize(("words", "status"), [((), 6), (("--wait", "--patience", "0"), 75)])
def test_every_picture_has_its_entry_in_the_order_given(folder, shoot, words, status) -> None:
    done = folder.verb("submit", *shoot, "--json", *words)
    entries = told(done)
    assert (done.returncode, [list(one) for one in entries]) == (status, [KEYS] * 4)
    assert [one["image"] for one in entries] == shoot
    assert [one["outcome"] for one in entries] == ["submitted", "refused", "refused", "submitted"]
    named = ids(folder)
    assert [one["job_id"] for one in entries] == [named["a.png"], None, None, named["d.png"]]
    assert [one["state"] for one in entries] == ["waiting", None, None, "waiting"]
    assert [one["error"] and one["error"]["code"] for one in entries] == [None, "image_unreadable", "source_missing", None]


@pytest.mark.parametrize("words", [(), ("--wait", "--patience", "0")])
def test_one_thing_is_said_of_a_picture_that_is_there_already(folder, shoot, words) -> None:
    folder.verb("submit", shoot[0])
    done = folder.verb("submit", shoot[0], shoot[3], shoot[3], "--if-exists", "skip", "--json", *words)
    entries, named = told(done), ids(folder)
    assert [one["outcome"] for one in entries] == ["skipped", "submitted", "skipped"]
    assert [one["job_id"] for one in entries] == [named["a.png"], named["d.png"], named["d.png"]]
    said = [one["note"] for one in notes(done)]
    assert len(set(said)) == len(said) == (3 if words else 2)
    assert sum(" is skipped: " in one for one in said) == 2
    assert {(one["job_id"], one["image"]) for one in notes(done)} <= {(one["job_id"], one["image"]) for one in entries}


def test_when_every_picture_is_refused_each_has_its_entry(folder, shoot) -> None:
    done = folder.verb("submit", *shoot[1:3], "--json")
    assert (done.returncode, [one["outcome"] for one in told(done)]) == (2, ["refused", "refused"])


@pytest.mark.parametrize(
    ("trouble", "status"), [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 74), (KeyboardInterrupt(), 130)]
)
def test_whatever_ends_it_too_early_is_told_with_what_is_in_the_inbox(folder, shoot, monkeypatch, trouble, status) -> None:
    class Failing(LocalFiles):
        renames = 2

        def rename(self, source: bytes, target: bytes) -> None:
            if self.renames == 0:
                raise trouble
            self.renames -= 1
            super().rename(source, target)

    monkeypatch.setattr(dropping, "fs", Failing())
    done = folder.verb("submit", *shoot, "--json")
    entries, named = told(done), ids(folder)
    assert (done.returncode, [one["outcome"] for one in entries]) == (status, ["submitted", "refused", "refused", "left"])
    assert (entries[0]["job_id"], entries[3]["job_id"], list(named)) == (named["a.png"], None, ["a.png"])
    assert [(one["job_id"], one["image"]) for one in notes(done)] == [(named["a.png"], shoot[0])]


def test_a_name_that_is_no_text_is_printed_so_that_programs_get_it_back(monkeypatch) -> None:
    name, printed = os.fsdecode(b"/photos/\xff.png"), io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="utf-8", write_through=True))
    common.print_json({"image": name, "also": "Größe"})
    assert json.loads(printed.getvalue()) == {"image": name, "also": "Größe"}
    assert "Größe".encode() in printed.getvalue()
