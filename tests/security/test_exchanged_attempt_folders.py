"""Whoever may write to the outbox exchanges an attempt's folder for a link while its worker starts: it writes nowhere else.

The worker is told its folder by a path, and writes by it. So what it may write in must be the folder that the daemon made, and
never what the path leads to by then.
"""

import os
import sys
from pathlib import Path

import pytest

from daemon.errors import SourceMissing
from daemon.platform import sandbox
from daemon.platform.sandbox.linux import missing
from pipeline.image.source_file import open_source

import results  # noqa: F401  isort: skip - finds the modules below
from supervised import House  # isort: skip
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


@pytest.fixture
def house(tmp_path: Path) -> House:
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    house = House(outbox, RECIPE, policy=sandbox.policy(os.fsencode(outbox)))
    house.supervisor._fs.publish_below(os.fsencode(outbox))
    return house


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("place", ["attempt", "attempt/tmp"])
def test_a_link_in_the_place_of_a_workers_folder_starts_no_worker(house: House, victim: Path, place: str) -> None:
    link = house.folder / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    with pytest.raises(NotADirectoryError, match="a link or a file is in the place of this folder"):
        house.start(job=command(str(house.folder)))
    assert house.supervisor.idle()
    assert names(victim) == ["tax.txt", "tmp"]


@sandboxed
@pytest.mark.parametrize("early", [False, True], ids=["with its job", "before its job"])
def test_a_folder_exchanged_while_its_worker_starts_gives_no_right_elsewhere(house: House, victim: Path, early: bool) -> None:
    attempt = house.folder / "attempt"
    if early:
        house.supervisor.prepare(os.fsencode(attempt))
    else:
        house.start(job=command(str(house.folder)))
    # The process has been made, and is far from having read its command line.
    attempt.rename(house.folder / "away")
    attempt.symlink_to(victim)
    if early:
        house.loop(lambda: house.supervisor.warm_workers()[0].ready)
        house.start(job=command(str(house.folder)))
    house.end()
    assert [stage for _job, stage, _fraction in house.progress] == ["EACCES"]
    assert names(victim) == ["tax.txt", "tmp"]


@sandboxed
def test_a_worker_goes_on_in_its_folder_wherever_that_is_moved(house: House) -> None:
    attempt = house.folder / "attempt"
    house.start(job=command(str(house.folder)))
    attempt.rename(house.folder / "away")
    (house.folder / "away").rename(attempt)
    house.end()
    assert [stage for _job, stage, _fraction in house.progress] == ["written"]
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
