"""The guide to many machines, line by line, on one computer: each machine has a home directory of its own.

The four hosts of the guide are this computer, with one host name, and `scp` copies into their home directories. Everything else
is as the guide says. It takes half a minute of both cores, so it runs with `make soak`.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.home import MULTIPLANE, picture, until
from tests.process.cluster.clustered import free_port
from tests.waiting import SLOWEST

GUIDE = Path(__file__).parents[3] / "launchd" / "cluster.md"
MACHINES = ("studio", "mac-1", "mac-2", "linux-1")
#: Copies to the home directory of the machine that is named, as scp does.
SCP = """#!/bin/sh
for last; do :; done
host=${last%%:*}; to="$MACHINES/${host%.local}/${last#*:}"
while [ $# -gt 1 ]; do cp -p "$1" "$to"; shift; done
"""


def blocks() -> list[list[str]]:
    """The lines of the guide that are typed or written into a file, in three blocks."""
    found = re.findall(r"^```(?:yaml)?\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def test_the_guide_has_fifteen_lines() -> None:
    assert [len(block) for block in blocks()] == [4, 5, 6]


class Office:
    """Four machines on one computer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.running: list[subprocess.Popen[bytes]] = []
        programs = folder / "bin"
        programs.mkdir()
        (programs / "scp").write_text(SCP)
        (programs / "scp").chmod(0o755)
        (programs / "multiplane").symlink_to(MULTIPLANE)
        for name in MACHINES:
            (folder / name / "keys").mkdir(parents=True)

    def environment(self, name: str) -> dict[str, str]:
        home = self.folder / name
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MULTIPLANE_", "XDG_"))}
        return kept | {
            "HOME": str(home),
            "MULTIPLANE_HOME": str(home / "Multiplane"),
            "MULTIPLANE_FOLDERS__MODELS": ".state/models",
            "MACHINES": str(self.folder),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def here(self, line: str) -> str:
        """A line of the guide, with the address of this computer."""
        return line.replace("studio.local:8786", f"127.0.0.1:{self.port}")

    def settings(self, lines: list[str]) -> None:
        for name in MACHINES:
            text = "\n".join(map(self.here, lines)).replace("keys/studio", f"keys/{name}")
            path = self.folder / name / ".config" / "multiplane" / "config.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(text + "\n")

    def type(self, name: str, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", self.here(line)], cwd=self.folder / name, env=self.environment(name), capture_output=True, text=True,
            timeout=100 * SLOWEST, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    def leave(self, name: str, line: str) -> None:
        """Type a line that runs until it is stopped."""
        program = shlex.split(line)
        with (self.folder / f"{name}.out").open("ab") as log:
            self.running.append(
                subprocess.Popen(program, cwd=self.folder / name, env=self.environment(name), stdout=log, stderr=log)
            )

    def stop(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(15 * SLOWEST)


@pytest.mark.skipif(not os.environ.get("SOAK_TESTS"), reason="takes half a minute; runs with `make soak`")
@pytest.mark.timeout(900)
def test_the_guide_leads_to_the_first_job(tmp_path) -> None:
    keys, settings, (scheduler, worker, run, status, doctor, submit) = blocks()
    office = Office(tmp_path)
    for line in keys:
        office.type("studio", line)
    office.settings(settings)
    (tmp_path / "studio" / "photo.jpg").write_bytes(picture(96, 64, form="JPEG"))
    try:
        office.leave("studio", scheduler)
        for name in MACHINES:
            office.leave(name, worker)
        office.leave("studio", run)
        told = until(lambda: all(name in (found := office.type("studio", status)) for name in MACHINES) and found)
        assert "(another!)" not in told
        until(lambda: (tmp_path / "studio/Multiplane/outbox/daemon.json").exists())
        assert "cluster" in office.type("studio", doctor)
        office.type("studio", submit)
    finally:
        office.stop()
    (made,) = (tmp_path / "studio/Multiplane/outbox").glob("*/status.json")
    found = json.loads(made.read_text())
    assert (found["state"], found["error"]) == ("completed", None)
    assert found["machine"] in MACHINES
