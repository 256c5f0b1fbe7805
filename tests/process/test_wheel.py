"""The wheel, installed outside the checkout, with no settings and no other file of the project: it serves a hot folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.home import picture
from tests.programs import ROOT, copy_program

_STYLE = """
mode: painterly
style: oil-strokes
num_layers: 2
formats: []
id: painting
"""


class Installation:
    """A fresh environment with the wheel in it, and an empty folder to run it from.

    The libraries are those of the checkout's environment, put on the path by a `.pth` file; its own `.pth` files, the editable
    install among them, are not read that way.
    """

    def __init__(self, base: Path) -> None:
        # A copy, since a build writes `build` and `*.egg-info` into the tree.
        tree, wheels = copy_program(base / "tree", "pyproject.toml", "README.md", "LICENSE"), base / "wheels"
        build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels), "."]
        self._run([sys.executable, "-m", "pip", *build], tree, dict(os.environ))
        self.environment = base / "environment"
        self._run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], base, dict(os.environ))
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(self.environment)}))
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            self.contents = set(archive.namelist())
        pip = [sys.executable, "-m", "pip", "--python", str(self.environment / "bin" / "python"), "install", "-q", "--no-deps"]
        self._run([*pip, "--no-index", str(wheel)], base, dict(os.environ))
        (self.site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        shutil.rmtree(tree)
        self.folder, self.user, self.home = base / "empty", base / "user", base / "home"
        self.folder.mkdir()
        self.user.mkdir()
        self.environ = {"HOME": str(self.user), "PATH": os.environ["PATH"], "TMPDIR": os.environ.get("TMPDIR", "/tmp")}

    def multiplane(self, *arguments: str, status: int = 0) -> str:
        """Run the command as installed; returns what it printed."""
        return self._run([str(self.environment / "bin" / "multiplane"), *arguments], self.folder, self.environ, status)

    def python(self, code: str) -> str:
        """Run Python of the environment."""
        return self._run([str(self.environment / "bin" / "python"), "-P", "-c", code], self.folder, self.environ)

    @staticmethod
    def _run(command: list[str], folder: Path, environ: dict[str, str], status: int = 0) -> str:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_packages(installed: Installation) -> None:
    found = (
        Path(folder, name).relative_to(ROOT)
        for package in ("daemon", "pipeline")
        for folder, _, names in os.walk(ROOT / package, followlinks=True)
        for name in names
    )
    # The guides beside the templates are for people.
    wanted = {path.as_posix() for path in found if path.suffix != ".md" and "__pycache__" not in path.parts}
    assert {name for name in installed.contents if ".dist-info/" not in name} == wanted


def test_the_program_is_that_of_the_wheel_and_has_its_files(installed: Installation) -> None:
    names = "daemon.__file__, pipeline.__file__, CONFIG, LAUNCHD, PRESETS, default_home()"
    code = "import daemon, pipeline, json; from daemon.shipped import *; from daemon.settings.layout import default_home; "
    *places, home = json.loads(installed.python(f"{code}print(json.dumps([str(each) for each in ({names})]))"))
    site = os.path.realpath(installed.site)
    assert [place for place in places if not os.path.realpath(place).startswith(site + os.sep)] == []
    assert home == "~/Multiplane"
    assert installed.multiplane("--version").startswith("multiplane ")


def test_a_dropped_picture_becomes_layers_and_another_a_painting(installed: Installation) -> None:
    # The first start makes the folders, and has nothing to do.
    installed.multiplane("run", "--once", "--home", str(installed.home))
    inbox, outbox = installed.home / "inbox", installed.home / "outbox"
    assert {path.parent.name for path in inbox.glob("*/_preset.yaml")} == {"photo in 4 layers", "oil painting"}
    (inbox / "photo in 4 layers" / "one.png").write_bytes(picture(96, 64))
    (inbox / "two.png").write_bytes(picture(96, 64))
    (inbox / "two.png.yaml").write_text(_STYLE, encoding="utf-8")
    installed.multiplane("run", "--once", "--home", str(installed.home))
    statuses = {
        found["source"]["image"]: found for found in (json.loads(path.read_text()) for path in outbox.glob("*/status.json"))
    }
    assert {name: found["state"] for name, found in statuses.items()} == {"one.png": "completed", "two.png": "completed"}
    assert len(list(outbox.glob("*/result/Layer_*.png"))) == 6
    assert list(installed.folder.iterdir()) == []
    report = json.loads(installed.multiplane("doctor", "--json", "--home", str(installed.home)))
    assert report["healthy"], report["findings"]


def test_the_service_would_start_the_program_of_the_wheel(installed: Installation) -> None:
    python = str(installed.environment / "bin" / "python")
    code = (
        "from daemon.platform.service import Facts; from daemon.platform.service.systemd import Systemd; "
        "from daemon.platform.service.launchd import Launchd; import sys; "
        "facts = Facts(python=sys.executable, home='/the/home', errors='/the/errors', environ={}); "
        "print([each.read(each.content(facts)) for each in (Systemd(), Launchd())])"
    )
    assert installed.python(code).count(f"Installed(home='/the/home', python='{python}')") == 2
