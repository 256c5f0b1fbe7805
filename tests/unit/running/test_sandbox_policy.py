"""What a fence lets through is named folder by folder: never the home, the checkout or the inbox in it."""

import json
import os
import sys
from pathlib import Path

import pytest

from daemon.contract.records import Accepted, ClaimedFile, Job
from daemon.contract.spec import JobSpec
from daemon.platform import sandbox
from daemon.platform.sandbox import macos
from daemon.running.model_inventory import ModelInventory
from daemon.supervisor.code import fingerprint

PROGRAM = Path(__file__).resolve().parents[3]


def test_a_fence_holds_the_data_the_program_and_the_libraries_but_not_the_folders_around_them(tmp_path):
    read = sandbox.fence(os.fsencode(tmp_path)).read
    assert os.path.realpath(tmp_path) in read
    assert str(PROGRAM / "pipeline") in read
    assert str(PROGRAM / "config") in read
    assert os.path.realpath(sys.prefix) in read
    kept_out = [str(PROGRAM), str(PROGRAM / "inbox"), str(PROGRAM / ".state"), os.path.expanduser("~"), "/", "/etc", "/tmp"]
    assert not set(kept_out) & set(read)
    for path in kept_out[:3]:
        assert not any(path.startswith(each + "/") for each in read), path


def test_a_profile_of_macos_quotes_what_it_is_given():
    fence = sandbox.Fence(read=('/Users/a "b" \\c',), devices=("/dev/null",))
    profile = macos.fenced(["/usr/bin/python3", "-P"], fence, b"/Users/a/outbox/.work/1")
    assert profile[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert profile[3:] == ["/usr/bin/python3", "-P"]
    assert '(subpath "/Users/a \\"b\\" \\\\c")' in profile[2]
    assert profile[2].count("(") == profile[2].count(")")
    assert profile[2].index("(deny file-write*)") < profile[2].index('(allow file-write* (subpath "/Users/a/outbox/.work/1")')


def test_the_programs_fingerprint_stays_until_a_file_changes(tmp_path, monkeypatch):
    assert fingerprint() == fingerprint()
    before = fingerprint()
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    with_site = fingerprint()
    assert with_site != before
    (site / "new-package").mkdir()
    os.utime(site, ns=(1, 1))
    assert fingerprint() != with_site


@pytest.mark.parametrize(
    ("wishes", "warm"),
    [
        ({}, "light"),
        ({"depth": "model"}, "depth"),
        ({"depth": "cues"}, "light"),
        ({"mode": "painterly", "style": "oil", "depth": "cues"}, "painting"),
        ({"mode": "painterly", "style": "oil-strokes", "depth": "cues"}, "light"),
        ({"mode": "painterly", "style": "oil-strokes", "depth": "model"}, "depth"),
    ],
)
def test_what_a_job_asks_of_its_worker_is_known_beforehand(tmp_path, wishes, warm):
    assert ModelInventory(str(tmp_path)).asked_of(job_asking(**wishes)) == warm


def job_asking(**wishes) -> Job:
    image = ClaimedFile(role="image", name="a.jpg", to="a.jpg", ino=1, size=9, mtime_ns=0)
    spec = JobSpec(**wishes)
    accepted = Accepted(job="a", files=(image,), spec=spec)
    return Job(job_id="a", accepted=accepted, sequence=1, created_at="", spec=spec, mode=spec.mode, refusal=None)


def test_an_entry_of_the_list_that_is_none_asks_for_nothing(tmp_path):
    (tmp_path / "models.yaml").write_text("models:\n  mine:\n  other: text\n")
    installed = ModelInventory(str(tmp_path), tmp_path / "models.yaml")
    assert installed.folders() == [os.fsencode(tmp_path), os.fsencode(tmp_path / "models.yaml")]
    assert installed.asked_of(job_asking()) == "light"


def test_a_folder_of_models_that_was_replaced_is_another_place(tmp_path):
    installed = ModelInventory(str(tmp_path / "models"))
    assert installed.places()[0] is None
    (tmp_path / "models").mkdir()
    first = installed.places()
    (tmp_path / "models").rename(tmp_path / "away")
    (tmp_path / "models").mkdir()
    assert None not in (first[0], installed.places()[0])
    assert installed.places() != first


@pytest.mark.skipif(sys.platform == "darwin", reason="sandbox-exec takes names, there or not")
def test_a_folder_that_comes_after_the_daemons_start_is_open_to_the_workers_of_then(tmp_path):
    models = tmp_path / "models"
    fence = sandbox.fence(os.fsencode(models))
    opened = [json.loads(sandbox.fenced(["worker"], fence, b"/own")[-1])["read"]]
    models.mkdir()
    opened.append(json.loads(sandbox.fenced(["worker"], fence, b"/own")[-1])["read"])
    assert [str(models) in each for each in opened] == [False, True]
    assert set(sandbox.fence().devices) == set(sandbox.DEVICES), "a driver makes some when it is first asked"
    shown = sandbox.Fence(read=(), devices=("/dev/null", "/dev/no-such-card"))
    assert json.loads(sandbox.fenced(["worker"], shown, b"/own")[-1])["devices"] == ["/dev/null"]


def test_the_models_folder_is_what_a_worker_may_read(tmp_path):
    assert ModelInventory(str(tmp_path)).folders()[0] == os.fsencode(tmp_path)
