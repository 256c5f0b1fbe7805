"""Jobs that ask for the formats of 3-D programs: what a result then holds, and what happens where a package is missing."""

import importlib.util
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.cli.verbs.check import _check
from daemon.contract.commands import unmarked
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.registry import FORMATS
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo
from daemon.doctor.judging_machine import formats
from daemon.errors import FormatUnavailable
from daemon.settings import load
from pipeline.run import run
from tests.unit.pictures import encoded, landscape

HAS_USD = importlib.util.find_spec("pxr") is not None
INSTALL = unmarked(shlex.join([sys.executable, "-m", "pip", "install", "usd-core"]))


@pytest.fixture
def without_usd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which usd-core is not installed: the registry names a package that no machine has."""
    known = tuple(replace(each, imported="no_such_package") if each.imported else each for each in FORMATS)
    for module in ("pipeline.export.result", "daemon.platform.packages"):
        monkeypatch.setattr(f"{module}.FORMATS", known)


def job(folder: Path, picture: bytes, formats: list[str]) -> Path:
    """Run one job, with the picture itself as its depth; the result folder."""
    source = folder / "source"
    source.mkdir()
    for name in ("a.png", "a.depth.png"):
        (source / name).write_bytes(picture)
    seen = os.lstat(source / "a.png")
    command = JobCommand(
        job_id="a", attempt=str(folder), source=str(source), image="a.png", image_bytes=seen.st_size,
        image_mtime_ns=seen.st_mtime_ns, depth_picture="a.depth.png", spec=JobSpec(num_layers=3, formats=tuple(formats)),
        limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20), models=str(folder / "models"), threads=1,
    )  # fmt: skip
    run(command, lambda *_: None)
    return folder / "result"


def test_a_job_makes_all_of_them_and_the_manifest_names_what_wrote_them(tmp_path: Path) -> None:
    asked = [
        each.word for each in FORMATS if each.module.startswith("pipeline.export.scenes.") and (HAS_USD or not each.imported)
    ]
    result = job(tmp_path, encoded(landscape()[..., 1], "PNG"), asked)
    made = {"scene.glb", "scene.usdz", "after_effects.jsx", "blender_scene.py", "layers.ora"}
    assert {path.name for path in result.iterdir()} >= made - (set() if HAS_USD else {"scene.usdz"})
    versions = json.loads((result / "layer_manifest.json").read_text())["versions"]
    assert ("usd-core" in versions) == HAS_USD


def test_a_job_that_asks_for_a_missing_package_fails_before_its_picture_is_read(tmp_path: Path, without_usd: None) -> None:
    with pytest.raises(FormatUnavailable, match="usdz, because the package usd-core is not installed") as failed:
        job(tmp_path, b"no picture", ["glb", "usdz"])
    assert "multiplane doctor" in failed.value.info().hint
    assert not (tmp_path / "result").exists()


def test_check_and_doctor_name_the_command_that_installs_it(tmp_path: Path, without_usd: None) -> None:
    sidecar = tmp_path / "a.yaml"
    sidecar.write_text("formats: [glb]\n")
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": ""})
    assert isinstance(_check(sidecar, settings), str)
    sidecar.write_text("formats: [usdz]\n")
    refused = _check(sidecar, settings)
    assert isinstance(refused, ErrorInfo)
    assert refused.code == "format_unavailable"
    assert INSTALL in unmarked(refused.hint)
    (note,) = formats(SimpleNamespace(unwritable=[each for each in FORMATS if each.imported]))
    assert note.grade == "note"
    assert "usdz" in note.sentence
    assert INSTALL in unmarked(note.hint or "")
    assert not list(formats(SimpleNamespace(unwritable=())))
