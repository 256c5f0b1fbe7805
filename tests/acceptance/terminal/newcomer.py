"""What the tests of the default model share: its name, what a home says of it, and a run on a terminal."""

import json
import socket
import subprocess
from pathlib import Path

from pipeline import weights
from tests.acceptance.home import HotFolder
from tests.acceptance.terminal.terminal import Terminal, plain_lines

NAME = "depth-anything-v2-small"
SHIPPED = weights.catalogue().models[NAME]
REPO, COMMIT = str(SHIPPED.repo), str(SHIPPED.revision)


def models_of(home: HotFolder) -> Path:
    """The models folder that a home uses."""
    listed = json.loads(home.run("models", "list", "--json").stdout)
    return Path(next(each["folder"] for each in listed if each["name"] == NAME)).parent


def is_installed(home: HotFolder) -> bool:
    """Whether the model is here, byte for byte as it was recorded."""
    return home.run("models", "verify", NAME).returncode == 0


def sentences(said: str, name: str = "model") -> list[str]:
    """The lines of a terminal that mention the model, unwrapped."""
    return [line for line in plain_lines(said) if name in line and "Asking" not in line]


def run_on_terminal(home: HotFolder, *arguments: str) -> tuple[int, str]:
    """`multiplane run --once` on a terminal: exit status, and what it said."""
    terminal = Terminal(home, "run", "--once", *arguments, columns=400)
    return terminal.end(), terminal.said


def manifest(home: HotFolder, image: str) -> dict:
    """The manifest of the newest job of a picture."""
    status = home.of(image)[-1]
    assert status["state"] == "completed", status
    return json.loads((home.job(status) / "result" / "layer_manifest.json").read_text())


def closed_address() -> str:
    """A local address at which nothing listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{made.getsockname()[1]}"


def type_elsewhere(home: HotFolder, command: str) -> None:
    """Run a printed command in another folder, in a terminal whose environment only names the hub."""
    environ = {"PATH": "/usr/bin:/bin"} | {name: home.settings[name] for name in ("HOME", "HF_ENDPOINT", "NO_PROXY")}
    done = subprocess.run(["sh", "-c", command], cwd="/", env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
