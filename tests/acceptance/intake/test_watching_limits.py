"""No observer or no watch is left, or an inbox folder is another file system: it is polled, reported and later repaired.

The limits are the kernel's own, lowered for one daemon in a user namespace of its own; the mounts are real.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of inotify")

_LIMIT = "/proc/sys/user/max_inotify_{}"
_SPACE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture(scope="module", autouse=True)
def spaces() -> None:
    """User namespaces, which some machines forbid."""
    if shutil.which("unshare") is None or subprocess.run([*_SPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespace can be made here")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path / "home", MULTIPLANE_INTAKE__POLL_SECONDS="1") as made:
        yield made


def limited(what: str, count: int) -> Sequence[str]:
    """The command prefix that lowers the limit to this number before the daemon starts."""
    return (*_SPACE, "sh", "-c", f'echo {count} > {_LIMIT.format(what)} && exec "$@"', "sh")


def within(folder: QuickFolder, *argv: str) -> None:
    """Run something in the daemon's namespaces."""
    assert folder.process is not None
    subprocess.run(
        ["nsenter", "-t", str(folder.process.pid), "--user", "--mount", "--preserve-credentials", *argv], check=True, cwd="/"
    )


def raise_limit(folder: QuickFolder, what: str) -> None:
    within(folder, "sh", "-c", f"echo 1000 > {_LIMIT.format(what)}")


def problem(folder: QuickFolder) -> str:
    return (folder.health() or {}).get("problem") or ""


def test_without_an_inotify_instance_it_polls_and_says_so_and_watches_again_when_there_is_one(folder: QuickFolder) -> None:
    folder.start(before=limited("instances", 0))
    until(lambda: "cannot be watched (inotify instance limit reached); it is polled instead" in problem(folder))
    assert "the folder of requests cannot be watched" in problem(folder)
    assert "fs.inotify.max_user_instances" in folder.health()["hint"]
    assert folder.health()["polled"] == [{"folder": "", "share": None, "trouble": "inotify instance limit reached"}]
    assert "cannot be watched" in folder.verb("doctor").stdout.replace("\n", " ")
    folder.pair("polled.jpg")
    folder.done("polled.jpg")
    assert folder.verb("cancel", "no-such-job").returncode != 0  # answered by the daemon, without its bell
    raise_limit(folder, "instances")
    until(lambda: not problem(folder))
    assert folder.health()["polled"] == []
    until(lambda: "watched again" in folder.log())
    folder.pair("watched.jpg")
    folder.done("watched.jpg")


def test_with_one_inotify_instance_left_it_is_the_inbox_that_gets_it(folder: QuickFolder) -> None:
    folder.start(before=limited("instances", 1))
    until(lambda: "the folder of requests cannot be watched" in problem(folder))
    assert folder.health()["polled"] == []


def test_a_folder_for_which_no_watch_is_left_is_polled_and_told_of_until_there_is_one(folder: QuickFolder) -> None:
    folder.start(before=limited("watches", 2))
    (folder.inbox / "late").mkdir()
    (folder.inbox / "late" / "_preset.yaml").write_text("num_layers: 3\n")
    until(lambda: "cannot be watched (inotify watch limit reached)" in problem(folder))
    assert "fs.inotify.max_user_watches" in folder.health()["hint"]
    assert "late" in [one["folder"] for one in until(lambda: folder.health()["polled"])]
    folder.pair("polled.jpg", folder="late")
    folder.done("polled.jpg")
    raise_limit(folder, "watches")
    until(lambda: not problem(folder))
    assert folder.health()["polled"] == []


def test_a_disk_mounted_on_a_folder_of_the_inbox_is_watched_from_then_on(folder: QuickFolder) -> None:
    # Looks by themselves are out of the question here: what is seen was told of by the system.
    folder.settings["MULTIPLANE_INTAKE__RESCAN_SECONDS"] = "3600"
    folder.start(before=_SPACE)
    (folder.inbox / "disk").mkdir()
    until(lambda: any(path.startswith("disk") for path in folder.waiting()))
    within(folder, "mount", "-t", "tmpfs", "none", str(folder.inbox / "disk"))
    time.sleep(2)  # some looks at whether the folders are still the same; nothing tells of that one
    below = Path(f"/proc/{folder.process.pid}/root{folder.inbox}/disk")
    for name, data in (("_preset.yaml", b"num_layers: 3\n"), ("on-disk.jpg", b"good")):
        (below / name).write_bytes(data)
    folder.done("on-disk.jpg")
    assert (folder.health()["polled"], problem(folder)) == ([], "")
    assert not (below / "on-disk.jpg").exists()


_SHARE = """
import os, subprocess, sys, time
from daemon.intake import Control, Memory, Rules, step
from daemon.platform.mounts import Mount
from daemon.watch import Watch

inbox = sys.argv[1]
share = os.path.join(inbox, "share")
for name in ("share", "local"):
    os.mkdir(os.path.join(inbox, name))
open(os.path.join(inbox, ".multiplane"), "w").close()

# A tmpfs that the mount table calls a share; everything else is as it says.
kinds = {True: Mount(os.fsencode(share), "cifs", "//server/x"), False: Mount(b"/", "ext4", "disk")}
watch = Watch(
    os.fsencode(inbox),
    lambda: None,
    read_control=lambda p, e, k: Control(k, e),
    mount_of=lambda _, name: kinds[name == b"share" and os.path.ismount(share)],
)
assert watch.start().state == "ok"
watch.scan()
assert watch.polled == (), watch.polled
subprocess.run(["mount", "-t", "tmpfs", "none", share], check=True)
assert watch.health(time.monotonic()).state == "ok"
watch.scan()
assert [(one.folder, one.share) for one in watch.polled] == [(b"share", "cifs")], watch.polled
due = watch.next_at - time.monotonic()
assert due <= 5, due
for name in ("share", "local"):
    for file in ("_preset.yaml", "a.jpg"):
        with open(os.path.join(inbox, name, file), "w") as written:
            written.write("{}")
seen, memory, start = watch.scan({b"share": {b"a.jpg", b"_preset.yaml"}}), Memory(rules=Rules(preset_grace=0)), time.monotonic()
networks = {folder.name: folder.network for folder in seen.scan.folders}
assert networks == {b"": None, b"share": True, b"local": False}, networks
ready = {}
while len(ready) < 2:
    assert time.monotonic() < start + 100, ready
    decision = step(memory, seen.scan, seen.hints)
    memory = decision.memory
    for one in decision.ready:
        ready.setdefault(one.folder, time.monotonic() - start)
    time.sleep(0.1)
    seen = watch.scan(decision.due_names)
assert ready[b"share"] >= 5, ready
assert ready[b"share"] > ready[b"local"], ready
subprocess.run(["umount", share], check=True)
watch.health(time.monotonic())
watch.scan()
assert watch.polled == (), watch.polled
watch.stop()
"""


def test_a_share_mounted_below_the_inbox_is_polled_and_settles_at_its_own_pace(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    argv = [*_SPACE, sys.executable, "-c", _SHARE, str(tmp_path / "inbox")]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=110)
    assert done.returncode == 0, done.stderr
