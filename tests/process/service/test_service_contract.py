"""The daemon under a service manager: a small stand-in for launchd, and a socket that listens like systemd.

The stand-in does what launchd.plist(5) says of the keys we use: it starts ProgramArguments in the foreground with hardly any
environment, starts again after a failure and only then, and kills what has not ended ExitTimeOut seconds after SIGTERM. The
time between starts is left out, and ExitTimeOut is shorter than we ask for.
"""

import os
import plistlib
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.contract.segment_records import SegmentStart
from daemon.fs import LocalFiles
from daemon.journal import Entry
from daemon.journal.line import encode
from daemon.outbox import Health, Outbox
from daemon.platform.service import Facts
from daemon.platform.service.launchd import LABEL, Launchd
from daemon.platform.service.systemd import Systemd
from daemon.watch import HEALTH_SECONDS, MARKER
from tests.waiting import SLOWEST

EXIT_TIMEOUT = 5.0
START_SECONDS = 40.0


def until(what: Callable[[], object], seconds: float = START_SECONDS) -> object:
    deadline = time.monotonic() + seconds * SLOWEST
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds * SLOWEST} s")


class Home:
    """One home and the service installed for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / ".state" / "log").mkdir(parents=True)
        (path / "inbox").mkdir()
        self.environ = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_WORKER__SPARE": "false"}

    @property
    def facts(self) -> Facts:
        errors = str(self.path / ".state" / "log" / "service.err")
        return Facts(python=sys.executable, home=str(self.path), errors=errors, environ=self.environ)

    def health(self) -> Health | None:
        try:
            return Health.model_validate_json((self.path / "outbox" / "daemon.json").read_bytes())
        except FileNotFoundError:
            return None

    def is_run_by(self, pid: int) -> bool:
        health = self.health()
        return health is not None and (health.pid, health.state) == (pid, "running")

    def settled(self) -> "Home":
        """The state after a first start: folders and markers exist."""
        Outbox(LocalFiles(), os.fsencode(self.path / "outbox")).prepare()
        (self.path / "inbox" / os.fsdecode(MARKER)).touch()
        return self

    def damage(self) -> Path:
        """Write a journal whose content was changed."""
        path = self.path / ".state" / "journal" / "00000001.jsonl"
        path.parent.mkdir()
        start = SegmentStart(version="1", boot_id="b", live=0)
        path.write_bytes(encode(Entry(1, 1, "2026-01-31T12:00:00.000Z", start)).replace(b'"boot_id":"b"', b'"boot_id":"c"'))
        return path


class FakeLaunchd:
    """launchd, as far as a single agent is concerned."""

    def __init__(self, plist: bytes, user_home: Path) -> None:
        self.listed = plistlib.loads(plist)
        self.user_home = user_home
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> int:
        environ = {"HOME": str(self.user_home), "PATH": "/usr/bin:/bin", "XPC_SERVICE_NAME": self.listed["Label"]}
        environ |= self.listed.get("EnvironmentVariables", {})
        with open(self.listed["StandardErrorPath"], "ab") as errors:
            self.process = subprocess.Popen(
                self.listed["ProgramArguments"], cwd="/", env=environ, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )
        self.starts += 1
        return self.process.pid

    def settle(self) -> int | None:
        """Wait for the agent to end by itself; start it again if it failed. Returns the new pid, if there is one."""
        status = self.process.wait(START_SECONDS * SLOWEST)
        wanted = self.listed["KeepAlive"]["SuccessfulExit"]
        return self.start() if (status == 0) == wanted else None

    def stop(self) -> int:
        """What bootout does. Returns the exit status: -9 if it did not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(EXIT_TIMEOUT * SLOWEST)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "my home")


@pytest.fixture
def launchd(home, tmp_path) -> Iterator[Callable[[], FakeLaunchd]]:
    made: list[FakeLaunchd] = []

    def make() -> FakeLaunchd:
        made.append(FakeLaunchd(Launchd(uid=501, user_home=tmp_path).content(home.facts), tmp_path))
        return made[-1]

    yield make
    for each in made:
        if each.process and each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def test_launchd_starts_it_restarts_it_after_a_kill_and_stops_it_in_time(home, launchd) -> None:
    agent = launchd()
    pid = agent.start()
    until(lambda: home.is_run_by(pid))
    os.kill(pid, signal.SIGKILL)
    again = agent.settle()
    assert again is not None
    until(lambda: home.is_run_by(again))
    assert agent.stop() == 0
    assert home.health().state == "stopped"
    # A clean end is left alone.
    assert agent.settle() is None
    assert agent.starts == 2


def test_a_damaged_journal_is_told_and_launchd_does_not_loop_on_it(home, launchd) -> None:
    path = home.settled().damage()
    agent = launchd()
    agent.start()
    assert agent.settle() is None
    health = home.health()
    assert health.state == "refused"
    assert str(path) in health.problem
    assert "Restore" in health.hint
    assert str(path) in (home.path / ".state" / "log" / "daemon.log").read_text()


def test_wrong_settings_are_told_and_launchd_does_not_loop_on_them(home, launchd) -> None:
    home.settled().environ["MULTIPLANE_QUEUE__MAX_PENDING"] = "none"
    agent = launchd()
    agent.start()
    assert agent.settle() is None
    health = home.health()
    assert (health.state, health.processing) == ("refused", ())
    assert "max_pending" in health.problem
    assert "max_pending" in Path(agent.listed["StandardErrorPath"]).read_text()


def test_a_second_daemon_ends_quietly_and_leaves_the_health_of_the_first_alone(home, launchd) -> None:
    first, second = launchd(), launchd()
    pid = first.start()
    until(lambda: home.is_run_by(pid))
    second.start()
    assert second.settle() is None
    assert home.is_run_by(pid)
    assert "already running" in Path(second.listed["StandardErrorPath"]).read_text()


def test_a_disk_that_may_work_again_is_tried_again(home, launchd) -> None:
    (home.path / ".state" / "journal" / ".tmp-00000001.jsonl").mkdir(parents=True)  # the new segment cannot be written
    agent = launchd()
    agent.start()
    assert agent.settle() is not None
    assert "Traceback" not in Path(agent.listed["StandardErrorPath"]).read_text()


def test_a_file_in_the_place_of_the_journal_is_told_and_launchd_does_not_loop_on_it(home, launchd) -> None:
    (home.path / ".state" / "journal").write_bytes(b"a file where the journal's folder should be")
    agent = launchd()
    agent.start()
    assert agent.settle() is None
    assert "A file or a link is where a folder belongs" in Path(agent.listed["StandardErrorPath"]).read_text()


# -- systemd ------------------------------------------------------------------------------------------------------------------


class FakeSystemd:
    """systemd: ExecStart, Environment and the notification socket."""

    def __init__(self, unit: str, folder: Path, socket_folder: Path) -> None:
        self.lines = [line.partition("=") for line in unit.splitlines()]
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(str(socket_folder / "notify"))
        self.process: subprocess.Popen[bytes] | None = None

    def one(self, key: str) -> str:
        return next(value for name, _, value in self.lines if name == key)

    def start(self, *, watchdog_usec: int) -> None:
        words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(self.one("ExecStart"))]
        settings = dict(shlex.split(value)[0].split("=", 1) for name, _, value in self.lines if name == "Environment")
        environ = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": self.listener.getsockname()}
        environ |= {"WATCHDOG_USEC": str(watchdog_usec)} | settings
        with (self.folder / "journal.log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd="/", env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def hear(self, seconds: float = START_SECONDS) -> str:
        self.listener.settimeout(seconds * SLOWEST)
        return self.listener.recv(4096).decode()


@pytest.fixture
def systemd(home, tmp_path, short_path) -> Iterator[FakeSystemd]:
    home.environ["MULTIPLANE_INTAKE__RESCAN_SECONDS"] = "1"  # an idle loop goes round at least so often
    made = FakeSystemd(Systemd(config_home=tmp_path).content(home.facts).decode(), tmp_path, short_path)
    yield made
    made.listener.close()
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_systemd_hears_when_it_is_ready_alive_and_stopping(home, systemd) -> None:
    systemd.start(watchdog_usec=200_000)
    assert systemd.hear() == "READY=1"
    until(lambda: home.is_run_by(systemd.process.pid))
    assert [systemd.hear(8.0) for _ in range(2)] == ["WATCHDOG=1", "WATCHDOG=1"]
    # What makes an idle loop go round if nothing else does, often enough for the unit.
    assert float(systemd.one("WatchdogSec")) > 2 * HEALTH_SECONDS
    systemd.process.send_signal(signal.SIGTERM)
    last = next(said for said in iter(systemd.hear, None) if said != "WATCHDOG=1")
    assert last == "STOPPING=1"
    assert systemd.process.wait(EXIT_TIMEOUT * SLOWEST) == 0


def test_a_daemon_that_hangs_is_not_heard_any_more(systemd) -> None:
    systemd.start(watchdog_usec=200_000)
    assert systemd.hear() == "READY=1"
    systemd.process.send_signal(signal.SIGSTOP)
    while select.select([systemd.listener], [], [], 0.2)[0]:
        systemd.hear()
    with pytest.raises(TimeoutError):
        systemd.hear(3.0)


def test_a_refusal_ends_with_a_status_after_which_systemd_does_not_restart(home, systemd) -> None:
    home.settled().damage()
    systemd.start(watchdog_usec=60_000_000)
    assert str(systemd.process.wait(START_SECONDS * SLOWEST)) in systemd.one("RestartPreventExitStatus").split()
    assert home.health().state == "refused"


@pytest.mark.parametrize(("service", "status"), [("0", 78), (LABEL, 0)], ids=["Terminal", "launchd"])
def test_launchd_is_known_by_the_name_of_the_service_and_a_home_that_is_none_is_left_alone(tmp_path, service, status) -> None:
    """Where no home exists, wrong settings are reported only on the terminal."""
    empty = tmp_path / "empty"
    empty.mkdir()
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "MULTIPLANE_CONFIG": "", "MULTIPLANE_NO__SUCH": "1"}
    environ["XPC_SERVICE_NAME"] = service
    command = [sys.executable, "-P", "-m", "daemon.cli", "run", "--home", empty]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert "MULTIPLANE_NO__SUCH" in done.stderr
    assert not list(empty.iterdir())
