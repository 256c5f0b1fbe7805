"""An attempt's folder is swapped for a link while its worker starts: the worker writes nowhere else.

The worker is told its folder by a path, and writes by it. So what it may write in must be the folder that the daemon made, and
never what the path leads to by then.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import SourceMissing
from daemon.platform import sandbox
from daemon.platform.sandbox.linux import missing
from pipeline.image.source_file import open_source

import results  # noqa: F401  isort: skip - finds the modules below
from supervised import SupervisedWorkers  # isort: skip
from workers import recipe  # isort: skip
from workers.driver import command  # isort: skip

SECRET = b"nobody's business"
RECIPE = (sys.executable, "-P", recipe.__file__, "planting")

sandboxed = pytest.mark.skipif(
    sys.platform != "linux" or "reading and writing other files" in missing(), reason="this system does not confine workers"
)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    (folder / "tmp").mkdir(parents=True)
    (folder / "tax.txt").write_bytes(SECRET)
    return folder


@pytest.fixture(params=[False, pytest.param(True, marks=sandboxed)], ids=["started", "forked"])
def supervised(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SupervisedWorkers]:
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    supervised = SupervisedWorkers(outbox, RECIPE, policy=sandbox.policy(os.fsencode(outbox)), forked=request.param)
    supervised.supervisor._fs.publish_below(os.fsencode(outbox))
    yield supervised
    supervised.supervisor.shutdown()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("place", ["attempt", "attempt/tmp"])
def test_a_link_in_the_place_of_a_workers_folder_starts_no_worker(
    supervised: SupervisedWorkers, victim: Path, place: str
) -> None:
    link = supervised.folder / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    with pytest.raises(NotADirectoryError, match="a link or a file is in the place of the folder "):
        supervised.start(job=command(str(supervised.folder)))
    assert supervised.supervisor.idle()
    assert names(victim) == ["tax.txt", "tmp"]


@sandboxed
@pytest.mark.parametrize("early", [False, True], ids=["with its job", "before its job"])
def test_a_folder_exchanged_while_its_worker_starts_gives_no_right_elsewhere(
    supervised: SupervisedWorkers, victim: Path, early: bool
) -> None:
    attempt = supervised.folder / "attempt"
    if early:
        supervised.supervisor.prepare(os.fsencode(attempt))
    else:
        supervised.start(job=command(str(supervised.folder)))
    # The process has been made, and is far from having read its command line.
    attempt.rename(supervised.folder / "away")
    attempt.symlink_to(victim)
    if early:
        supervised.loop(lambda: supervised.supervisor.warm_workers()[0].ready)
        supervised.start(job=command(str(supervised.folder)))
    supervised.end()
    assert [stage for _job, stage, _fraction in supervised.progress] == ["EACCES"]
    assert names(victim) == ["tax.txt", "tmp"]


@sandboxed
def test_a_worker_goes_on_in_its_folder_wherever_that_is_moved(supervised: SupervisedWorkers) -> None:
    attempt = supervised.folder / "attempt"
    supervised.start(job=command(str(supervised.folder)))
    attempt.rename(supervised.folder / "away")
    (supervised.folder / "away").rename(attempt)
    supervised.end()
    assert [stage for _job, stage, _fraction in supervised.progress] == ["written"]
    assert "planted" in names(attempt)


@pytest.mark.parametrize("place", ["job", "job/source"])
def test_a_worker_reads_no_picture_through_a_link(tmp_path: Path, victim: Path, place: str) -> None:
    (victim / "source").mkdir()
    for folder in (victim, victim / "source"):
        (folder / "photo.jpg").write_bytes(SECRET)
    link = tmp_path / "outbox" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with (
        pytest.raises(SourceMissing, match=r"photo\.jpg no longer exists"),
        open_source(os.fsencode(tmp_path / "outbox/job/source/photo.jpg")) as file,
    ):
        assert file.read() != SECRET
