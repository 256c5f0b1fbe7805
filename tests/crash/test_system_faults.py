"""Faults of the machine under the real daemon: no job fails, no attempt is charged, no result is discarded."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from homes import ROOT, RealHome, wait_until
from loguru import logger
from test_full_disk import SmallHome

from daemon.fs import HeldFolder, LocalFiles
from daemon.service import assemble
from daemon.settings import load
from tests.acceptance.home import picture
from tests.path_based_folder import ByPath
from tests.programs import copy_program, write_pth
from tests.waiting import SLOWEST

STRACE = shutil.which("strace")
#: The calls by which Python's subprocess makes a process, the second where the first fails; its threads come by another.
SPAWN = "?vfork,clone"


def can_trace() -> bool:
    return STRACE is not None and subprocess.run([STRACE, "-o", "/dev/null", "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")


class Home(RealHome):
    """A home whose daemon can be asked for its health."""

    python = sys.executable

    def command(self, *options: str) -> list[str]:
        return [self.python, *super().command(*options)[1:]]

    def says(self, words: str) -> bool:
        path = self.outbox / "daemon.json"
        return path.exists() and words in path.read_text()

    def has(self, name: str, state: str) -> bool:
        return (status := self.status(self.outbox / name)) is not None and status["state"] == state

    def all_done(self, count: int) -> bool:
        states = [status["state"] for job in self.jobs().values() if (status := self.status(job))]
        return states.count("completed") == count

    def check_unharmed(self, count: int) -> None:
        """Every job completed at its first attempt."""
        assert self.check_ended() == {"completed": count}
        assert {status["attempts"] for job in self.jobs().values() if (status := self.status(job))} == {1}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.path.mkdir()
    return made


def make_environment(own: Path, program: Path) -> str:
    """Make a virtual environment with this one's packages and another program; returns its interpreter."""
    folder = own / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    folder.mkdir(parents=True)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    write_pth(folder / "here.pth", [program, *packages])
    (own / "bin").mkdir()
    (own / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (own / "pyvenv.cfg").write_text(f"home = {Path(os.path.realpath(sys.executable)).parent}\n")
    return str(own / "bin" / "python")


@pytest.fixture
def daemons() -> Iterator[list[subprocess.Popen]]:
    """Daemons in this list are ended after the test."""
    started: list[subprocess.Popen] = []
    yield started
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def stop(process: subprocess.Popen) -> str:
    """End a daemon; returns its output."""
    process.send_signal(signal.SIGTERM)
    _out, said = process.communicate(timeout=30 * SLOWEST)
    assert process.returncode == 0, said
    assert "Traceback" not in said, said
    return said


def wait_for(process: subprocess.Popen, condition: Callable[[], bool], seconds: float) -> None:
    """`wait_until`, but if the daemon ends, fail at once with what it said."""

    def is_reached() -> bool:
        if condition():
            return True
        if process.poll() is not None:
            raise AssertionError(f"the daemon ended with status {process.returncode}: {process.stderr.read()[-2000:]}")
        return False

    wait_until(is_reached, seconds)


def test_the_interpreter_moved_away_and_back_under_load_fails_no_job(home: Home, tmp_path: Path, daemons: list) -> None:
    own = tmp_path / "environment"
    home.python = make_environment(own, ROOT)
    for number in range(4):
        home.drop(f"early-{number}", b"slow early %d" % number, f"id: early-{number}\n")
    daemons.append(process := home.start())
    wait_for(process, lambda: home.all_done(1), 60)
    (own / "bin").rename(own / "away")
    for number in range(6):
        home.drop(f"late-{number}", b"good late %d" % number, f"id: late-{number}\n")
    wait_for(process, lambda: home.says('"paused"') and home.says("cannot be started"), 60)
    assert home.says("Nothing is lost")
    (own / "away").rename(own / "bin")
    wait_for(process, lambda: home.all_done(10), 90)
    assert "work resumes" in stop(process)
    home.check_unharmed(10)


@needs_strace
def test_no_more_processes_pause_the_queue_and_are_no_attempt(home: Home, daemons: list) -> None:
    for number in range(3):
        home.drop(f"job-{number}", b"good %d" % number, f"id: job-{number}\n")
    inject = f"inject={SPAWN}:error=EAGAIN:when=1..3"
    status, said = home.run("--once", before=(str(STRACE), "-qq", "-o", os.devnull, "-e", inject), seconds=90)
    assert status == 0, said
    assert "no worker can be started: Resource temporarily unavailable" in said
    assert "work resumes" in said
    home.check_unharmed(3)


class FaultyDisk(LocalFiles):
    """The real disk; `inject_fault(call, path)` is called before files are created or moved, and may raise."""

    def __init__(self, inject_fault: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._inject_fault = inject_fault

    def hold(self, path: bytes) -> HeldFolder:
        """Use paths, so that faults can be injected into held folders as well."""
        return ByPath(self, path)

    def create(self, path: bytes) -> int:
        self._inject_fault("create", path)
        return super().create(path)

    def mkdir(self, path: bytes) -> None:
        self._inject_fault("mkdir", path)
        super().mkdir(path)

    def rename(self, source: bytes, target: bytes) -> None:
        self._inject_fault("rename", target)
        super().rename(source, target)


def run_with_fault(home: Home, inject_fault: Callable[[str, bytes], None]) -> str:
    """Run the daemon in this process on a faulty disk until everything is done; returns its log."""
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    worker = (sys.executable, "-I", "-S", str(Path(__file__).parent / "programs" / "fast_worker.py"))
    try:
        assert assemble(load(home.path, home.environment()), FaultyDisk(inject_fault), argv=worker).run(once=True) == 0, said
    finally:
        logger.remove(sink)
    return "\n".join(said)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EROFS], ids=errno.errorcode.get)
def test_a_result_whose_publishing_rename_fails_is_kept_and_published_later(home: Home, code: int) -> None:
    struck: list[bytes] = []

    def inject_fault(call: str, path: bytes) -> None:
        if call == "rename" and path.endswith(b"/one/result") and len(struck) < 3:
            struck.append(path)
            raise OSError(code, os.strerror(code), path)

    home.drop("one", b"good one", "id: one\n")
    home.drop("two", b"good two", "id: two\n")
    said = run_with_fault(home, inject_fault)
    assert "the result of one cannot be shown" in said
    assert said.count("one started") == 1, "the result was thrown away"
    home.check_unharmed(2)


def test_an_outbox_that_becomes_read_only_pauses_the_queue_and_throws_no_result_away(home: Home) -> None:
    """After the first publication nothing can be written, as if the system had remounted a failing disk."""
    since: list[float] = []

    def inject_fault(call: str, path: bytes) -> None:
        if call == "rename" and path.endswith(b"/result") and not since:
            since.append(time.monotonic())
        if since and time.monotonic() < since[0] + 3.0 and path.startswith(os.fsencode(home.outbox)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    for number in range(3):
        home.drop(f"job-{number}", b"good %d" % number, f"id: job-{number}\n")
    said = run_with_fault(home, inject_fault)
    assert "paused: nothing can be written into the outbox: Read-only file system" in said
    assert [said.count(f"job-{number} started") for number in range(3)] == [1, 1, 1]
    home.check_unharmed(3)


def test_used_up_inodes_pause_the_queue_and_are_no_attempt(tmp_path: Path, daemons: list) -> None:
    home = SmallHome(tmp_path)
    home.outbox.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=900", "multiplane-test", str(home.outbox)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        gate = tmp_path / "gate"
        home.drop("running", b"before %s\n" % os.fsencode(gate) + b"x", "id: running\n")
        daemons.append(process := home.start())
        wait_until(lambda: home.has("running", "processing"), 60)
        filler = home.outbox / ".filler"
        filler.mkdir()
        number = 0
        while os.statvfs(home.outbox).f_favail > 0:
            (filler / str(number)).touch()
            number += 1
        gate.touch()
        wait_until(lambda: home.has("running", "pending"), 60)
        wait_until(lambda: home.health()["state"] == "paused" and "(inodes)" in home.health()["problem"], 30)
        shutil.rmtree(filler)
        wait_until(lambda: home.has("running", "completed"), 60)
        status = home.status(home.outbox / "running")
        assert status is not None
        assert status["attempts"] == 1
        stop(process)
    finally:
        subprocess.run(["umount", "--lazy", str(home.outbox)], check=False)


def test_a_worker_that_a_stranger_kills_is_tried_again(home: Home, tmp_path: Path, daemons: list) -> None:
    gate = tmp_path / "gate"
    home.drop("victim", b"before %s\n" % os.fsencode(gate) + b"x", "id: victim\n")
    daemons.append(process := home.start())
    wait_until(lambda: home.has("victim", "processing"), 60)
    work = [folder for folder in (home.outbox / ".work").iterdir() if (folder / "result").is_dir()]
    wait_until(lambda: [each for each in work_of(process) if each.cwd().startswith(str(home.outbox / ".work"))], 30)
    # The spare dies as well; neither is the job's fault, but only the worker is known to have had one.
    for worker in work_of(process):
        worker.kill()
    gate.touch()
    wait_until(lambda: home.has("victim", "completed"), 90)
    assert work == []
    status = home.status(home.outbox / "victim")
    assert status is not None
    assert status["attempts"] == 2
    assert "out_of_memory" not in stop(process)


def work_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The workers of a daemon, without their guardians."""
    children = psutil.Process(process.pid).children()
    return [child for child in children if any("fast_worker" in word for word in child.cmdline())]


def test_new_code_under_a_running_daemon_fails_no_job_and_it_starts_anew_by_itself(tmp_path: Path, daemons: list) -> None:
    """The new program speaks another protocol, so the old daemon cannot use its workers."""
    tree = copy_program(tmp_path / "program")
    home = CopiedHome(tmp_path / "home")
    home.python = make_environment(tmp_path / "environment", tree)
    home.path.mkdir()
    home.inbox.mkdir()
    home.drop("one", picture(48, 32, form="JPEG"), "id: one\nformats: []\n")
    daemons.append(process := home.start())
    wait_until(lambda: home.has("one", "completed"), 100)
    for path in (tree / "pipeline" / "worker" / "entry.py", tree / "daemon" / "contract" / "messages.py"):
        text = path.read_text()
        assert "PROTOCOL_VERSION = 1" in text or "_PROTOCOL_VERSION, _EVENT_FD = 1, 3" in text
        text = text.replace("PROTOCOL_VERSION = 1", "PROTOCOL_VERSION = 2")
        path.write_text(text.replace("_PROTOCOL_VERSION, _EVENT_FD = 1, 3", "_PROTOCOL_VERSION, _EVENT_FD = 2, 3"))
    for name in ("two", "three"):
        home.drop(name, picture(48, 32, seed=len(name), form="JPEG"), f"id: {name}\nformats: []\n")
    wait_until(lambda: home.all_done(3), 110)
    assert process.poll() is None, "it is the same process"
    said = stop(process)
    assert "the program or its configuration was changed: the daemon restarts" in said
    home.check_unharmed(3)


class CopiedHome(Home):
    """A home that `multiplane run` of a copy of the program serves, with that copy's workers."""

    def command(self, *options: str) -> list[str]:
        return [self.python, "-P", "-m", "daemon.cli", "run", "--home", str(self.path), *options]

    def environment(self) -> dict[str, str]:
        kinds = {f"MULTIPLANE_NOTIFICATIONS__{kind}": "false" for kind in ("BATCHES", "SINGLES", "FAILURES")}
        found = {**super().environment(), **kinds, "MULTIPLANE_QUEUE__MAX_CONCURRENT_JOBS": "1"}
        del found["PYTHONPATH"]
        return found
