"""Where models run: a graphics processor that exists but cannot be used is an error; the CPU never replaces it silently."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.errors import DeviceUnavailable
from pipeline import cpu_torch, devices
from pipeline.depth import model
from pipeline.devices import decide, seen
from pipeline.painterly import diffusion

NONE = {"cuda": False, "mps": False}
NVIDIA = {"cuda": "an NVIDIA graphics card (/dev/nvidia0)"}
APPLE = {"mps": "the graphics processor of Apple silicon"}
RECORD = [["torch/__init__.py", "", "3"], ["torch/lib/a.so", "", "2"], ["torch/data.txt", "", "9"], ["../bin/torchrun", "", "1"]]


@pytest.mark.parametrize(
    ("asked", "usable", "there", "settled"),
    [
        ("auto", NONE, {}, "cpu"),
        ("auto", NONE | {"cuda": True}, NVIDIA, "cuda"),
        ("auto", NONE | {"cuda": True}, {}, "cuda"),
        ("auto", NONE | {"mps": True}, APPLE, "mps"),
        ("auto", {"cuda": True, "mps": True}, {}, "cuda"),
        ("mps", {"cuda": True, "mps": True}, {}, "mps"),
        ("cpu", NONE, NVIDIA, "cpu"),
        ("cpu", {"cuda": True, "mps": True}, {}, "cpu"),
    ],
)
def test_a_model_runs_on_what_was_asked_for_or_on_the_best_there_is(asked, usable, there, settled):
    assert decide(asked, usable, there) == settled


@pytest.mark.parametrize(("asked", "there"), [("auto", NVIDIA), ("auto", APPLE), ("cuda", NVIDIA), ("mps", APPLE)])
def test_a_graphics_processor_that_a_worker_cannot_use_is_an_error(asked, there):
    with pytest.raises(DeviceUnavailable) as caught:
        decide(asked, NONE, there)
    (card,) = there.values()
    assert caught.value.message == f"This machine has {card}, but a worker cannot use it: PyTorch finds none."
    for way in ("worker.device: cpu", "worker.sandbox: off", "multiplane doctor", "multiplane retry ID"):
        assert way in caught.value.info().hint


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_a_device_that_fails_at_a_small_sum_is_an_error(asked):
    with pytest.raises(DeviceUnavailable, match="cuda fails a small test: no kernel image"):
        decide(asked, NONE | {"cuda": "no kernel image"}, NVIDIA)


def test_a_device_that_is_asked_for_and_not_there_is_an_error():
    with pytest.raises(DeviceUnavailable, match="cuda was asked for, but this machine has none"):
        decide("cuda", NONE, {})


@pytest.mark.parametrize(
    ("system", "machine", "files", "visible", "names"),
    [
        ("linux", "x86_64", {"/dev/nvidia0", "/dev/nvidiactl"}, None, {"cuda"}),
        ("linux", "x86_64", {"/dev/nvidia3", "/dev/nvidiactl"}, "3", {"cuda"}),
        ("linux", "x86_64", {"/dev/dri", "/proc/driver/nvidia"}, None, {"cuda"}),
        ("linux", "x86_64", {"/dev/nvidia0", "/dev/nvidiactl"}, "", set()),  # hidden by whoever set it
        ("linux", "x86_64", {"/dev/nvidia0", "/dev/nvidiactl"}, "-1", set()),
        ("linux", "x86_64", {"/dev/dri"}, None, set()),  # the graphics of the processor
        ("linux", "x86_64", {"/proc/driver/nvidia"}, None, set()),  # the card of the host of a container
        ("linux", "x86_64", set(), None, set()),
        ("darwin", "arm64", set(), None, {"mps"}),
        ("darwin", "x86_64", set(), None, set()),
    ],
)
def test_a_machines_graphics_processor_is_known_without_torch(system, machine, files, visible, names):
    assert set(seen(system, machine, files.__contains__, visible)) == names


def torch(*, cuda: str | None) -> SimpleNamespace:
    """A PyTorch build of this kind, as it behaves where it finds no graphics processor."""
    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(is_available=lambda: False),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False, is_built=lambda: False)),
    )


@pytest.mark.parametrize("candidates", [model._candidates, diffusion.candidates], ids=["depth", "painting"])
def test_neither_depth_nor_painting_goes_on_on_the_cpu_when_the_card_is_hidden(monkeypatch, candidates):
    monkeypatch.setattr(devices, "seen", lambda *_: NVIDIA)
    monkeypatch.setitem(sys.modules, "torch", torch(cuda="12.8"))
    with pytest.raises(DeviceUnavailable, match="NVIDIA"):
        candidates("auto")


def test_a_torch_for_the_cpu_alone_runs_there_whatever_the_machine_has(monkeypatch):
    monkeypatch.setattr(devices, "seen", lambda *_: NVIDIA | APPLE)
    monkeypatch.setitem(sys.modules, "torch", torch(cuda=None))
    assert devices.choose("auto") == "cpu"
    assert model._candidates("auto") == ()


def test_asking_for_the_cpu_needs_no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert devices.choose("cpu") == "cpu"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An installation of which only the code is there."""
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("1+1")
    (tmp_path / "torch" / "lib" / "a.so").write_text("so")
    return tmp_path


def test_it_says_the_same_without_being_imported_or_leaves_it_to_the_import() -> None:
    said = cpu_torch.look()
    if said is None:
        pytest.skip("this PyTorch was built for a graphics processor, or for another system")
    assert said == devices._with_torch()


def test_an_installation_is_complete_if_all_its_code_has_the_recorded_size(site: Path) -> None:
    assert cpu_torch.is_complete(site, RECORD)
    (site / "torch" / "__init__.py").write_text("1+")
    assert not cpu_torch.is_complete(site, RECORD)


def test_an_installation_that_lacks_a_library_or_any_record_is_not_complete(site: Path) -> None:
    assert not cpu_torch.is_complete(site, [])
    shutil.rmtree(site / "torch" / "lib")
    assert not cpu_torch.is_complete(site, RECORD)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("cuda = None; hip = None; xpu = None", "2.13.0"),
        ("cuda = '12.8'; hip = None; xpu = None", None),
        ("cuda = None; hip = '6.2'; xpu = None", None),
        ("cuda = None", None),
    ],
)
def test_only_one_that_was_built_for_no_graphics_processor_is_not_imported(
    tmp_path: Path, said: str, version: str | None
) -> None:
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'; {said}\n")
    assert cpu_torch.built_for_cpu(tmp_path / "version.py") == version
