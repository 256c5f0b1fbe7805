"""Pictures that cannot be moved out of their folder are not accepted, or given up later, and block nobody."""

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.claiming.claims import GROUP, Claims
from daemon.cli.job_queries import JobQueries
from daemon.contract.records import Accepted, CancelRequested, ClaimedFile
from daemon.contract.spec import JobSpec
from daemon.fs import LocalFiles
from daemon.intake import Entry, Ready, round_robin
from daemon.intake import Waiting as Unready
from daemon.service.hotfolder import HotFolder
from tests.unit.service_scene import Scene
from tests.waiting import SLOWEST

#: Not root, and nobody that owns files here.
_SOMEBODY = 54321


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """Run with the rights of an unprivileged user; changes nothing if this process has no more."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_SOMEBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, with a picture in it."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    (path / "a.jpg").write_bytes(b"a picture")
    try:
        yield path
    finally:
        path.chmod(0o755)
        shutil.rmtree(path)


def kept(folder: Path) -> str | None:
    with LocalFiles().hold(os.fsencode(folder)) as held:
        return held.removal_obstacle(b"a.jpg")


def test_a_folder_that_this_user_may_not_write_in_keeps_its_pictures_and_says_what_to_do(folder):
    assert kept(folder) is None
    if os.geteuid() != 0:
        folder.chmod(0o555)
    with somebody():
        why = kept(folder)
    assert why is not None
    assert "chmod" in why
    assert ("user root" in why) == (os.geteuid() == 0)
    if os.geteuid() == 0:
        folder.chmod(0o777)
        with somebody():
            assert kept(folder) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of two users")
def test_a_sticky_folder_keeps_the_files_of_others(folder):
    folder.chmod(0o1777)
    with somebody():
        assert "belongs to user root" in kept(folder)
    os.chown(folder / "a.jpg", _SOMEBODY, -1)
    with somebody():
        assert kept(folder) is None
    assert kept(folder) is None


def test_a_picture_that_cannot_be_taken_out_is_not_accepted_and_the_next_one_is(folder):
    home = folder / "home"
    scene = Scene(home, LocalFiles())
    (scene.inbox / "theirs").mkdir()
    pairs = []
    for place in ("theirs", ""):
        image, sidecar = (scene.inbox / place / f"photo{end}" for end in (".jpg", ".yaml"))
        image.write_bytes(b"a picture")
        sidecar.write_bytes(b"num_layers: 3\n")
        pairs.append(Ready(place.encode(), seen(image), seen(sidecar), None, (), None, (), 0.0))
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, _SOMEBODY, -1)
        os.chown(scene.inbox / "theirs", 0, 0)
        (scene.inbox / "theirs").chmod(0o755)
    else:
        (scene.inbox / "theirs").chmod(0o555)
    with somebody():
        came = scene.claims.claim(pairs)
    (scene.inbox / "theirs").chmod(0o755)
    assert [pair.folder for pair in came.done] == [b""]
    (refused,) = came.dropped
    assert "photo.jpg cannot be taken: the folder" in refused.reason
    assert [job.accepted.folder for job in scene.jobs.live.values()] == [""]


def seen(path: Path) -> Entry:
    found = path.stat()
    return Entry(os.fsencode(path.name), "file", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Stuck(Scene):
    """A home from whose inbox nothing can be moved while `fs.failing` says so."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.now = 0.0
        parts = (self.fs, self.settings, self.ledger, self.outbox, self.mover, self.batches, self.history.job)
        self.claims = Claims(*parts, monotonic=lambda: self.now)

    def deny(self, number: int, part: bytes = b"inbox") -> None:
        self.fs.failing["rename"] = (number, part)

    def accept(self, *names: str) -> None:
        """Accept jobs whose pictures are still in the inbox."""
        for name in names:
            path = self.inbox / f"{name}.jpg"
            path.write_bytes(b"a picture")
            found = path.stat()
            file = ClaimedFile(
                role="image", name=path.name, to=path.name, ino=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns
            )
            self.ledger.record(Accepted(job=name, files=(file,), spec=JobSpec()))


@pytest.fixture
def scene(tmp_path) -> Stuck:
    return Stuck(tmp_path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS], ids=errno.errorcode.get)
def test_a_claim_that_only_a_person_can_free_is_withdrawn_after_a_minute(scene, code):
    scene.accept("a")
    scene.deny(code)
    scene.claims.try_again()
    assert "a" in scene.jobs.unclaimed
    scene.now = 61.0
    scene.claims.try_again()
    assert not scene.jobs.live
    assert not scene.claims.held
    assert not (scene.root / "a").exists()
    assert (scene.inbox / "a.jpg").read_bytes() == b"a picture"


def test_a_claim_that_may_free_itself_stays_until_somebody_cancels_it(scene):
    scene.accept("a")
    scene.deny(errno.EBUSY)
    for scene.now in (0.0, 61.0, 3600.0):
        scene.claims.try_again()
    assert "a" in scene.jobs.unclaimed
    scene.ledger.record(CancelRequested(job="a"))
    scene.claims.try_again()
    assert not scene.jobs.live
    assert (scene.inbox / "a.jpg").exists()


def test_each_of_many_stuck_claims_has_its_turn(scene):
    stuck = [f"stuck{number:03}" for number in range(GROUP + 44)]
    scene.accept(*stuck, "last")
    scene.deny(errno.EBUSY, b"/stuck")
    for _ in range(2):
        scene.claims.try_again()
    assert (scene.root / "last" / "source" / "last.jpg").exists()
    assert len(scene.jobs.unclaimed) == len(stuck)


def hot_folder(scene: Scene) -> HotFolder:
    return HotFolder(
        scene.fs, scene.settings, scene.ledger, scene.claims, scene.batches, scene.parts.earlier, lambda: None, time.monotonic
    )


def test_what_is_accepted_and_stuck_takes_nobodys_place_in_the_queue(scene):
    scene.settings = scene.settings.model_copy(update={"queue": scene.settings.queue.model_copy(update={"max_pending": 3})})
    hot = hot_folder(scene)
    scene.accept("a", "b", "c", "d")
    scene.deny(errno.EACCES, b"/a.jpg")
    assert hot._vacant() == 3
    scene.claims.try_again()
    assert hot._vacant() == 0
    assert list(scene.jobs.unclaimed) == ["a"]


def test_a_held_picture_waits_once(scene):
    scene.accept("a", "b")
    scene.deny(errno.EBUSY)
    scene.claims.try_again()
    (scene.inbox / ".multiplane").touch()
    hot = hot_folder(scene)
    hot.watch.start()
    hot._look(0.0)
    hot.watch.stop()
    assert [item.name for item in hot._unready] == [b"a.jpg", b"b.jpg"]
    found = hot.waiting()
    assert {(one.path, one.reason) for one in found.items} == {
        (path, "it cannot be moved yet: Device or resource busy") for path in ("a.jpg", "b.jpg")
    }
    assert (len(found.items), found.total) == (2, 2)


def test_what_could_not_be_taken_is_listed_before_the_next_look_as_well(tmp_path):
    scene = Scene(tmp_path, LocalFiles())
    (scene.inbox / ".multiplane").touch()
    hot = hot_folder(scene)
    hot.watch.start()
    hot._look(0.0)
    pairs = []
    for name in ("a.jpg", "b.jpg"):
        (scene.inbox / name).write_bytes(b"a picture")
        os.utime(scene.inbox / name, (0, 0))
        (scene.inbox / f"{name}.yaml").write_bytes(b"num_layers: 3\n")
        image, sidecar = (seen(scene.inbox / each) for each in (name, f"{name}.yaml"))
        pairs.append(Ready(b"", image, sidecar, None, (), None, (), 0.0))
    (scene.inbox / "a.jpg").write_bytes(b"a picture that grows")
    hot._take(pairs, 0.0)
    assert [job.image.name for job in scene.jobs.live.values()] == ["b.jpg"]
    found = hot.waiting()
    assert [(one.path, one.reason) for one in found.items] == [("a.jpg", "a.jpg changed while it was being taken")]
    assert found.total == 1
    listed = dict[str, str]()
    limit = time.monotonic() + 10 * SLOWEST
    while "a.jpg" not in listed:  # the events arrive by another thread
        assert time.monotonic() < limit, "a.jpg is not listed"
        hot._look(1.0)
        listed = {one.path: one.reason for one in hot.waiting().items}
    hot.watch.stop()
    assert listed["a.jpg"] == "just arrived or still growing"


def test_pictures_that_a_full_queue_keeps_back_hide_no_other_entry_and_are_counted(scene):
    hot = hot_folder(scene)
    hot.close("the disk of the outbox is full")
    picture = Entry(b"p.jpg", "file", 1, 1, 1, 1)
    hot._backlog.extend(Ready(b"", replace(picture, name=b"%d.jpg" % k), None, None, (), None, (), 0.0) for k in range(5000))
    hot._unready = (Unready(b"trip", b"late.jpg", "just arrived or still growing", True),)
    found = hot.waiting()
    assert (found.items[0].path, found.items[1].path, found.total) == ("trip/late.jpg", "0.jpg", 5001)
    assert [(one.reason, one.count) for one in found.more] == [("the disk of the outbox is full", 4801)]


def test_jobs_lists_what_is_accepted_and_not_moved(scene):
    scene.accept("a")
    assert [status.job_id for status in JobQueries(scene.fs, scene.settings).statuses(0, 10)] == ["a"]


def test_folders_take_turns_when_more_is_ready_than_can_be_taken():
    def ready(folder: bytes, name: bytes) -> Ready:
        return Ready(folder, Entry(name, "file", 1, 1, 1, 1), None, None, (), None, (), 0.0)

    flood = [ready(b"full", b"%d.jpg" % number) for number in range(1000)]
    turns = round_robin([*flood, ready(b"", b"mine.jpg"), ready(b"x", b"hers.jpg")])
    assert [pair.image.name for pair in turns[:4]] == [b"0.jpg", b"mine.jpg", b"hers.jpg", b"1.jpg"]
    assert [pair for pair in turns if pair.folder == b"full"] == flood
