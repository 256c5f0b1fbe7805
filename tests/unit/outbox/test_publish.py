"""Workers are not trusted: a result that is not what the worker reported is never published."""

import hashlib
import os

import pytest

from daemon.contract.manifest import Depth, Layer, Manifest, Recomposition, Split
from daemon.contract.messages import Result
from daemon.contract.status import Output, Source
from daemon.errors import OutputTooLarge, WorkerCrashed
from daemon.fs import LocalFiles
from daemon.outbox import check_result

FILES = {"Layer_1.png": b"far", "Layer_2.png": b"near", "preview/a.js": b"//"}


@pytest.fixture
def attempt(tmp_path):
    """An attempt folder with a valid result."""
    (tmp_path / "result" / "preview").mkdir(parents=True)
    layers = tuple(
        Layer(index=i, name="x", file=name, depth_range=(0, 1), coverage=0.5, bbox=None, sha256=digest(FILES[name]))
        for i, name in enumerate(("Layer_1.png", "Layer_2.png"), start=1)
    )
    manifest = Manifest(
        width=4,
        height=2,
        layers=layers,
        split=Split(method="natural", thresholds=(0.5,)),
        depth=Depth(source="file", polarity="disparity"),
        recomposition=Recomposition(max_error=0, raised_alpha=0),
        threads=1,
        versions={},
    )
    for name, data in FILES.items():
        (tmp_path / "result" / name).write_bytes(data)
    (tmp_path / "result" / "layer_manifest.json").write_text(manifest.model_dump_json())
    return tmp_path


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def said(attempt, **changes) -> Result:
    outputs = tuple(
        Output(path=f"result/{name}", kind="layer", bytes=len(data), sha256=digest(data)) for name, data in FILES.items()
    )
    source = Source(image="photo.jpg", bytes=3)
    return Result(**{"source": source, "outputs": outputs, "manifest": "result/layer_manifest.json", **changes})


def check(attempt, result: Result | None = None, max_bytes: int = 10_000) -> None:
    check_result(LocalFiles(), os.fsencode(attempt), result or said(attempt), max_bytes=max_bytes)


def test_an_honest_result_passes(attempt):
    check(attempt)


def test_a_missing_file_is_noticed(attempt):
    (attempt / "result" / "preview" / "a.js").unlink()
    with pytest.raises(WorkerCrashed, match=r"preview/a\.js should have 2 bytes, but is missing"):
        check(attempt)


def test_a_file_of_another_size_is_noticed(attempt):
    (attempt / "result" / "Layer_1.png").write_bytes(b"fa")
    with pytest.raises(WorkerCrashed, match=r"Layer_1\.png should have 3 bytes, but is 2 bytes"):
        check(attempt)


def test_a_file_of_other_bytes_is_noticed(attempt):
    (attempt / "result" / "Layer_1.png").write_bytes(b"fir")
    with pytest.raises(WorkerCrashed, match="checksum differs"):
        check(attempt)


@pytest.mark.parametrize("name", ["extra.txt", "preview/b.js", ".hidden"])
def test_a_file_that_was_not_reported_is_noticed(attempt, name):
    (attempt / "result" / name).write_bytes(b"x")
    with pytest.raises(WorkerCrashed, match=f"did not report: result/{name}"):
        check(attempt)


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("/etc/passwd"), lambda p: os.mkfifo(p)], ids=["symlink", "fifo"])
@pytest.mark.parametrize("name", ["link.png", "Layer_1.png"])
def test_what_is_not_a_plain_file_is_refused(attempt, make, name):
    path = attempt / "result" / name
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(WorkerCrashed, match="not a file"):
        check(attempt)


def test_a_folder_that_is_a_link_is_refused(attempt):
    (attempt / "result" / "more").symlink_to("/etc")
    with pytest.raises(WorkerCrashed, match="not a file: result/more"):
        check(attempt)


def test_a_result_folder_that_is_a_link_or_missing_is_refused(attempt):
    (attempt / "result").rename(attempt / "elsewhere")
    with pytest.raises(WorkerCrashed, match="cannot be read"):
        check(attempt)


def test_a_result_above_the_limit_is_refused_with_both_numbers(attempt):
    size = sum(path.stat().st_size for path in (attempt / "result").rglob("*") if path.is_file())
    check(attempt, max_bytes=size)
    with pytest.raises(OutputTooLarge, match=f"{size:,} bytes; {size - 1:,} are allowed"):
        check(attempt, max_bytes=size - 1)


def test_too_many_files_are_refused(attempt):
    for number in range(1000):
        (attempt / "result" / f"{number}.txt").touch()
    with pytest.raises(WorkerCrashed, match="more than 1000 files"):
        check(attempt)


def test_folders_nested_without_end_are_refused(attempt):
    folder = attempt / "result"
    for _ in range(200):
        folder /= "d"
        folder.mkdir()
    with pytest.raises(WorkerCrashed, match="nested more than 8 deep"):
        check(attempt)


@pytest.mark.parametrize("path", ["../outside.json", "result/no.json", "/etc/passwd", "result/preview"])
def test_a_manifest_must_be_one_of_the_files(attempt, path):
    (attempt.parent / "outside.json").write_bytes((attempt / "result" / "layer_manifest.json").read_bytes())
    with pytest.raises(WorkerCrashed, match=r"not among the files|did not report"):
        check(attempt, said(attempt, manifest=path))


def test_a_manifest_that_cannot_be_read_is_refused(attempt):
    (attempt / "result" / "layer_manifest.json").write_text("{")
    with pytest.raises(WorkerCrashed, match="cannot be read"):
        check(attempt)


def test_a_manifest_of_other_layers_is_refused(attempt):
    path = attempt / "result" / "layer_manifest.json"
    path.write_text(path.read_text().replace(digest(b"far"), digest(b"fog")))
    with pytest.raises(WorkerCrashed, match=r"names Layer_1\.png, but the file that is there is another one"):
        check(attempt)


def test_an_output_outside_the_result_is_refused(attempt):
    (attempt.parent / "outside").write_bytes(b"far")
    outside = Output(path="../outside", kind="layer", bytes=3, sha256=digest(b"far"))
    with pytest.raises(WorkerCrashed, match="missing"):
        check(attempt, said(attempt, outputs=(*said(attempt).outputs, outside)))
