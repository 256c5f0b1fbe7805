"""`service install` and `uninstall` on a Mac, from end to end, with a launchctl that starts and stops as launchd does.

What the Mac's own programs make of their arguments only a Mac can show; that ours are called so that a daemon runs, that the
Quick Action reaches it, and that nothing is left afterwards, can be shown anywhere.
"""

import os
import plistlib
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.cli.verbs import service
from daemon.errors import Refusal
from daemon.platform.finder.actions import DOCUMENT, DROPLET, WORKFLOW
from daemon.platform.service.launchd import LABEL
from tests.acceptance.home import picture, until
from tests.programs import write_python_program

#: One agent. `print` fails with 113 where there is none, `bootstrap` with 5 where there is one or where it is disabled.
LAUNCHCTL = """
import os, plistlib, signal, subprocess, sys, time
here = {here!r}
pid_file, log = os.path.join(here, "pid"), os.path.join(here, "calls")
verb = sys.argv[1]
with open(log, "a") as file:
    file.write(verb + "\\n")

def alive():
    try:
        pid = int(open(pid_file).read())
        state = open(f"/proc/{{pid}}/stat").read().rsplit(")", 1)[1].split()[0] if os.path.isdir("/proc") else "S"
        os.kill(pid, 0)
        return None if state == "Z" else pid
    except (OSError, ValueError):
        return None

if verb == "bootstrap":
    if alive():
        sys.exit(5)
    listed = plistlib.load(open(sys.argv[3], "rb"))
    environ = {{"HOME": os.environ["HOME"], "PATH": "/usr/bin:/bin", "XPC_SERVICE_NAME": listed["Label"]}}
    environ.update(listed.get("EnvironmentVariables", {{}}))
    errors = open(listed["StandardErrorPath"], "ab")
    process = subprocess.Popen(
        listed["ProgramArguments"], cwd="/", env=environ, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
        start_new_session=True,
    )
    open(pid_file, "w").write(str(process.pid))
elif verb == "bootout":
    pid = alive()
    if not pid:
        sys.exit(3)
    os.kill(pid, signal.SIGTERM)
elif verb == "print":
    if not alive():
        sys.exit(113)
    print("gui/x = {{\\n\\tstate = running\\n}}")
"""
OSACOMPILE = """#!/bin/sh
mkdir -p "$2/Contents/Resources" && cp {compiled} "$2/Contents/Info.plist"
"""


@pytest.fixture
def mac(tmp_path, monkeypatch) -> Iterator[Path]:
    """A user's folder on something that looks like a Mac to our code."""
    programs, user = tmp_path / "bin", tmp_path / "user"
    for path in (programs, user):
        path.mkdir()
    (tmp_path / "compiled.plist").write_bytes(plistlib.dumps({"CFBundleExecutable": "droplet"}))
    write_python_program(programs / "launchctl", LAUNCHCTL.format(here=str(tmp_path)))
    texts = {
        "osacompile": OSACOMPILE.format(compiled=shlex.quote(str(tmp_path / "compiled.plist"))),
        "codesign": "#!/bin/sh\n",
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in list(os.environ):
        if name.startswith("MULTIPLANE_"):
            monkeypatch.delenv(name)
    settings = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_WORKER__SPARE": "false", "MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5"}
    for name, value in ({"HOME": str(user), "PATH": f"{programs}:/usr/bin:/bin"} | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "darwin")
    yield user
    monkeypatch.undo()
    if (tmp_path / "pid").exists() and psutil.pid_exists(pid := int((tmp_path / "pid").read_text())):
        psutil.Process(pid).kill()


def calls(user: Path) -> list[str]:
    """The launchctl calls since the last time."""
    file = user.parent / "calls"
    found = file.read_text().split()
    file.write_text("")
    return found


@pytest.mark.parametrize("folder", ["Documents/Layers", "Library/CloudStorage/Dropbox/Layers"])
def test_a_delivery_folder_that_macos_protects_is_told_before_anything_is_installed(mac, monkeypatch, folder) -> None:
    (mac / folder).mkdir(parents=True)
    monkeypatch.setenv("MULTIPLANE_DELIVER__FOLDER", str(mac / folder))
    # Wherever the checkout is.
    monkeypatch.setattr(service, "PROGRAM", mac / "program")
    with pytest.raises(Refusal, match=r"The folder for deliveries .* which macOS protects"):
        service.install(no_model=True, home=mac / "Layers")
    assert not (mac / "Library" / "LaunchAgents").exists()


def test_an_installation_runs_serves_finder_and_is_removed_without_a_trace(mac, capsys, monkeypatch) -> None:
    home = mac / "Layers"
    monkeypatch.setenv("XDG_DATA_HOME", str(mac / "data"))
    service.install(quick_action=True, no_model=True, home=home)
    assert calls(mac) == ["bootout", "print", "enable", "bootstrap"]
    assert f"watches {home / 'inbox'}" in capsys.readouterr().out
    agent = mac / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    action, droplet = mac / "Library" / "Services" / WORKFLOW, mac / "Applications" / DROPLET
    assert all(path.exists() for path in (agent, action, droplet))
    # It finds the models where this terminal's commands do.
    assert plistlib.loads(agent.read_bytes())["EnvironmentVariables"]["XDG_DATA_HOME"] == str(mac / "data")

    # As Finder starts it: none of this session's settings are there.
    photo = mac / "my photo.png"
    photo.write_bytes(picture())
    text = plistlib.loads((action / DOCUMENT).read_bytes())["actions"][0]["action"]["ActionParameters"]["COMMAND_STRING"]
    environ = {"HOME": str(mac), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", text, "-", photo], env=environ, capture_output=True, text=True, timeout=60, check=True)
    until(lambda: (home / "outbox" / done.stdout.strip() / "source" / photo.name).exists())

    # Installing again is a restart.
    service.install(quick_action=True, wait=True, no_model=True, home=home)
    asked = calls(mac)
    assert asked[:2] == ["print", "bootout"]
    assert asked[-3:] == ["print", "enable", "bootstrap"]
    assert "waits=yes" in (action / DOCUMENT).read_text()

    service.uninstall(home=home)
    assert not any(path.exists() for path in (agent, action, droplet))
    assert not psutil.pid_exists(pid := int((mac.parent / "pid").read_text())) or psutil.Process(pid).status() == "zombie"
    assert (home / "outbox" / done.stdout.strip() / "source" / photo.name).exists()
