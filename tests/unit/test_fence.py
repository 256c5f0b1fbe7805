"""What a fence lets through is named folder by folder: never the home, the checkout or the inbox in it."""

import os
import sys
from pathlib import Path

import pytest

from daemon.contract.records import Accepted, ClaimedFile, Job
from daemon.contract.spec import JobSpec
from daemon.platform import sandbox, sandbox_macos
from daemon.service.installed import Installed
from daemon.supervisor.code import fingerprint
from pipeline.sandbox import call_filter

PROGRAM = Path(__file__).resolve().parents[2]


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
    profile = sandbox_macos.fenced(["/usr/bin/python3", "-P"], fence, b"/Users/a/outbox/.work/1")
    assert profile[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert profile[3:] == ["/usr/bin/python3", "-P"]
    assert '(subpath "/Users/a \\"b\\" \\\\c")' in profile[2]
    assert profile[2].count("(") == profile[2].count(")")
    assert profile[2].index("(deny file-write*)") < profile[2].index('(allow file-write* (subpath "/Users/a/outbox/.work/1")')


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_stays_inside_and_every_way_ends(machine):
    steps = call_filter(machine)
    for place, (code, if_true, if_false, _operand) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06


@pytest.mark.parametrize(
    ("machine", "audit", "number", "argument", "answer"),
    [
        ("x86_64", 0xC000003E, 0, 0, 0x7FFF0000),  # read
        ("x86_64", 0xC000003E, 41, 2, 0x00050001),  # socket
        ("x86_64", 0xC000003E, 53, 1, 0x7FFF0000),  # socketpair
        ("x86_64", 0xC000003E, 56, 0x3D0F00, 0x7FFF0000),  # clone of a thread
        ("x86_64", 0xC000003E, 56, 17, 0x00050001),  # clone of a process
        ("x86_64", 0xC000003E, 435, 0, 0x00050000 | 38),  # clone3: ENOSYS
        ("x86_64", 0xC000003E, 41 | 0x40000000, 2, 0x80000000),  # x32
        ("x86_64", 0x40000003, 102, 1, 0x80000000),  # the numbers of i386
        ("aarch64", 0xC00000B7, 198, 2, 0x00050001),  # socket
        ("aarch64", 0xC00000B7, 63, 0, 0x7FFF0000),  # read
        ("aarch64", 0xC00000B7, 220, 17, 0x00050001),  # clone of a process
    ],
)
def test_the_filter_answers_each_call_as_it_should(machine, audit, number, argument, answer):
    assert interpreted(call_filter(machine), audit, number, argument) == answer


def interpreted(steps, audit: int, number: int, argument: int) -> int:
    """What the kernel's machine would make of it."""
    data, place, held = {0: number, 4: audit, 16: argument}, 0, 0
    while True:
        code, if_true, if_false, operand = steps[place]
        place += 1
        match code:
            case 0x20:
                held = data[operand]
            case 0x06:
                return operand
            case 0x15:
                place += if_true if held == operand else if_false
            case 0x35:
                place += if_true if held >= operand else if_false
            case 0x45:
                place += if_true if held & operand else if_false
            case _:
                raise AssertionError(code)


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
    installed = Installed(str(tmp_path))
    image = ClaimedFile(role="image", name="a.jpg", to="a.jpg", ino=1, size=9, mtime_ns=0)
    spec = JobSpec(**wishes)
    accepted = Accepted(job="a", files=(image,), spec=spec)
    job = Job(job_id="a", accepted=accepted, sequence=1, created_at="", spec=spec, mode=spec.mode, refusal=None)
    assert installed.asked_of(job) == warm


def test_the_models_folder_is_what_a_worker_may_read(tmp_path):
    assert Installed(str(tmp_path)).folders()[0] == os.fsencode(tmp_path)
