"""The watch on a real disk with real events. Waits for events with a limit, never for a fixed time."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.intake import Control, Decision, Memory, Rules, step, taken
from daemon.platform.mounts import Mount
from daemon.watch import Seen, Watch
from daemon.watch.observer import Observing
from daemon.watch.watch import MARKER
from tests.waiting import SLOWEST

LIMIT = 20.0 * SLOWEST


class Service:
    """A minimal loop around the watch."""

    def __init__(self, inbox, **options) -> None:
        self.inbox = inbox
        self.woken = threading.Event()
        self.watch = Watch(os.fsencode(inbox), self.woken.set, read_control=lambda p, e, k: Control(k, e), **options)
        self.memory = Memory()
        self.decision: Decision | None = None
        self.looks: list[Seen] = []

    def turn(self) -> Decision | None:
        self.woken.clear()
        seen = self.watch.scan(self.decision.due_names if self.decision else None)
        if seen is None:
            return None
        self.looks.append(seen)
        self.decision = step(self.memory, seen.scan, seen.hints)
        self.memory = self.decision.memory
        return self.decision

    def until(self, done: Callable[[], bool]) -> None:
        """Run the loop until something holds, driven only by events and the times that intake requested."""
        end = time.monotonic() + LIMIT
        while not done():
            now = time.monotonic()
            assert now < end, "nothing happened in time"
            due = self.decision.check_again_at if self.decision else None
            self.woken.wait(max(0.0, min(end, due or end) - now))
            self.turn()

    @property
    def ready(self) -> list[bytes]:
        return [r.image.name for r in self.decision.ready]

    @property
    def shown(self) -> set[bytes]:
        return {w.name for w in self.decision.waiting}


@pytest.fixture
def inbox(tmp_path):
    path = tmp_path / "inbox"
    path.mkdir()
    (path / os.fsdecode(MARKER)).touch()
    return path


@pytest.fixture
def service(inbox):
    made = Service(inbox)
    assert made.watch.start().state == "ok"
    made.turn()
    yield made
    made.watch.stop()


def drop(inbox, name: str, content: bytes = b"x") -> None:
    """Write elsewhere on the same disk, then rename in."""
    aside = inbox.parent / "aside"
    aside.write_bytes(content)
    aside.rename(inbox / name)


def test_a_pair_renamed_in_is_ready_without_waiting_for_it_to_settle(service, inbox):
    service.memory = replace(service.memory, rules=Rules(settle_local=1000, settle_closed=1000))
    drop(inbox, "photo.jpg")
    drop(inbox, "photo.yaml")
    service.until(lambda: service.ready == [b"photo.jpg"])


def test_a_sidecar_renamed_in_before_its_picture_is_no_go(service, inbox):
    service.memory = replace(service.memory, rules=Rules(settle_local=1000, settle_closed=1000))
    drop(inbox, "photo.yaml")
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg", b"photo.yaml"})
    assert service.ready == []
    drop(inbox, "other.jpg")
    drop(inbox, "other.yaml")
    service.until(lambda: service.ready == [b"other.jpg"])


def test_a_pair_that_was_there_before_the_start_is_found(inbox):
    (inbox / "photo.jpg").write_bytes(b"x")
    (inbox / "photo.yaml").write_bytes(b"x")
    service = Service(inbox)
    service.memory = Memory(rules=Rules(settle_local=0.3))
    service.watch.start()
    try:
        service.turn()
        assert service.shown == {b"photo.jpg", b"photo.yaml"}
        service.until(lambda: service.ready == [b"photo.jpg"])
    finally:
        service.watch.stop()


def test_a_closed_file_is_vouched_for(service, inbox):
    service.memory = replace(service.memory, rules=Rules(settle_local=1000, once_needed=0))
    (inbox / "photo.jpg").write_bytes(b"x")
    (inbox / "photo.yaml").write_bytes(b"x")
    service.until(lambda: service.ready == [b"photo.jpg"])
    assert len(service.looks) > 2


def test_files_in_a_folder_of_the_inbox_are_seen(service, inbox):
    service.memory = replace(service.memory, rules=Rules(batch_quiet=0.3))
    (inbox / "holiday").mkdir()
    service.until(lambda: b"holiday" in service.shown)
    (inbox / "holiday" / "a.jpg").write_bytes(b"x")
    service.until(lambda: b"a.jpg" in service.memory.folders[b"holiday"].histories)
    drop(inbox, "holiday/job.yaml")
    service.until(lambda: service.ready == [b"a.jpg"])


def test_a_folder_moved_in_with_all_its_pictures_is_seen(service, inbox):
    service.memory = replace(service.memory, rules=Rules(settle_local=0.3, batch_quiet=0.3))
    aside = inbox.parent / "holiday"
    aside.mkdir()
    for name in ("a.jpg", "job.yaml"):
        (aside / name).write_bytes(b"x")
    aside.rename(inbox / "holiday")
    service.until(lambda: service.ready == [b"a.jpg"])


def test_a_folder_renamed_within_the_inbox_is_still_watched(service, inbox):
    (inbox / "untitled folder").mkdir()
    service.until(lambda: b"untitled folder" in service.shown)
    (inbox / "untitled folder").rename(inbox / "holiday")
    service.until(lambda: b"holiday" in service.shown and b"untitled folder" not in service.shown)
    drop(inbox, "holiday/a.jpg")
    service.until(lambda: b"a.jpg" in service.memory.folders[b"holiday"].histories)
    assert service.watch.health(time.monotonic()).state == "ok"


def test_what_is_taken_back_leaves_the_waiting_list(service, inbox):
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})
    (inbox / "photo.jpg").unlink()
    service.until(lambda: service.shown == set())


def test_our_own_claims_hold_up_no_event_behind_them(service, inbox):
    outbox = inbox.parent / "outbox"
    outbox.mkdir()
    for i in range(3):
        drop(inbox, f"{i}.jpg")
        drop(inbox, f"{i}.yaml")
        service.until(lambda: bool(service.ready))
        for ready in service.decision.ready:
            for entry in ready.entries:
                os.rename(os.fsencode(inbox) + b"/" + entry.name, os.fsencode(outbox) + b"/" + entry.name)
        service.memory = taken(service.memory, service.decision.ready, time.monotonic())
        service.turn()
        assert service.ready == []
    assert service.shown == set()


def test_reading_and_touching_a_file_wakes_nobody(service, inbox):
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})
    service.woken.clear()
    before = len(service.watch._hints)
    (inbox / "photo.jpg").read_bytes()
    (inbox / "photo.jpg").chmod(0o600)
    # Events come in order: when the next file is heard of, the reading would have been.
    drop(inbox, "last.jpg")
    assert service.woken.wait(LIMIT)
    assert {name for _, name in service.watch._hints} <= {b"last.jpg"}
    assert before == 0


def test_a_thousand_pairs_at_once_are_all_seen(service, inbox):
    for i in range(1000):
        drop(inbox, f"{i:04}.jpg")
        drop(inbox, f"{i:04}.yaml")
    service.until(lambda: len(service.ready) == 1000)
    assert service.decision.waiting == ()


def test_lost_events_are_answered_by_one_full_look_a_second(inbox):
    now = [1000.0]
    service = Service(inbox, clock=lambda: now[0])
    service.watch.start()
    try:
        service.turn()
        for _ in range(50):
            service.watch._lost()
            now[0] += 0.1
            service.turn()
        full = [s.scan.now for s in service.looks if s.scan.folders[0].scanned is None]
        assert len(full) == 6
        assert min(b - a for a, b in pairwise(full)) >= 0.999
    finally:
        service.watch.stop()


def test_an_overflow_that_the_kernel_reports_is_heard(service, inbox):
    from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

    drop(inbox, "before.jpg")
    service.until(lambda: service.shown == {b"before.jpg"})
    # The kernel's own record (wd −1, IN_Q_OVERFLOW), given to the reader as it would come out of the descriptor.
    service.watch._coverage._observing._reader.handle_event(InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b""))
    assert service.watch._overflowed
    drop(inbox, "after.jpg")
    service.until(lambda: service.shown == {b"before.jpg", b"after.jpg"})
    assert service.watch.health(time.monotonic()).state == "ok"


def away_and_back(service, inbox, away: Callable[[], None], back: Callable[[], None], said: str) -> None:
    """The inbox disappears and comes back; nothing is forgotten, and afterwards events work again."""
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})
    away()
    health = service.watch.health(time.monotonic())
    assert health.state == "offline"
    assert said in health.problem
    assert service.turn() is None
    assert service.memory.folders[b""].histories.keys() == {b"photo.jpg", MARKER}
    back()
    assert service.watch.health(time.monotonic()).state == "ok"
    service.turn()
    assert service.shown == {b"photo.jpg"}
    drop(inbox, "photo.yaml")
    service.until(lambda: service.ready == [b"photo.jpg"])


def test_a_renamed_inbox_is_offline_until_it_returns(service, inbox):
    other = inbox.parent / "other"
    away_and_back(service, inbox, lambda: inbox.rename(other), lambda: other.rename(inbox), "is not there")


def test_what_came_while_the_inbox_was_away_is_seen_when_it_returns(service, inbox):
    other = inbox.parent / "other"
    inbox.rename(other)
    assert service.watch.health(time.monotonic()).state == "offline"
    (other / "photo.jpg").write_bytes(b"x")
    other.rename(inbox)
    assert service.watch.health(time.monotonic()).state == "ok"
    service.turn()
    assert service.shown == {b"photo.jpg"}


def test_an_empty_mount_point_is_not_an_emptied_inbox(service, inbox):
    other = inbox.parent / "other"

    def away() -> None:
        inbox.rename(other)
        inbox.mkdir()

    def back() -> None:
        inbox.rmdir()
        other.rename(inbox)

    away_and_back(service, inbox, away, back, "marker")


def test_an_inbox_replaced_by_a_file_is_offline(service, inbox):
    other = inbox.parent / "other"

    def away() -> None:
        inbox.rename(other)
        inbox.write_bytes(b"")

    def back() -> None:
        inbox.unlink()
        other.rename(inbox)

    away_and_back(service, inbox, away, back, "not a folder")


def test_an_inbox_deleted_and_made_anew_is_watched_again(service, inbox):
    (inbox / os.fsdecode(MARKER)).unlink()
    inbox.rmdir()
    assert service.watch.health(time.monotonic()).state == "offline"
    inbox.mkdir()
    (inbox / os.fsdecode(MARKER)).touch()
    assert service.watch.health(time.monotonic()).state == "ok"
    service.turn()
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})


def test_an_inbox_that_goes_while_it_is_looked_at_is_not_read_as_empty(service, inbox):
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})
    inbox.rename(inbox.parent / "other")
    inbox.mkdir()
    assert service.watch.scan({b"": frozenset({b"photo.jpg"})}) is None


def test_a_dead_thread_of_the_observer_is_noticed_and_replaced(service, inbox):
    observing = service.watch._coverage._observing
    observing.stop()
    assert not observing.alive()
    assert service.watch.health(time.monotonic()).state == "ok"
    service.turn()
    drop(inbox, "photo.jpg")
    service.until(lambda: service.shown == {b"photo.jpg"})


def test_a_disk_that_cannot_be_watched_is_polled_and_says_so(inbox, monkeypatch):
    def refuse(*_args: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("daemon.watch.coverage.Observing", refuse)
    now = [1000.0]
    service = Service(inbox, clock=lambda: now[0])
    health = service.watch.start()
    assert health.state == "degraded"
    assert "inotify watch limit reached" in health.problem
    service.turn()
    assert service.watch.next_at == pytest.approx(1005.0)


def test_a_network_disk_is_polled_without_an_observer(inbox):
    now = [1000.0]
    service = Service(inbox, mount_of=lambda *_: Mount(b"/", "cifs", "//server/share"), clock=lambda: now[0])
    threads = threading.active_count()
    assert service.watch.start().state == "ok"
    assert threading.active_count() == threads
    service.turn()
    assert service.watch.next_at == pytest.approx(1005.0)
    drop(inbox, "photo.jpg")
    now[0] += 4.9
    service.turn()
    assert service.shown == set()
    now[0] += 0.2
    service.turn()
    assert service.shown == {b"photo.jpg"}


def test_a_folder_that_cannot_be_watched_is_an_error_and_leaves_no_thread(inbox):
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="No such file"):
        Observing(os.fsencode(inbox / "not there"), lambda *_: None, lambda: None)
    assert set(threading.enumerate()) == before


def test_a_stopped_watch_leaves_no_thread(inbox):
    before = set(threading.enumerate())
    service = Service(inbox)
    service.watch.start()
    assert set(threading.enumerate()) - before
    service.watch.stop()
    assert set(threading.enumerate()) == before


_FULL_TABLE = """
import os, resource
from daemon.watch.observer import Observing

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
while True:
    try:
        held.append(os.dup(0))
    except OSError:
        break
for free in range(4):
    # One is enough for an inotify instance, and not for what belongs to it.
    try:
        Observing(os.fsencode(os.getcwd()), lambda *_: None, lambda: None).stop()
        assert free == 3, free
    except OSError as error:
        assert free < 3, (free, error)
    for _ in range(free):
        held.append(os.dup(0))
    try:
        os.dup(0)
        raise AssertionError("more is free than before")
    except OSError:
        pass
    for descriptor in held[-free - 1 :]:
        os.close(descriptor)
    del held[-free - 1 :]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the descriptors are those of inotify")
def test_an_observer_that_cannot_be_made_leaves_no_descriptor_open(inbox):
    """It is tried every five seconds: a descriptor leaked each time would use them all up."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", _FULL_TABLE], capture_output=True, text=True, cwd=inbox, env=environment)
    assert done.returncode == 0, done.stderr


def test_an_observer_without_a_thread_is_an_error_of_the_system_and_leaves_no_descriptor_open(inbox, monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = os.listdir("/dev/fd")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="no thread can be started"):
            Observing(os.fsencode(inbox), lambda *_: None, lambda: None)
    assert os.listdir("/dev/fd") == before
