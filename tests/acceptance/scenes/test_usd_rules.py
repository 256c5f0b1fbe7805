"""The USDZ scenes of real jobs by the rules of USD's own `usdchecker`, with those for AR Quick Look (only `make soak`).

Releases of usd-core from 26.5 on, which the product uses, no longer have these rules. Earlier ones have the rules, but their
wheels lack the descriptions of shaders by which one rule goes. 26.3 has both; it is installed into an environment of its own.
"""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from tests.acceptance.home import HotFolder
from tests.unit.pictures import SAMPLES

pytest.importorskip("pxr", reason="usd-core is not installed")
pytestmark = pytest.mark.skipif(not os.environ.get("SOAK_TESTS"), reason="runs in make soak: it installs a package")
RULES = "usd-core==26.3"
PHONE = SAMPLES / "iphone_pug_original.heic"


@pytest.fixture(scope="module")
def usd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the rules."""
    folder = tmp_path_factory.mktemp("rules")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", RULES]
    installed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode != 0:
        pytest.skip(f"{RULES} cannot be installed: {installed.stderr.strip()[-300:]}")
    return python


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Scenes of flat planes and of reliefs, with few and many layers, of a photo that is mostly half transparent, and large."""
    home = HotFolder(tmp_path_factory.mktemp("scenes") / "ho me")
    astronaut = skimage.data.astronaut()
    rows, columns = np.indices(astronaut.shape[:2])
    soft = np.clip(300 - np.hypot(rows - 256, columns - 256), 0, 255).astype(np.uint8)
    soft[::37] = 0
    asked = {
        "astronaut ü": (astronaut, "flat", 4),
        "rocket": (skimage.data.rocket(), "flat", 2),
        "coffee": (skimage.data.coffee(), "relief", 12),
        "soft": (np.dstack([astronaut, soft]), "flat", 5),
        "soft relief": (np.dstack([astronaut, soft]), "relief", 5),
        "phone": (None, "relief", 4),
    }
    if not PHONE.is_file():
        del asked["phone"]
    for name, (pixels, mesh, count) in asked.items():
        if pixels is None:
            (home.inbox / f"{name}.heic").write_bytes(PHONE.read_bytes())
        else:
            Image.fromarray(pixels).save(home.inbox / f"{name}.png")
        (home.inbox / f"{name}.yaml").write_text(f"num_layers: {count}\nmesh: {mesh}\nformats: [usdz]\n")
    assert home.run("run", "--once").returncode == 0
    made = sorted(home.outbox.glob("*/result/scene.usdz"))
    assert len(made) == len(asked)
    return made


@pytest.mark.parametrize("more", [[], ["--arkit"]])
def test_no_scene_breaks_a_rule(usd: Path, scenes: list[Path], tmp_path: Path, more: list[str]) -> None:
    wrong = tmp_path / "wrong.usdz"
    wrong.write_bytes(scenes[0].read_bytes())
    with zipfile.ZipFile(wrong, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", "a" * 999)
    command = [usd, Path(__file__).with_name("usd_rules.py"), *more, *scenes, wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    assert "compress" in " ".join(found.pop(str(wrong))).lower()
    assert found == {str(scene): [] for scene in scenes}
