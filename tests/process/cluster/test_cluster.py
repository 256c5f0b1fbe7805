"""One hot folder, two machines: jobs run on both, and each is published exactly once, whatever dies.

The scheduler, the workers and the daemon are real processes that talk over mutual TLS. `alpha` sees the outbox on a share, `beta`
gets the files through the connection. `python -m tests.process.cluster.storm` has more faults, under load.
"""

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.cluster.keys import make_keys
from daemon.fs import LocalFiles
from tests.acceptance.home import ENDED, HotFolder, picture, until
from tests.process.cluster.clustered import MULTIPLANE, Cluster

SIDECAR = "depth: cues\nnum_layers: 3\n"
SMALL = picture(96, 64, form="JPEG")
#: Takes long enough to be caught at it.
SLOW = picture(1000, 750, form="JPEG")


class Studio:
    """A hot folder, a scheduler and two machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(folder)
        self.home = HotFolder(folder / "home")
        self.count = 0

    def start(self) -> None:
        share = str(self.folder / "home")
        self.alone = self.results_without_a_cluster()
        self.cluster.start_scheduler()
        self.start_machine("alpha")
        self.start_machine("beta")
        self.cluster.configure(self.home, MULTIPLANE_CLUSTER__SHARED_FOLDER=share)
        self.home.start()
        self.cluster.wait_for("alpha", "beta")

    def stop(self) -> None:
        if self.home.process is not None:
            self.home.stop()
        self.cluster.stop()

    def start_machine(self, name: str) -> None:
        # The same folder has another path there.
        link = self.folder / "mounted"
        if not link.exists():
            link.symlink_to(self.folder / "home")
        self.cluster.start_worker(name, **({"MULTIPLANE_CLUSTER__SHARED_FOLDER": str(link)} if name == "alpha" else {}))

    def results_without_a_cluster(self) -> dict:
        self.home.start()
        # The preview shows the picture's name, so pictures of one name are compared.
        self.home.drop("same.jpg", SMALL, SIDECAR)
        found = hashes(self.home.ended("same.jpg"))
        self.home.stop()
        return found

    def drop(self, data: bytes, sidecar: str = SIDECAR) -> str:
        self.count += 1
        self.home.drop(f"{self.count}.jpg", data, sidecar)
        return f"{self.count}.jpg"

    def running(self) -> tuple[str, str, str]:
        """A slow job that runs: its picture, its id and its machine."""
        name = self.drop(SLOW)
        status = until(lambda: [status for status in self.home.of(name) if status["progress"]])[0]
        return name, status["job_id"], status["machine"]

    def elsewhere(self, name: str, machine: str) -> dict:
        """Wait until the job has ended on another machine than this one."""
        status = self.home.ended(name, 90)
        assert (status["state"], status["error"]) == ("completed", None)
        assert status["machine"] != machine
        assert status["attempts"] == 1, "the lost attempt does not count"
        return status


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    try:
        studio.start()
        yield studio
    finally:
        studio.stop()


def hashes(status: dict) -> dict[str, str]:
    assert status["state"] == "completed", status["error"]
    return {output["path"]: output["sha256"] for output in status["outputs"]}


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that work on jobs of a machine."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def test_jobs_run_on_both_machines_and_give_the_bytes_of_this_one(studio) -> None:
    for count in range(2, 6):
        studio.home.drop("same.jpg", SMALL, SIDECAR)
        until(lambda count=count: len(studio.home.of("same.jpg")) == count)
    everything = until(lambda: all(each["state"] in ENDED for each in studio.home.of("same.jpg")) and studio.home.of("same.jpg"))
    ended = [each for each in everything if each["machine"] is not None]
    assert len(ended) == 4
    assert {status["machine"] for status in ended} == {"alpha", "beta"}
    for status in ended:
        assert hashes(status) == studio.alone
        for path, sha256 in hashes(status).items():
            assert hashlib.sha256((studio.home.job(status) / path).read_bytes()).hexdigest() == sha256
        assert json.loads((studio.home.job(status) / "status.json").read_text())["attempts"] == 1
    assert "machine" in studio.home.verb("show", ended[0]["job_id"]).stdout


def test_a_model_that_nobody_has_is_waited_for_by_name(studio) -> None:
    name = studio.drop(SMALL, "depth: model\n")
    status = until(lambda: [status for status in studio.home.of(name) if status["waits_for"]])[0]
    assert status["waits_for"].startswith("a machine with a model for depth: ")
    # daemon.json may be written a moment after the status.
    until(lambda: any(status["waits_for"] in item["reason"] for item in studio.home.health()["waiting"]))
    assert studio.home.ended(studio.drop(SMALL))["state"] == "completed", "others go first"
    assert studio.home.verb("cancel", status["job_id"]).returncode == 0
    assert studio.home.ended(name)["state"] == "cancelled"


def test_a_cancelled_job_leaves_no_process_on_its_machine(studio) -> None:
    name, job, machine = studio.running()
    group = [child for child in workers_of(studio.cluster.workers[machine]) if "worker" in child.cmdline()]
    assert studio.home.verb("cancel", job).returncode == 0
    assert studio.home.ended(name)["state"] == "cancelled"
    until(lambda: not any(psutil.pid_exists(child.pid) and child.cpu_times().user > 1 for child in group), 10)


def test_a_stranger_does_not_get_in(studio, tmp_path) -> None:
    (stranger,) = make_keys(LocalFiles(), str(tmp_path), ["stranger"])
    host, port = studio.cluster.address.removeprefix("tls://").split(":")
    asking = ssl.create_default_context(cafile=str(studio.cluster.keys / "ca.pem"))
    asking.check_hostname = False
    asking.load_cert_chain(stranger.certificate, stranger.key)
    code = (
        "import ssl, socket, sys\n"
        "context = ssl.create_default_context(cafile=sys.argv[3]); context.check_hostname = False\n"
        "if len(sys.argv) > 4: context.load_cert_chain(*sys.argv[4:])\n"
        "try:\n"
        "    end = context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2]))))\n"
        "    print(len(end.recv(100)))\n"
        "except OSError as error: print(type(error).__name__)\n"
    )

    def answer(*files: str) -> str:
        given = [sys.executable, "-I", "-c", code, host, port, str(studio.cluster.keys / "ca.pem"), *files]
        return subprocess.run(given, capture_output=True, text=True, check=True).stdout.strip()

    assert answer().startswith("SSL")
    assert answer(stranger.certificate, stranger.key).startswith("SSL")
    assert int(answer(*(str(studio.cluster.keys / name) for name in ("alpha.pem", "alpha-key.pem")))) > 0


def test_plain_tcp_to_another_machine_is_refused_with_the_reason(studio) -> None:
    variables = {**os.environ, **studio.cluster.variables("alpha"), "MULTIPLANE_HOME": str(studio.folder / "alpha")}
    for verb in ("worker", "scheduler"):
        command = [MULTIPLANE, "cluster", verb, "tcp://192.0.2.1:8786"]
        told = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
        assert told.returncode == 2
        said = " ".join(told.stderr.split())
        assert "runs any program that anybody sends it" in said
        assert "cluster keys DIR" in said


def test_the_daemon_itself_loads_no_dask_without_a_cluster() -> None:
    code = (
        "import sys, daemon.service, daemon.cli.verbs.run; "
        "print([name for name in ('distributed', 'dask') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout.strip() == "[]"


def a_machine_is_killed(studio: Studio) -> None:
    """Its job runs on the other one, and nothing of it is left."""
    name, _, machine = studio.running()
    process = studio.cluster.workers[machine]
    children = workers_of(process)
    process.kill()
    process.wait()
    status = studio.elsewhere(name, machine)
    assert "lost" in studio.home.verb("show", status["job_id"]).stdout
    _, left = psutil.wait_procs(children, 10)
    assert left == []
    studio.start_machine(machine)
    until(lambda: studio.cluster.said(machine).count("has joined") == 2)


def a_machine_hangs(studio: Studio) -> None:
    """What it makes after it was given up is not published."""
    name, _, machine = studio.running()
    process = studio.cluster.workers[machine]
    process.send_signal(signal.SIGSTOP)
    try:
        status = studio.elsewhere(name, machine)
    finally:
        process.send_signal(signal.SIGCONT)
    before = hashes(status)
    # Dask may have missed it or not; either way it ends what nobody names any more.
    until(lambda: not any("worker" in child.cmdline() and child.cpu_times().user > 1 for child in workers_of(process)))
    assert hashes(studio.home.ended(name)) == before
    until(lambda: not list((studio.home.outbox / ".work").iterdir()))


def the_daemon_is_killed(studio: Studio) -> None:
    """The next one submits the job again, and no attempt counts."""
    name, job, _ = studio.running()
    studio.home.process.kill()
    studio.home.process.wait()
    studio.home.start()
    status = studio.home.ended(name, 90)
    assert (status["state"], status["attempts"]) == ("completed", 1)
    records = [line for path in (studio.home.home / ".state/journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    attempts = [json.loads(line)["attempt"] for line in records if f'"event":"started","job":"{job}"' in line]
    assert len(set(attempts)) >= 2
    assert len([line for line in records if f'"event":"publishing","job":"{job}"' in line]) == 1


def the_scheduler_is_killed(studio: Studio) -> None:
    """The queue pauses, says why, and goes on by itself."""
    name, _, _ = studio.running()
    studio.cluster.scheduler.kill()
    studio.cluster.scheduler.wait()
    health = until(lambda: (found := studio.home.health())["state"] == "paused" and found)
    assert "scheduler" in health["problem"]
    assert "cluster scheduler" in health["hint"]
    until(lambda: studio.home.of(name)[0]["state"] == "pending")
    studio.cluster.start_scheduler()
    status = studio.home.ended(name, 90)
    assert (status["state"], status["attempts"]) == ("completed", 1)
    assert {status["state"] for status in studio.home.statuses()} <= set(ENDED)


def test_whatever_dies_each_job_is_published_once(studio) -> None:
    """One after the other, because what was restarted belongs to this test."""
    try:
        a_machine_is_killed(studio)
        a_machine_hangs(studio)
        the_daemon_is_killed(studio)
        if os.environ.get("SOAK_TESTS"):
            the_scheduler_is_killed(studio)
    finally:
        studio.stop()
