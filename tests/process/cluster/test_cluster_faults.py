"""Faults of machines that take long to show: packets that vanish, two daemons, a full disk, and machines that lie.

In each, no job is lost or published twice, nothing half-done is seen, and no process is left. Takes minutes, so it runs with
`make soak`; `test_cluster.py` has the faults that every run of the tests tries.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon import __version__
from tests.acceptance.home import ENDED, HotFolder, picture, until
from tests.process.cluster import namespaces
from tests.process.cluster.clustered import Cluster
from tests.process.cluster.stand_in import LIES
from tests.programs import copy_program

pytestmark = [
    pytest.mark.skipif(not os.environ.get("SOAK_TESTS"), reason="takes minutes; runs with `make soak`"),
    pytest.mark.timeout(1800),
]
SIDECAR = "depth: cues\nnum_layers: 3\nformats: []\n"
SMALL = picture(96, 64, form="JPEG")
SLOW = picture(1000, 750, form="JPEG")


class Studio:
    """A cluster, and the homes that use it."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.cluster = Cluster(folder / "machines", **more)
        self.homes: list[HotFolder] = []

    def __enter__(self) -> "Studio":
        return self

    def __exit__(self, *error: object) -> None:
        for home in self.homes:
            if home.process is not None:
                home.stop()
        self.cluster.stop()
        if error[0] is None:
            until(lambda: not self.left(), 60)

    def home(self, name: str = "home", **more: str) -> HotFolder:
        home = self.cluster.configure(HotFolder(self.folder / name), **more)
        self.homes.append(home)
        return home

    def left(self) -> list[psutil.Process]:
        """Processes that work below this studio's folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(f"{self.folder}/") and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def studio(tmp_path) -> Iterator[Studio]:
    with Studio(tmp_path) as studio:
        yield studio


def all_ended(home: HotFolder, count: int, seconds: float = 120) -> list[dict]:
    return until(lambda: len(found := [each for each in home.statuses() if each["state"] in ENDED]) == count and found, seconds)


def check(home: HotFolder) -> None:
    """Each job is published at most once, exactly if it completed, and its files are what it says."""
    records = [
        json.loads(line) for path in (home.home / ".state/journal").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    published = Counter(record["job"] for record in records if record["event"] == "publishing")
    for status in home.statuses():
        folder = home.job(status)
        assert (folder / "source" / status["source"]["image"]).exists()
        assert published[status["job_id"]] == (status["state"] == "completed")
        assert (folder / "result").exists() == (status["state"] == "completed")
        for output in status["outputs"] or ():
            assert hashlib.sha256((folder / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    until(lambda: not list((home.outbox / ".work").iterdir()))


def running(home: HotFolder) -> dict:
    return until(lambda: [status for status in home.statuses() if status["state"] == "processing" and status["progress"]])[0]


def test_a_machine_whose_packets_vanish_loses_its_jobs_and_can_come_back(tmp_path) -> None:
    if (why := namespaces.why_impossible()) is not None:
        pytest.skip(why)
    with namespaces.Networks("studio", "alpha", "beta") as networks, Studio(tmp_path) as studio:
        cluster = studio.cluster = Cluster(tmp_path / "machines", host=networks.address("studio"))
        cluster.within = {name: networks.within(name) for name in ("alpha", "beta")}
        cluster.within["scheduler"] = networks.within("studio")
        home = studio.home()
        home.within = networks.within("studio")
        cluster.start_scheduler()
        for name in ("alpha", "beta"):
            cluster.start_worker(name)
        home.start()
        cluster.wait_for("alpha", "beta")
        home.drop("slow.jpg", SLOW, SIDECAR)
        lost = running(home)["machine"]
        networks.forward(lost, on=False)
        status = home.ended("slow.jpg", 90)
        assert (status["state"], status["error"], status["attempts"]) == ("completed", None, 1)
        assert status["machine"] != lost
        # It is alone, and ends by itself what nobody can want any more.
        mine = psutil.Process(cluster.workers[lost].pid)
        until(lambda: not [each for each in mine.children(recursive=True) if "attempts" in each.cwd()], 60)
        networks.forward(lost, on=True)
        for number in range(4):
            home.drop(f"{number}.jpg", SLOW, SIDECAR)
        until(lambda: lost in {each["machine"] for each in home.statuses()}, 120)
        assert {each["state"] for each in all_ended(home, 5)} == {"completed"}
        check(home)


def test_two_daemons_on_one_cluster_keep_their_jobs_apart(studio) -> None:
    cluster = studio.cluster
    homes = [studio.home("one"), studio.home("two")]
    cluster.start_scheduler()
    for name in ("alpha", "beta"):
        cluster.start_worker(name)
    for home in homes:
        home.start()
    cluster.wait_for("alpha", "beta")
    for number in range(8):
        for home in homes:
            home.drop(f"{number}.jpg", SMALL, SIDECAR)
    running(homes[0])
    homes[0].process.kill()
    homes[0].process.wait()
    homes[0].start()
    for home in homes:
        assert {(each["state"], each["attempts"]) for each in all_ended(home, 8)} == {("completed", 1)}
        check(home)
    assert not {each["job_id"] for each in homes[0].statuses()} & {each["job_id"] for each in homes[1].statuses()}


def test_a_machine_with_another_version_gets_no_job_and_the_job_says_what_it_waits_for(studio) -> None:
    cluster, home = studio.cluster, studio.home()
    other = copy_program(studio.folder / "other")
    mark = other / "daemon" / "__init__.py"
    mark.write_text(mark.read_text().replace(f'"{__version__}"', '"0.0.1"'))
    cluster.start_scheduler()
    cluster.start_worker("other", program=(sys.executable, "-P", "-m", "daemon.cli"), PYTHONPATH=str(other))
    home.start()
    cluster.wait_for("other")
    home.drop("small.jpg", SMALL, SIDECAR)
    waiting = until(lambda: [status for status in home.statuses() if status["waits_for"]], 30)[0]
    assert waiting["waits_for"].startswith("a machine with this program")
    assert "those of the cluster have 0.0.1-" in waiting["waits_for"]
    assert "0.0.1" in cluster_status(home)
    cluster.start_worker("same")
    status = home.ended("small.jpg", 60)
    assert (status["state"], status["machine"], status["attempts"]) == ("completed", "same", 1)
    check(home)


def test_a_machine_whose_disk_is_full_takes_no_jobs_until_there_is_room(studio) -> None:
    cluster = studio.cluster
    disk = cluster.folder / "small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        home = studio.home()
        cluster.start_scheduler()
        cluster.start_worker("small", MULTIPLANE_QUEUE__MIN_FREE_BYTES="40 MB")
        home.start()
        cluster.wait_for("small")
        home.drop("slow.jpg", SLOW, SIDECAR)
        running(home)
        # It fills up in the middle of a job.
        fill(disk / "ballast")
        until(lambda: "its disk is full" in cluster_status(home), 60)
        cluster.start_worker("large")
        status = home.ended("slow.jpg", 120)
        assert (status["state"], status["error"], status["machine"]) == ("completed", None, "large")
        home.drop("small.jpg", SMALL, SIDECAR)
        assert home.ended("small.jpg", 90)["machine"] == "large"
        (disk / "ballast").unlink()
        until(lambda: "its disk is full" not in cluster_status(home), 60)
        for number in range(6):
            home.drop(f"{number}.jpg", SLOW, SIDECAR)
        assert {each["machine"] for each in all_ended(home, 8)} == {"small", "large"}
        check(home)
    finally:
        home.stop()
        cluster.stop()
        subprocess.run(["umount", "-l", disk], check=True)


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1 << 16))


def cluster_status(home: HotFolder) -> str:
    return home.run("cluster", "status").stdout


def test_a_machine_that_lies_about_its_files_publishes_nothing(studio) -> None:
    cluster, home = studio.cluster, studio.home(MULTIPLANE_LIMITS__MAX_OUTPUT_BYTES="50 MB")
    cluster.start_scheduler()
    cluster.start_stand_in("liar", slots=4)
    home.start()
    for name in (*LIES, "honest"):
        home.drop(f"{name}.jpg", SMALL, SIDECAR)
    ended = {each["source"]["image"].partition(".")[0]: each for each in all_ended(home, len(LIES) + 1, 300)}
    assert ended.pop("honest")["state"] == "completed"
    for name, status in ended.items():
        assert status["state"] == "failed", name
        print(f"\n{name}: {status['error']['code']}: {status['error']['message']}", file=sys.stderr)
    check(home)
    assert not list(studio.folder.rglob("*escaped*"))
    assert (home.process.poll(), home.health()["state"]) == (None, "running")
