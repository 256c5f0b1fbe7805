"""The sandbox policy lists single folders: never the home, the checkout or the inbox."""

import json
import os
import sys
from pathlib import Path

import pytest

from daemon.catalogues.reading import SHIPPED
from daemon.contract.records import Accepted, ClaimedFile, Job
from daemon.contract.spec import JobSpec
from daemon.platform import sandbox
from daemon.platform.files import path_of
from daemon.platform.sandbox import macos
from daemon.running.model_inventory import ModelInventory
from daemon.supervisor.code import fingerprint

PROGRAM = Path(__file__).resolve().parents[3]


def test_a_sandbox_holds_the_data_the_program_and_the_libraries_but_not_the_folders_around_them(tmp_path):
    read = sandbox.policy(os.fsencode(tmp_path)).read
    assert os.path.realpath(tmp_path) in read
    assert str(PROGRAM / "pipeline") in read
    assert str(PROGRAM / "config") in read
    assert os.path.realpath(sys.prefix) in read
    kept_out = [str(PROGRAM), str(PROGRAM / "inbox"), str(PROGRAM / ".state"), os.path.expanduser("~"), "/", "/etc", "/tmp"]
    assert not set(kept_out) & set(read)
    for path in kept_out[:3]:
        assert not any(path.startswith(each + "/") for each in read), path


def test_a_profile_of_macos_quotes_what_it_is_given(tmp_path):
    policy = sandbox.SandboxPolicy(read=('/Users/a "b" \\c',), devices=("/dev/null",))
    own = os.open(tmp_path, os.O_RDONLY)
    try:
        profile = macos.command(["/usr/bin/python3", "-P"], policy, own)
        place = os.fsdecode(path_of(own))
    finally:
        os.close(own)
    assert profile[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert profile[3:] == ["/usr/bin/python3", "-P"]
    assert '(subpath "/Users/a \\"b\\" \\\\c")' in profile[2]
    assert profile[2].count("(") == profile[2].count(")")
    assert profile[2].index("(deny file-write*)") < profile[2].index(f'(allow file-write* (subpath "{place}")')


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
    own = [str(tmp_path / "styles.yaml")]
    without = fingerprint(own)
    Path(own[0]).touch()
    assert fingerprint(own) != without


@pytest.mark.parametrize(
    ("wishes", "warm"),
    [
        ({}, "light"),
        ({"depth": "model"}, "depth"),
        ({"depth": "cues"}, "light"),
        ({"depth": "cues", "matting": "model"}, "depth"),
        ({"depth": "cues", "fill": "model"}, "painting"),
        ({"mode": "painterly", "style": "oil", "depth": "cues"}, "painting"),
        ({"mode": "painterly", "style": "oil-strokes", "depth": "cues"}, "light"),
        ({"mode": "painterly", "style": "oil-strokes", "depth": "model"}, "depth"),
    ],
)
def test_what_a_job_asks_of_its_worker_is_known_beforehand(tmp_path, wishes, warm):
    assert ModelInventory(str(tmp_path)).warm_for(job_asking(**wishes)) == warm


def test_a_model_that_makes_a_photos_own_depth_finer_counts_for_such_photos_alone(tmp_path):
    folder = tmp_path / "prompt-depth-anything-small"
    folder.mkdir()
    (folder / "multiplane.json").touch()
    installed = ModelInventory(str(tmp_path))
    assert installed.warm_for(job_asking()) == "light"
    assert installed.warm_for(job_asking("IMG_1.HEIC")) == "depth"
    assert installed.missing_depth_model() == "depth-anything-v2-small"


def job_asking(name="a.jpg", **wishes) -> Job:
    image = ClaimedFile(role="image", name=name, to=name, ino=1, size=9, mtime_ns=0)
    spec = JobSpec(**wishes)
    accepted = Accepted(job="a", files=(image,), spec=spec)
    return Job(job_id="a", accepted=accepted, sequence=1, created_at="", spec=spec, mode=spec.mode, refusal=None)


def test_lists_of_ones_own_and_the_folders_they_name_are_open_to_a_worker(tmp_path):
    lists = [tmp_path / "models.yaml", tmp_path / "styles.yaml"]
    entry = {"use": "depth", "path": "mine", "licence": "MIT", "commercial": True, "polarity": "disparity", "scale": "relative"}
    lists[0].write_text(json.dumps({"models": {"mine": entry}}))
    style = {"description": "d", "engine": "diffusion", "prompt": "p", "negative_prompt": "", "guidance": 7, "steps": 9}
    lists[1].write_text(json.dumps({"words": style}))
    shipped = [SHIPPED["models"], SHIPPED["styles"]]
    installed = ModelInventory("/models", [shipped[0], str(lists[0])], [shipped[1], str(lists[1])])
    opened = ["/models", str(tmp_path / "mine"), shipped[0], str(lists[0]), shipped[1], str(lists[1])]
    assert list(map(os.fsdecode, installed.folders())) == opened
    assert installed.warm_for(job_asking(mode="painterly", style="words")) == "painting"
    assert installed.warm_for(job_asking()) == "light"
    (tmp_path / "mine").mkdir()
    assert installed.warm_for(job_asking()) == "depth"


def test_a_folder_of_models_that_was_replaced_is_another_place(tmp_path):
    installed = ModelInventory(str(tmp_path / "models"))
    assert installed.identities()[0] is None
    (tmp_path / "models").mkdir()
    first = installed.identities()
    (tmp_path / "models").rename(tmp_path / "away")
    (tmp_path / "models").mkdir()
    assert None not in (first[0], installed.identities()[0])
    assert installed.identities() != first


@pytest.mark.skipif(sys.platform == "darwin", reason="sandbox-exec takes names, there or not")
def test_a_folder_that_comes_after_the_daemons_start_is_open_to_the_workers_of_then(tmp_path):
    models = tmp_path / "models"
    policy = sandbox.policy(os.fsencode(models))
    opened = [json.loads(sandbox.command(["worker"], policy, 9)[-1])["read"]]
    models.mkdir()
    opened.append(json.loads(sandbox.command(["worker"], policy, 9)[-1])["read"])
    assert [str(models) in each for each in opened] == [False, True]
    assert set(sandbox.policy().devices) == set(sandbox.DEVICES), "a driver makes some when it is first asked"
    shown = sandbox.SandboxPolicy(read=(), devices=("/dev/null", "/dev/no-such-card"))
    assert json.loads(sandbox.command(["worker"], shown, 9)[-1])["devices"] == ["/dev/null"]


def test_the_models_folder_is_what_a_worker_may_read(tmp_path):
    assert ModelInventory(str(tmp_path)).folders()[0] == os.fsencode(tmp_path)
