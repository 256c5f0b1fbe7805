"""The sandbox around a worker refuses everything that a hostile worker tries, and allows what a job needs."""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from supervised import SupervisedWorkers
from workers import recipe
from workers.driver import command

from daemon.platform import sandbox
from daemon.platform.sandbox.linux import missing
from daemon.supervisor import Completed

MAY = ("read its source", "see that a device is there", "write in its folder", "start a thread", "limit and signal itself")
FILES = "reading and writing other files"
PROCESSES = "starting, limiting and watching processes"
SIGNALS = "sending signals to other processes of the same user"
#: What each attack needs to be kept out by, as `missing` names it.
KEPT_BY = {
    "hide the photo": PROCESSES,
    "age the photo": PROCESSES,
    "connect": "opening network connections",
    "send a datagram": "network connections other than TCP",
    "open a Unix socket": "network connections other than TCP",
    "listen to the kernel": "network connections other than TCP",
    # The filter that refuses new processes refuses these too: a kernel has all of it or nothing.
    **dict.fromkeys(recipe.on_other_processes(0, 0), PROCESSES),
    **dict.fromkeys(recipe.on_shared_ground("", "", 0), PROCESSES),
    **dict.fromkeys((name for name in recipe.on_other_processes(0, 0) if "signal" in name), SIGNALS),
    "leave the group": PROCESSES,
    "leave the session": PROCESSES,
    "fork": PROCESSES,
    "start a program": PROCESSES,
    "start the program of a video": PROCESSES,
}
#: The same for a worker that may start one program: only Landlock knows which.
WITH_A_PROGRAM = KEPT_BY | {"start a program": FILES}
#: Stands for ffmpeg.
PROGRAM = os.path.realpath(shutil.which("cat") or "")
#: Stands for the daemon of a plain user: without the rights of root, which alone would keep a worker away. It may be traced
#: also where a kernel (Yama) lets only parents trace: prctl(2), PR_SET_PTRACER. Says where a byte of its memory is.
DAEMON = """
import ctypes, sys
from pipeline.worker import sandbox
sandbox._drop_capabilities()
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
byte = ctypes.create_string_buffer(1)
print(ctypes.addressof(byte), flush=True)
sys.stdin.read()
"""
STAND_IN = (sys.executable, "-c", DAEMON)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of macOS is sandbox-exec's")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a hostile worker could do with and without the sandbox, from its own reports."""
    ways = {"open": (False, False, None), "started": (True, False, None), "forked": (True, True, None)}
    if FILES not in missing():
        ways["video"] = (True, True, PROGRAM)
    return {
        way: attack_results(tmp_path_factory.mktemp("siege"), sandboxed=sandboxed, forked=forked, program=program)
        for way, (sandboxed, forked, program) in ways.items()
    }


def attack_results(folder, *, sandboxed: bool, forked: bool, program: str | None) -> dict[str, str]:
    outbox, inbox, home = folder / "outbox", folder / "inbox", folder / "home" / ".ssh"
    for each in (outbox / "source", inbox, home):
        each.mkdir(parents=True)
    (home / "id_ed25519").write_text("secret")
    photo = outbox / "source" / "photo.jpg"
    photo.write_bytes(b"photo")
    segment = recipe.libc("shmget", 0, 1, 0o1600)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        subprocess.Popen(STAND_IN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as daemon,
    ):
        udp.bind(("127.0.0.1", 0))
        targets = {
            "photo": str(photo),
            "secret": str(home / "id_ed25519"),
            "inbox": str(inbox),
            "own": str(outbox / "attempt"),
            "daemon": daemon.pid,
            "address": int(daemon.stdout.readline()),
            "segment": segment,
            "program": PROGRAM,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
        }
        (outbox / "source" / "targets.json").write_text(json.dumps(targets))
        policy = sandbox.policy(os.fsencode(outbox)) if sandboxed else None
        supervised = SupervisedWorkers(
            outbox,
            (sys.executable, "-P", recipe.__file__, "hostile" if sandboxed else "hostile_without_sandbox"),
            policy=policy,
            forked=forked,
        )
        supervised.start(job=command(str(outbox)).model_copy(update={"ffmpeg": program}))
        outcome = supervised.end()
        ctypes.CDLL(None).shmctl(segment, 0, None)
        assert isinstance(outcome, Completed), outcome
        if sandboxed:
            assert photo.read_bytes() == b"photo"
            assert not any(inbox.iterdir())
    return json.loads((outbox / "attempt" / "result" / "seen.json").read_text())


@pytest.mark.parametrize("way", ["started", "forked"])
@pytest.mark.parametrize("name", [name for name in recipe.attacks(recipe.NOWHERE) if name not in MAY])
def test_a_hostile_worker_is_refused(seen, name, way):
    hole = KEPT_BY.get(name, FILES)
    if hole in missing():
        pytest.skip(f"this kernel cannot keep a worker from {hole}")
    assert seen[way][name] in ("EACCES", "EPERM")


@pytest.mark.skipif(FILES in missing(), reason="this kernel cannot tell one program from another")
def test_the_worker_of_a_video_may_start_its_program_and_nothing_else(seen):
    came = seen["video"]
    assert {name: came[name] for name in ("fork", "start the program of a video", *MAY)} == dict.fromkeys(
        ("fork", "start the program of a video", *MAY), "done"
    )
    rest = [name for name in came if name not in (*MAY, "fork", "start the program of a video")]
    kept = {name: came[name] for name in rest if WITH_A_PROGRAM.get(name, FILES) not in missing()}
    assert set(kept.values()) <= {"EACCES", "EPERM"}, kept


@pytest.mark.parametrize("way", ["started", "forked"])
@pytest.mark.parametrize("name", MAY)
def test_a_worker_may_do_what_a_job_needs(seen, name, way):
    assert seen[way][name] == "done"


def test_the_attacks_succeed_without_the_sandbox(seen):
    assert {name: came for name, came in seen["open"].items() if came != "done"} == {}
    assert set(seen["open"]) == set(seen["started"]) - {"become a program", "remove the photo", "move the photo"}


def test_a_worker_that_cannot_put_up_its_fence_does_no_job(tmp_path):
    supervised = SupervisedWorkers(tmp_path, (sys.executable, "-P", recipe.__file__, "good", "--sandbox", "{}"))
    supervised.start()
    outcome = supervised.end()
    assert outcome.error.code == "worker_crashed"
    assert "KeyError" in outcome.error.detail


@pytest.mark.parametrize(
    ("version", "seccomp", "holes"),
    [
        (7, True, ()),
        (5, True, ()),
        (4, False, ("network connections other than TCP", PROCESSES, SIGNALS)),
        (0, True, ("reading and writing other files",)),
        (0, False, ("reading and writing other files", "opening network connections", PROCESSES, SIGNALS)),
    ],
)
def test_what_a_kernel_cannot_do_is_said(version, seccomp, holes):
    assert missing(version, seccomp) == holes
