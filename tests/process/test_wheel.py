"""The wheel, installed outside the checkout without settings or other files of the project, serves a hot folder."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.home import picture
from tests.programs import ROOT, copy_program, write_pth

#: A painting by a style of the user's own, with a model of the user's own.
_SPEC = """
mode: painterly
style: mine
num_layers: 2
depth: cues
formats: []
id: painting
"""
_STYLES = """
mine:
  description: in words of my own
  engine: diffusion
  prompt: a picture
  negative_prompt: ""
  guidance: 7
  steps: 2
"""
_MODELS = """
models:
  tiny:
    use: diffusion
    part: pipeline
    path: {path}
    licence: MIT
    commercial: true
"""
#: Nothing here tries how patient the intake is.
_QUICK = {"MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5", "MULTIPLANE_INTAKE__GRACE_SECONDS": "0"}
_ONE_CORE = {"MULTIPLANE_WORKER__THREADS": "1", "MULTIPLANE_WORKER__DEVICE": "cpu", "MULTIPLANE_WORKER__SPARE": "false"}
#: Nobody who runs the tests wants to be told on the desktop.
_SILENT = {f"MULTIPLANE_NOTIFICATIONS__{kind}": "false" for kind in ("BATCHES", "SINGLES", "FAILURES")}


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
        libraries = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
        write_pth(self.site / "libraries.pth", libraries)
        shutil.rmtree(tree)
        self.folder, self.user, self.home = base / "empty", base / "user", base / "home"
        self.folder.mkdir()
        self.user.mkdir()
        self.environ = {"HOME": str(self.user), "PATH": os.environ["PATH"], "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
        self.environ |= _QUICK | _ONE_CORE | _SILENT

    def multiplane(self, *arguments: str) -> str:
        """Run the command as installed; returns what it printed."""
        return self._run([str(self.environment / "bin" / "multiplane"), *arguments], self.folder, self.environ).stdout

    def failing(self, *arguments: str) -> str:
        """Run a command that must fail; returns its output."""
        return self._run([str(self.environment / "bin" / "multiplane"), *arguments], self.folder, self.environ, 2).stderr

    def python(self, code: str, *arguments: str) -> str:
        """Run Python of the environment; returns what it printed."""
        return self._run(
            [str(self.environment / "bin" / "python"), "-P", "-c", code, *arguments], self.folder, self.environ
        ).stdout

    @staticmethod
    def _run(command: list[str], folder: Path, environ: dict[str, str], status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done


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


def test_a_picture_in_a_preset_becomes_layers_and_one_beside_it_a_painting(installed: Installation, tiny_diffusion: Path) -> None:
    # The first start makes the folders, and has nothing to do.
    installed.multiplane("run", "--once", "--home", str(installed.home))
    inbox, outbox = installed.home / "inbox", installed.home / "outbox"
    assert {path.parent.name for path in inbox.glob("*/_preset.yaml")} == {"photo in 4 layers", "oil painting"}
    config = Path(installed.python("import platformdirs; print(platformdirs.user_config_dir('multiplane'))").strip())
    config.mkdir(parents=True)
    (config / "styles.yaml").write_text(_STYLES, encoding="utf-8")
    (config / "models.yaml").write_text(_MODELS.format(path=json.dumps(str(tiny_diffusion))), encoding="utf-8")
    (inbox / "photo in 4 layers" / "one.png").write_bytes(picture(96, 64))
    (inbox / "two.png").write_bytes(picture(96, 64))
    (inbox / "two.png.yaml").write_text(_SPEC, encoding="utf-8")
    installed.multiplane("run", "--once", "--home", str(installed.home))
    statuses = {
        found["source"]["image"]: found for found in (json.loads(path.read_text()) for path in outbox.glob("*/status.json"))
    }
    assert {name: found["state"] for name, found in statuses.items()} == {"one.png": "completed", "two.png": "completed"}
    assert len(list(outbox.glob("*/result/Layer_*.png"))) == 6
    painted = json.loads((outbox / "painting" / "result" / "layer_manifest.json").read_text())["painterly"]
    assert (painted["engine"], painted["style"], painted["model"], painted["steps"]) == ("diffusion", "mine", "tiny", 2)
    assert list(installed.folder.iterdir()) == []
    report = json.loads(installed.multiplane("doctor", "--json", "--home", str(installed.home)))
    assert report["healthy"], report["findings"]


def test_commands_of_the_checkout_are_known_to_be_none_of_the_package(installed: Installation) -> None:
    program = shlex.quote(str(installed.environment / "bin" / "multiplane"))
    assert installed.failing("demo") == (
        "multiplane: demo is a command of the checkout, not a verb of multiplane\n"
        f"An installed package has none. `{program} --help` lists the verbs.\n"
    )
    code = "from daemon.settings.layout import set_up_again; print(set_up_again())"
    assert installed.python(code) == "pipx reinstall multiplane\n"


def test_the_file_of_the_service_is_printed_and_names_the_program_of_the_wheel(installed: Installation) -> None:
    before = sorted(installed.user.rglob("*"))
    printed = installed.multiplane("service", "install", "--print", "--home", "/the home")
    assert "--print shows the file" in installed.failing("service", "install", "--print", "--quick-action")
    assert sorted(installed.user.rglob("*")) == before
    code = (
        "from daemon.platform.service import manager; import sys; "
        "found = manager().read(sys.argv[1].encode()); print(found.home, found.python, sep='\\n')"
    )
    python = str(installed.environment / "bin" / "python")
    assert installed.python(code, printed).splitlines() == ["/the home", python]
    code = (
        "from daemon.platform.service import Facts; from daemon.platform.service.systemd import Systemd; "
        "from daemon.platform.service.launchd import Launchd; import sys; "
        "facts = Facts(python=sys.executable, home='/the/home', errors='/the/errors', environ={}); "
        "print([each.read(each.content(facts)) for each in (Systemd(), Launchd())])"
    )
    assert installed.python(code).count(f"Installed(home='/the/home', python='{python}'") == 2
