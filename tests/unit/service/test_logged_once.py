"""What is retried is logged once, and once more when it fails again after it had worked."""

import errno
import os
from collections.abc import Callable, Iterator

import pytest
from loguru import logger
from service_scene import Files, Scene

from daemon.contract.status import Progress
from daemon.fs import LocalFiles
from daemon.health.folder_health import FolderHealth
from daemon.outbox.ownership import Ownership, who
from daemon.service import Service, assemble
from daemon.settings import load


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


class Failing(Files):
    """A disk on which operations on some paths fail, including syncs and scans of folders."""

    def __init__(self) -> None:
        super().__init__()
        self.bad = b"\0"

    def _ask(self, path: bytes) -> None:
        if path.endswith(self.bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def scan(self, path):
        self._ask(path)
        return super().scan(path)

    def sync_many(self, paths):
        for path in paths:
            self._ask(path)
        super().sync_many(paths)

    def unlink(self, path):
        self._ask(path)
        super().unlink(path)

    def rename(self, source, target):
        self._ask(target)
        super().rename(source, target)


def looking_for_requests(scene: Scene) -> tuple[bytes, Callable[[], None]]:
    return b"/requests", scene.requests.handle


def removing_a_request(scene: Scene) -> tuple[bytes, Callable[[], None]]:
    path = scene.requests_folder / "a.json"
    path.write_text('{"verb": "cancel", "jobs": ["nobody"]}')

    def handle() -> None:
        path.touch()
        scene.requests.handle()

    return b"/a.json", handle


def writing_a_status(scene: Scene) -> tuple[bytes, Callable[[], None]]:
    scene.processing("a")

    def refresh() -> None:
        scene.views._progress["a"] = Progress(stage="Filling behind objects", fraction=0.5)
        scene.refresh()

    return b"/a/status.json", refresh


def marking_the_outbox(scene: Scene) -> tuple[bytes, Callable[[], None]]:
    health = FolderHealth(scene.fs, scene.settings, scene.outbox, list, Ownership(scene.fs, who(scene.fs, scene.settings.paths)))

    def mark() -> None:
        health._put_back("outbox", scene.outbox.prepare)
        (scene.root / ".multiplane").unlink(missing_ok=True)

    return b"/.multiplane", mark


@pytest.mark.parametrize("what", [looking_for_requests, removing_a_request, writing_a_status, marking_the_outbox])
def test_what_is_tried_again_and_again_is_said_once(tmp_path, said: list[str], what) -> None:
    scene = Scene(tmp_path, Failing())
    part, do = what(scene)
    for times in (1, 2):
        scene.fs.bad = part
        for _ in range(5):
            do()
        assert len([line for line in said if "Input/output error" in line]) == times, said
        scene.fs.bad = b"\0"
        do()


def test_a_home_that_cannot_be_put_in_order_is_said_once(tmp_path, said: list[str], monkeypatch) -> None:
    """The folders never went away, so no message says that they are back."""
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": os.devnull, "MULTIPLANE_WORKER__SPARE": "false"})
    service = assemble(settings, LocalFiles())
    broken = OSError(errno.EIO, os.strerror(errno.EIO))

    def fail(_recovery: object) -> None:
        raise broken

    monkeypatch.setattr("daemon.running.recovery.Recovery.perform", fail)
    rounds = iter(range(5))

    def next_health_check(self: Service, _now: float) -> None:
        self._health_at = float("-inf")
        if next(rounds, None) is None:
            self._stop_signal = 15

    monkeypatch.setattr(Service, "_wait", next_health_check)
    assert service.run() == 0
    assert [line for line in said if "the outbox cannot be read or written" in line or "there again" in line] == [
        "the outbox cannot be read or written: Input/output error"
    ]
