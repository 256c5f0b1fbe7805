"""The outbox: a result appears complete or not at all, and views never claim more than is true."""

import errno
import os

import pytest

from daemon.contract.status import Source, Status
from daemon.fs import LocalFiles, remove_tree, write_new
from daemon.outbox import Health, NotDurableError, Outbox
from tests.path_based_folder import ByPath


class Files(LocalFiles):
    """The real disk; some operations fail on request."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.log: list[tuple[str, bytes]] = []

    def _may(self, name: str, path: bytes) -> None:
        self.log.append((name, path))
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]), path)

    def hold(self, path):
        return ByPath(self, path)

    def sync_dir(self, path):
        self._may("sync_dir", path)
        super().sync_dir(path)

    def rename(self, source, target):
        self._may("rename", target)
        super().rename(source, target)

    def rmdir(self, path):
        self._may("rmdir", path)
        super().rmdir(path)

    def create(self, path):
        self._may("create", path)
        return super().create(path)


@pytest.fixture
def fs():
    return Files()


@pytest.fixture
def outbox(tmp_path, fs):
    outbox = Outbox(fs, os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    return outbox


@pytest.fixture
def attempt(outbox, fs):
    """An attempt with a result, and the folder of its job `j`."""
    name = outbox.new_attempt()
    os.mkdir(os.path.join(outbox.attempt(name), b"result"))
    write_new(fs, os.path.join(outbox.attempt(name), b"result", b"layer.png"), b"new", durable=False)
    os.mkdir(outbox.job("j"))
    return name


def content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_it_is_healthy_only_with_its_marker(outbox):
    outbox.prepare()
    assert outbox.is_healthy()
    os.unlink(os.path.join(outbox.root, b".multiplane"))
    assert not outbox.is_healthy()


def test_a_result_appears_by_one_rename_and_is_made_durable(outbox, fs, attempt):
    assert outbox.has_attempt(attempt)
    assert not outbox.has_result("j")
    fs.log.clear()
    outbox.publish("j", attempt)
    assert fs.log == [("rename", outbox.job("j", b"result")), ("sync_dir", outbox.job("j"))]
    assert content(outbox.job("j", b"result", b"layer.png")) == b"new"
    assert not outbox.has_attempt(attempt)


def test_a_result_that_appeared_but_is_not_durable_is_only_synced_the_second_time(outbox, fs, attempt):
    fs.failing["sync_dir"] = errno.EIO
    with pytest.raises(NotDurableError):
        outbox.publish("j", attempt)
    fs.failing.clear()
    fs.log.clear()
    outbox.publish("j", attempt)
    assert fs.log == [("sync_dir", outbox.job("j"))]


def test_a_rename_that_fails_leaves_the_result_where_it_was(outbox, fs, attempt):
    fs.failing["rename"] = errno.ENOSPC
    with pytest.raises(OSError, match="space") as failure:
        outbox.publish("j", attempt)
    assert not isinstance(failure.value, NotDurableError)
    assert outbox.has_attempt(attempt)
    assert not outbox.has_result("j")


def test_something_else_of_that_name_is_never_taken_for_the_result(outbox, fs, attempt):
    os.mkdir(outbox.job("j", b"result"))
    write_new(fs, outbox.job("j", b"result", b"planted.png"), b"old", durable=False)
    outbox.publish("j", attempt)
    assert os.listdir(outbox.job("j", b"result")) == [b"layer.png"]
    outbox.discard_attempt(attempt)
    assert os.listdir(outbox.work) == []


def test_a_result_that_is_nowhere_cannot_be_published(outbox):
    os.mkdir(outbox.job("j"))
    with pytest.raises(FileNotFoundError):
        outbox.publish("j", "nothing")


def test_leftovers_are_swept_but_for_what_is_kept(outbox, attempt):
    other = outbox.new_attempt()
    outbox.sweep(keep=[attempt])
    while outbox.remove_more():
        pass
    assert os.listdir(outbox.work) == [attempt.encode()]
    assert not os.path.exists(outbox.attempt(other))


def test_a_leftover_that_cannot_be_removed_is_no_reason_to_stop(outbox, fs, attempt):
    fs.failing["rmdir"] = errno.EACCES
    outbox.sweep(keep=())
    assert os.path.isdir(outbox.attempt(attempt))


def test_a_job_taken_away_is_gone_in_one_step(outbox, attempt):
    outbox.publish("j", attempt)
    aside = outbox.move_aside("j")
    assert not outbox.has("j")
    assert os.path.dirname(aside) == outbox.work
    assert content(os.path.join(aside, b"result", b"layer.png")) == b"new"
    assert outbox.move_aside("j") is None


def status(state: str = "pending") -> Status:
    return Status(job_id="j", state=state, source=Source(image="a.jpg", bytes=1), created_at="2026-01-31T12:00:00.000Z")


def test_a_status_says_what_the_job_says(outbox):
    os.mkdir(outbox.job("j"))
    for state in ("pending", "processing"):
        outbox.write_status(status(state))
        assert Status.model_validate_json(content(outbox.job("j", b"status.json"))) == status(state)


def test_a_page_that_says_nothing_new_is_not_written_again(outbox, fs):
    outbox.write_index("<p>one")
    fs.log.clear()
    outbox.write_index("<p>one")
    assert fs.log == []
    outbox.write_index("<p>two")
    assert content(os.path.join(outbox.root, b"index.html")) == b"<p>two"


def test_the_last_status_is_durable_and_the_others_are_not(outbox, fs):
    os.mkdir(outbox.job("j"))
    fs.log.clear()
    outbox.write_status(status())
    assert ("sync_dir", outbox.job("j")) not in fs.log
    outbox.write_status(status("completed"), durable=True)
    assert fs.log[-1] == ("sync_dir", outbox.job("j"))


def test_a_status_that_could_not_be_written_is_written_the_next_time(outbox, fs):
    os.mkdir(outbox.job("j"))
    fs.failing["create"] = errno.ENOSPC
    with pytest.raises(OSError, match="space"):
        outbox.write_status(status())
    fs.failing.clear()
    outbox.write_status(status())
    assert os.listdir(outbox.job("j")) == [b"status.json"]


def test_health_is_plain_json(outbox):
    health = Health(
        version="1", pid=5, state="running", alive_at="2026-01-31T12:00:00.000Z", started_at="2026-01-31T12:00:00.000Z"
    )
    outbox.write_health(health)
    assert Health.model_validate_json(content(os.path.join(outbox.root, b"daemon.json"))) == health


def test_a_removed_work_folder_is_made_again_but_not_where_the_outbox_is_away(outbox):
    os.mkdir(outbox.job("j"))
    os.rmdir(outbox.work)
    gone = outbox.move_aside("j")
    assert gone is not None
    assert not outbox.has("j")
    os.rmdir(gone)
    os.rmdir(outbox.work)
    assert os.path.isdir(os.path.join(outbox.attempt(outbox.new_attempt()), b"tmp"))
    remove_tree(outbox.fs, outbox.work)
    os.unlink(os.path.join(outbox.root, b".multiplane"))
    with pytest.raises(FileNotFoundError):
        outbox.new_attempt()
    assert not os.path.exists(outbox.work)
