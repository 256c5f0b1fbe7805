"""An output format needs one file and one line in the registry, and so does a depth source: tried on a copy."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.acceptance.home import HotFolder, picture
from tests.programs import copy_program, write_pth

_FORMAT = '''
"""A palette of the layers, as text."""
from pipeline.export.format import Format


def _write(folder, pictures, progress):
    lines = ["#%02x%02x%02x" % tuple(rgba[..., :3].reshape(-1, 3).mean(axis=0).astype(int)) for rgba in pictures.layers.rgba]
    (folder / "palette.txt").write_text("\\n".join(lines))
    progress(1.0)
    return ["palette.txt"]


FORMAT = Format("Palette as text", 0.1, lambda _: "palette.txt", _write, packages=("pyyaml",))
'''
_FORMAT_LINE = 'FORMATS += (OutputFormat("palette-text", "pipeline.export.palette_text", label="Palette"),)\n'
_SOURCE = '''
"""What is right is near."""
import numpy as np

from daemon.contract.manifest import Depth
from pipeline.depth.depth_map import DepthMap
from pipeline.depth.source import Source


def _read(picture, job, progress):
    height, width = picture.rgb.shape[:2]
    values = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    return DepthMap(values, None, Depth(source="sideways", polarity="disparity"))


SOURCE = Source(in_words="from left to right", read=_read)
'''
_SOURCE_LINE = 'DEPTH_SOURCES += (DepthSource("sideways", "pipeline.depth.sideways"),)\n'
_REGISTRY = "daemon/contract/registry.py"


def contents(tree: Path) -> dict[str, bytes]:
    """Every file of the program except bytecode."""
    found = [path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


class Copy:
    """A copy of the program, with its own home."""

    def __init__(self, folder: Path) -> None:
        self.tree = copy_program(folder / "program")
        self.home = HotFolder(folder / "home")
        # Workers inherit no PYTHONPATH: an environment of its own finds the copy first, and borrows the packages of this one.
        venv.create(folder / "venv", symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
        ours = [path for path in sys.path if os.path.basename(path) == "site-packages"]
        write_pth(own / "copy.pth", [self.tree, *ours])

    def add(self, path: str, text: str, line: str) -> None:
        """Add one file and one line of the registry."""
        (self.tree / path).write_text(text)
        with (self.tree / _REGISTRY).open("a") as registry:
            registry.write(line)

    def multiplane(self, *arguments: str) -> str:
        """The output of a command of the copy; fails the test unless its exit status is 0."""
        told = subprocess.run(
            [self.python, "-P", "-m", "daemon.cli", *arguments],
            env=self.home.environment ,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def run(self, sidecar: str) -> dict:
        """One job by the real daemon; its status."""
        self.home.drop("photo.png", picture(), sidecar)
        self.multiplane("run", "--once")
        return self.home.ended("photo.png", 1.0)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path)
    before = contents(made.tree)
    yield made
    after = contents(made.tree)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed - {_REGISTRY} in ({"pipeline/export/palette_text.py"}, {"pipeline/depth/sideways.py"})


def test_an_output_format_is_one_file_and_one_line(copy: Copy) -> None:
    copy.add("pipeline/export/palette_text.py", _FORMAT, _FORMAT_LINE)
    assert "palette-text" in json.dumps(json.loads(copy.multiplane("schema"))["properties"]["formats"])
    status = copy.run("num_layers: 3\nformats: [palette-text, psd]\n")
    assert status["state"] == "completed", status["error"]
    assert status["spec"]["formats"] == ["palette-text", "psd"]
    job = copy.home.job(status)
    assert len((job / "result/palette.txt").read_text().splitlines()) == 3
    kinds = [output["kind"] for output in status["outputs"]]
    assert kinds[3:7] == ["depth", "composite", "psd", "palette-text"]
    assert [output["path"] for output in status["outputs"] if output["kind"] == "palette-text"] == ["result/palette.txt"]
    assert "pyyaml" in json.loads((job / "result/layer_manifest.json").read_text())["versions"]
    assert '["Palette as text","palette.txt"]' in (job / "result/preview.html").read_text()
    assert '["palette-text","Palette"]' in (copy.home.outbox / "index.html").read_text()
    cards = (copy.home.outbox / ".gallery/history-0.js").read_text()
    assert f'"palette-text":"{status["job_id"]}/result/palette.txt"' in cards


def test_a_depth_source_is_one_file_and_one_line(copy: Copy) -> None:
    copy.add("pipeline/depth/sideways.py", _SOURCE, _SOURCE_LINE)
    assert "sideways" in json.loads(copy.multiplane("schema"))["properties"]["depth"]["enum"]
    status = copy.run("num_layers: 2\ndepth: sideways\n")
    assert status["state"] == "completed", status["error"]
    result = copy.home.job(status) / "result"
    assert json.loads((result / "layer_manifest.json").read_text())["depth"]["source"] == "sideways"
    assert "from left to right" in (result / "preview.html").read_text()
    depth = np.asarray(Image.open(result / "depth_map.png")).astype(int)
    assert (np.diff(depth, axis=1).mean(axis=1) > 0).all()
    assert depth[:, -1].min() > depth[:, 0].max() + 60_000


def test_a_format_that_does_not_write_what_it_promised_fails_the_job(copy: Copy) -> None:
    text = _FORMAT.replace('lambda _: "palette.txt"', 'lambda _: "other.txt"')
    copy.add("pipeline/export/palette_text.py", text, _FORMAT_LINE)
    copy.home.drop("photo.png", picture(), "num_layers: 2\nformats: [palette-text]\n")
    with pytest.raises(AssertionError):
        copy.multiplane("run", "--once")
    status = copy.home.ended("photo.png", 1.0)
    assert status["error"]["code"] == "internal"
    assert "other.txt" in status["error"]["message"]
    assert not os.path.lexists(copy.home.job(status) / "result")
