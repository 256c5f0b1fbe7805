"""Progress is reported while layers are filled and files are written, not only when they are done."""

import io
import threading

import numpy as np
import pytest

from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.contract.status import Output
from pipeline.export import psd
from pipeline.export.format import Pictures
from pipeline.export.result import Task, write, write_pictures
from pipeline.image.decode import Photo
from pipeline.layers.layering import Layers, layer_picture
from pipeline.run import run
from tests.unit.pictures import encoded, landscape


@pytest.fixture(scope="module")
def layered() -> tuple[Photo, Layers, list[tuple[str, float]]]:
    """A photo in three layers, and the progress reported meanwhile."""
    rgb, told = landscape(60, 90), []
    values = np.linspace(0, 1, 60, dtype=np.float32)[:, None].repeat(90, axis=1)
    layers = layer_picture(rgb, None, values, None, num_layers=3, split=(0.3, 0.6), progress=lambda *each: told.append(each))
    return Photo(rgb=rgb, alpha=None, icc=None, profile="sRGB", bits=8, format="JPEG", orientation=1, warnings=()), layers, told


def pictures(layered) -> Pictures:
    photo, layers, _ = layered
    return Pictures("a", photo, layers, Depth(source="file", polarity="disparity"), "a file", None)


def made(name: str) -> list[Output]:
    return [Output(path=f"result/{name}", kind="layer", bytes=0, sha256="")]


def test_what_is_done_counts_although_an_earlier_file_takes_longer(tmp_path):
    other_told, told = threading.Event(), []

    def slow(_folder, _progress):
        assert other_told.wait(20), "nothing was told of the file that is done"
        return made("slow")

    def progress(share):
        told.append(share)
        other_told.set()

    tasks = [Task(3.0, slow), Task(1.0, lambda *_: made("quick"))]
    outputs = write(tmp_path, tasks, threads=2, progress=progress)
    assert told == [0.25, 1.0]
    assert [output.path for output in outputs] == ["result/slow", "result/quick"], "in the order of the tasks"


def test_a_file_in_the_making_is_given_up_when_another_failed(tmp_path):
    begun, ended = threading.Event(), threading.Event()

    def fails(_folder, _progress):
        assert begun.wait(20)
        raise OSError("the disk is full")

    def endless(_folder, progress):
        begun.set()
        try:
            while True:
                progress(0.5)
        finally:
            ended.set()

    with pytest.raises(OSError, match="full"):
        write(tmp_path, [Task(1.0, fails), Task(1.0, endless)], threads=2, progress=lambda _: None)
    assert ended.is_set()


def test_a_file_that_is_begun_anew_takes_nothing_back(tmp_path):
    def begun_anew(_folder, progress):
        for share in (0.5, 0.75, 0.25, 0.5, 1.0):
            progress(share)
        return made("layers.psb")

    told = []
    write(tmp_path, [Task(1.0, begun_anew), Task(1.0, lambda *_: made("other"))], threads=1, progress=told.append)
    assert told == [0.25, 0.375, 0.5, 1.0]


def test_a_layered_file_tells_of_each_strip_of_layers_and_each_plane_after_them(layered):
    told = []
    layers = [psd.PsdLayer(str(k), rgba) for k, rgba in enumerate(layered[1].rgba)]
    psd.write(io.BytesIO(), layers, layered[1].composite, progress=told.append)
    assert len(told) == 3 + 3, "three layers of one strip each, and the flat picture's three colours"
    assert told == sorted(set(told))
    assert told[-1] == 1.0


@pytest.mark.parametrize("large", [False, True])
def test_the_share_of_all_files_rises_to_one(layered, large, tmp_path, monkeypatch):
    monkeypatch.setattr(psd, "may_be_large", lambda *_: large)
    told = []
    write_pictures(tmp_path, pictures(layered), formats=("psd",), threads=2, progress=told.append)
    assert told == sorted(told)
    assert len(told) > 12
    assert max(after - before for before, after in zip([0.0, *told], told, strict=False)) < 0.25
    assert told[-1] == 1.0


def test_the_filling_of_each_layer_is_told_of(layered):
    shares = [share for stage, share in layered[2] if stage == "fill"]
    assert len(shares) == 1 + 2 * 3, "when it begins, and of each layer when its colours are known and when it is made"
    assert shares == sorted(set(shares))
    assert shares[-1] == next(share for stage, share in layered[2] if stage == "recompose")


def test_layers_without_pixels_keep_the_filling_from_nothing():
    told = []
    flat = np.full((9, 9), 0.5, np.float32)
    layer_picture(
        landscape(9, 9), None, flat, None, num_layers=4, split=(0.6, 0.7, 0.8), progress=lambda *each: told.append(each)
    )
    assert [share for stage, share in told if stage == "fill"] == pytest.approx([0.5, 0.65, 0.8])


@pytest.mark.parametrize(("warm", "least"), [("light", 0.0), ("depth", 0.5)])
def test_a_job_that_asks_a_model_is_mostly_the_model(tmp_path, warm, least):
    (tmp_path / "source").mkdir()
    photo = tmp_path / "source" / "a.png"
    photo.write_bytes(encoded(landscape(24, 32), "PNG"))
    told = {}
    command = JobCommand(
        job_id="a", attempt=str(tmp_path), source=str(photo.parent), image="a.png", image_bytes=photo.stat().st_size,
        image_mtime_ns=photo.stat().st_mtime_ns, spec=JobSpec(depth="cues", num_layers=2), models=str(tmp_path / "models"),
        limits=Limits(max_bytes=10**6, max_pixels=10**6), threads=1, warm=warm,
    )  # fmt: skip
    run(command, lambda stage, share: told.setdefault(stage, share))
    assert least <= told["refine"] < least + 0.5
