"""Files on a share: it is used only if both sides see the same outbox, and nothing is written for an attempt that is gone."""

import asyncio
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.cluster.files import deliver_to_share, described, fetch_from_share, first_pieces, sees, shared_paths
from daemon.cluster.network.transfer import Transfer
from daemon.contract.messages import Result
from daemon.contract.status import Output, Source
from daemon.fs import LocalFiles
from daemon.outbox import Outbox


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "share" / "studio" / "outbox"))
    outbox.prepare()
    (tmp_path / "share/studio/outbox/job/source").mkdir(parents=True)
    (tmp_path / "share/studio/outbox/job/source/a.jpg").write_bytes(b"picture")
    (tmp_path / "mounted").symlink_to(tmp_path / "share")
    return outbox


def test_a_share_under_another_path_is_known_by_the_attempts_own_folder(tmp_path, outbox) -> None:
    attempt = outbox.new_attempt()
    shared = shared_paths(str(tmp_path / "share"), outbox.root, "job", attempt)
    assert sees(str(tmp_path / "mounted"), shared)
    assert not sees(None, shared)
    assert not sees(str(tmp_path), shared)
    outbox.discard_attempt(attempt)
    assert not sees(str(tmp_path / "mounted"), shared), "a copy of the outbox has its marker, but not this attempt"
    assert shared_paths(str(tmp_path / "mounted" / "studio" / "outbox" / "job"), outbox.root, "job", attempt) is None


def test_files_go_to_the_machine_and_back_unless_the_attempt_is_gone(tmp_path, outbox) -> None:
    attempt = outbox.new_attempt()
    shared = shared_paths(str(tmp_path / "share"), outbox.root, "job", attempt)
    files = described(outbox, "job", "a.jpg", "a.depth.png")
    assert [file.name for file in files] == ["a.jpg"], "the machine's worker says what is missing"
    here = tmp_path / "here"
    (here / "result/preview").mkdir(parents=True)
    assert fetch_from_share(str(tmp_path / "mounted"), shared, files, os.fsencode(here)) is None
    assert (here / "a.jpg").read_bytes() == b"picture"
    assert (here / "a.jpg").stat().st_mtime_ns == files[0].mtime_ns
    (here / "result/preview/p.webp").write_bytes(b"preview")
    (here / "result/preview/p.webp").chmod(0o600)
    deliver_to_share(LocalFiles(), str(tmp_path / "mounted"), shared, os.fsencode(here))
    made = tmp_path / "share/studio/outbox/.work" / attempt / "result/preview/p.webp"
    assert (made.read_bytes(), stat.S_IMODE(made.stat().st_mode) & 0o444) == (b"preview", 0o444)
    outbox.discard_attempt(attempt)
    while outbox.remove_more():
        pass
    with pytest.raises(FileNotFoundError):
        deliver_to_share(LocalFiles(), str(tmp_path / "mounted"), shared, os.fsencode(here))
    (tmp_path / "share/studio/outbox/job/source/a.jpg").write_bytes(b"another one")
    (here / "a.jpg").unlink()
    assert "is not what it was" in fetch_from_share(str(tmp_path / "mounted"), shared, files, os.fsencode(here))


def test_a_result_that_was_half_copied_to_the_share_comes_through_the_connection(tmp_path, outbox) -> None:
    class FullShare(LocalFiles):
        def copy(self, source: bytes, target: bytes) -> str:
            if target.endswith(b"manifest.json"):
                with open(target, "wb") as half:
                    half.write(b"{")
                raise OSError(28, "No space left on device")
            return super().copy(source, target)

    class Machine:
        async def multiplane_get_first(self, *, attempt: str, paths: list[str]) -> list[bytes]:
            return first_pieces(os.fsencode(tmp_path / "here"), paths)

    attempt = outbox.new_attempt()
    shared = shared_paths(str(tmp_path / "share"), outbox.root, "job", attempt)
    files = {"result/layers/a.png": b"layer", "result/manifest.json": b"{}"}
    (tmp_path / "here/result/layers").mkdir(parents=True)
    for path, data in files.items():
        (tmp_path / "here" / path).write_bytes(data)
    with pytest.raises(OSError, match="No space"):
        deliver_to_share(FullShare(), str(tmp_path / "mounted"), shared, os.fsencode(tmp_path / "here"))
    layer = files["result/layers/a.png"]
    result = Result(
        source=Source(image="a.jpg", bytes=7, sha256="0" * 64, width=4, height=3),
        outputs=(Output(path="result/layers/a.png", kind="layer", bytes=len(layer), sha256=hashlib.sha256(layer).hexdigest()),),
        manifest="result/manifest.json",
        timings={},
    )
    # In a thread of its own: Playwright leaves a running loop in the thread of the tests.
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(lambda: asyncio.run(Transfer(LocalFiles(), outbox, 1000).fetch(Machine(), attempt, result)))
    assert fetched.result() is None
    there = tmp_path / "share/studio/outbox/.work" / attempt
    found = {str(path.relative_to(there)): path.read_bytes() for path in (there / "result").rglob("*") if path.is_file()}
    assert found == files
