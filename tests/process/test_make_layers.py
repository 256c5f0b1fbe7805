"""The shell script of the Quick Action and the droplet, run as Automator and AppleScript run it, against a real home."""

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.platform.finder.actions import DOCUMENT, script, workflow
from daemon.platform.service import Facts
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("zsh", "bash")
]
NAMES = [
    "two words.png",
    'it\'s "quoted".png',
    "line\nfeed.png",
    "🏖️ beach 日本 é.png",
    "$HOME `id` $(touch hit) *?.png",
    "-rf back\\slash.png",
]
#: In the place of macOS' own: writes down what is to be opened, ended by a zero.
OPEN = '#!/bin/sh\nprintf \'%s\\0\' "$@" >> "$OPENED"\n'


class Mac:
    """A home with a daemon, and what Finder on a Mac would start for it."""

    def __init__(self, folder: QuickFolder, around: Path) -> None:
        self.folder = folder
        self.around = around
        self.opened_file = around / "opened"
        programs = around / "bin"
        programs.mkdir()
        (programs / "open").write_text(OPEN)
        (programs / "open").chmod(0o755)
        # What launchd gives to what Finder starts, and no more.
        self.environ = {"HOME": str(around), "PATH": f"{programs}:/usr/bin:/bin", "OPENED": str(self.opened_file)}

    def shell_part(self, *, waits: bool, python: str = sys.executable) -> str:
        """The script as it is in the installed workflow."""
        facts = Facts(python=python, home=str(self.folder.home), errors="", environ=self.folder.settings)
        files = workflow(script(facts, str(self.folder.outbox), waits=waits))
        return plistlib.loads(files[DOCUMENT])["actions"][0]["action"]["ActionParameters"]["COMMAND_STRING"]

    def run(self, shell: str, text: str, *pictures: Path) -> subprocess.CompletedProcess[str]:
        """Run it as Automator does: the script as an argument, a dash, the pictures."""
        return subprocess.run(
            [shell, "-c", text, "-", *pictures],
            env=self.environ,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def opened(self) -> list[str]:
        """What was opened since the last time."""
        found = self.opened_file.read_text().split("\0")[:-1] if self.opened_file.exists() else []
        self.opened_file.unlink(missing_ok=True)
        return found


@pytest.fixture(scope="module")
def mac(tmp_path_factory) -> Iterator[Mac]:
    around = tmp_path_factory.mktemp("mac")
    with quick_folder(around / "It's “my” home $HOME 🏖") as folder:
        # A setting of the session that installed it; Finder does not know it, and without it nobody would look where it drops.
        folder.inbox = folder.home / "drop here"
        folder.settings["MULTIPLANE_FOLDERS__INBOX"] = str(folder.inbox)
        folder.start()
        yield Mac(folder, around)


def pictures(folder: Path, names: list[str], data: bytes = b"GIF89a good ") -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(data + os.fsencode(path.name))
    return paths


@pytest.mark.parametrize("way", ["quick action", "droplet"])
@pytest.mark.parametrize("shell", SHELLS)
def test_pictures_with_any_name_become_jobs_and_stay_where_they_were(mac, tmp_path, shell, way) -> None:
    chosen = pictures(tmp_path / "my photos", NAMES)
    text = mac.shell_part(waits=False)
    if way == "quick action":
        done = mac.run(shell, text, *chosen)
    else:
        (tmp_path / "make-layers.sh").write_text(text)
        argv = [shell, tmp_path / "make-layers.sh", *chosen]
        done = subprocess.run(argv, env=mac.environ, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ids = done.stdout.split()
    assert len(ids) == len(NAMES)
    for job_id, original in zip(ids, chosen, strict=True):
        until(lambda job_id=job_id: (mac.folder.outbox / job_id / "result").is_dir())
        assert (mac.folder.outbox / job_id / "source" / original.name).read_bytes() == original.read_bytes()
    assert not (Path("/") / "hit").exists()
    assert mac.opened() == []
    assert not [path for path in mac.folder.inbox.iterdir() if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize("shell", SHELLS)
def test_one_that_waits_shows_the_layers_of_one_picture_or_the_page_of_several(mac, tmp_path, shell) -> None:
    one, two = pictures(tmp_path / "p", ["a: b.png", "c.png"])
    done = mac.run(shell, mac.shell_part(waits=True), one)
    assert (done.returncode, done.stderr) == (0, "")
    (shown,) = mac.opened()
    assert Path(shown).parent.parent == mac.folder.outbox
    assert (Path(shown) / "Layer_1_background.png").is_file()
    done = mac.run(shell, mac.shell_part(waits=True), one, two)
    assert (done.returncode, done.stderr) == (0, "")
    assert mac.opened() == [str(mac.folder.outbox / "index.html")]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_goes_wrong_is_said_and_ends_with_a_failure(mac, tmp_path, shell) -> None:
    (picture, text) = pictures(tmp_path / "p", ["a.png", "notes.txt"])
    refused = mac.run(shell, mac.shell_part(waits=True), picture, text)
    assert refused.returncode == 6, "the good picture is done, and the other is named"
    assert "the name isn't a picture's" in refused.stderr
    assert mac.opened() == [str(mac.folder.outbox / "index.html")]
    assert mac.run(shell, mac.shell_part(waits=True), text).returncode == 2
    moved = mac.run(shell, mac.shell_part(waits=False, python="/moved away/.venv/bin/python"), picture)
    assert moved.returncode == 1
    assert "no longer at /moved away/.venv/bin/python" in moved.stderr
    again = moved.stderr.partition(" for NEW_FOLDER: ")[2].strip()
    assert again.partition(" service ")[2].startswith("install --quick-action --home ")
    # A person on this machine can type it: here with the place of the program, and with what is not only for a Mac.
    typed = again.replace("NEW_FOLDER/.venv", shlex.quote(sys.prefix)).replace("--quick-action", "--print")
    done = subprocess.run([shell, "-c", typed], env=mac.environ, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert str(mac.folder.home) in done.stdout
    assert mac.opened() == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_picture_that_fails_is_told_with_its_hint_and_nothing_is_opened(mac, tmp_path, shell) -> None:
    (picture,) = pictures(tmp_path / "p", ["bad.png"], b"GIF89a torn ")
    os.utime(picture, (1e9, 1e9))
    done = mac.run(shell, mac.shell_part(waits=True), picture)
    assert done.returncode == 1
    assert "failed" in done.stderr
    assert mac.opened() == []
