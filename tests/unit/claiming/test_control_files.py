"""If the disk refuses any file of a pair for a moment, the pair waits with the reason and is taken later."""

import errno
import os

import pytest
from service_scene import Files, Scene

from daemon.claiming.control_files import read_control
from daemon.intake import Memory, Rules, put_back, step
from daemon.watch import Scanner


class Disk(Files):
    """A disk whose reads also fail, for paths with this ending."""

    unread: bytes | None = None
    code = errno.EIO

    def read(self, path: bytes, limit: int) -> bytes:
        if self.unread and path.endswith(self.unread):
            raise OSError(self.code, os.strerror(self.code), path)
        return super().read(path, limit)


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EDEADLK, errno.ESTALE, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        *(("look", name) for name in ("a.jpg", "a.depth.png", "a.yaml")),
        *(("read", name) for name in ("a.jpg", "a.depth.png", "a.yaml", "_preset.yaml")),
    ],
)
def test_it_is_taken_when_the_error_has_passed(tmp_path, operation: str, name: str, code: int) -> None:
    disk = Disk()
    disk.code = code
    scene = Scene(tmp_path, disk)
    folder = scene.inbox / "folder"
    folder.mkdir()
    for each in ("a.jpg", "a.depth.png", "a.yaml", "_preset.yaml"):
        (folder / each).write_text("num_layers: 3\n")
    scanner = Scanner(os.fsencode(scene.inbox), network=False, read_control=read_control)
    memory = step(Memory(rules=Rules(preset_grace=0)), scanner.scan(0.0)).memory
    decision = step(memory, scanner.scan(10.0))
    if operation == "look":
        disk.stale = {os.fsencode(name)}
    else:
        disk.unread = os.fsencode(name)
    came = scene.claims.claim(decision.ready)
    (dropped,) = came.dropped
    assert came.done == ()
    assert os.strerror(errno.ESTALE if operation == "look" else code) in dropped.reason
    assert not scene.jobs.live
    memory = put_back(decision.memory, dropped.pair, 10.0, dropped.reason)
    disk.stale, disk.unread = set(), None
    decision = step(memory, scanner.scan(10.1))
    assert decision.ready == ()
    assert dropped.reason in {waiting.reason for waiting in decision.waiting}
    at = decision.check_again_at
    assert at is not None
    decision = step(decision.memory, scanner.scan_names(at, decision.due_names))
    (taken,) = decision.ready
    assert scene.claims.claim(decision.ready).done == (taken,)
    assert sorted(os.listdir(folder)) == ["_preset.yaml"]
