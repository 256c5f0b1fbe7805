"""A real cluster on loopback, with mutual TLS: scheduler and workers as processes, and a daemon that uses them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from daemon.cluster.keys import MachineKeys, make_keys
from daemon.fs import LocalFiles
from tests.acceptance.home import HotFolder, until
from tests.waiting import SLOWEST

MULTIPLANE = Path(sys.executable).parent / "multiplane"


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A scheduler and workers, each with a home and certificates of its own.

    Args:
        folder: for keys and homes.
        host: where the scheduler is.
        settings: further variables for all processes.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", **settings: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.keys = folder / "keys"
        self.address = f"tls://{host}:{free_port()}"
        self.settings = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_CLUSTER__LOST_SECONDS": "5", **settings}
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        #: What the command of a process begins with, by the machine's name.
        self.within: dict[str, tuple[str, ...]] = {}

    def variables(self, name: str) -> dict[str, str]:
        """The settings of a machine of this name, for its environment."""
        (machine,) = self._machine(name)
        return {
            "MULTIPLANE_CLUSTER__CA": str(self.keys / "ca.pem"),
            "MULTIPLANE_CLUSTER__CERTIFICATE": machine.certificate,
            "MULTIPLANE_CLUSTER__KEY": machine.key,
            **self.settings,
        }

    def _machine(self, name: str) -> list[MachineKeys]:
        paths = (str(self.keys / f"{name}{end}.pem") for end in ("", "-key"))
        made = MachineKeys(name, *paths)
        return [made] if os.path.exists(made.key) else make_keys(LocalFiles(), str(self.keys), [name])

    def _spawn(self, name: str, *command: str | Path, **more: str) -> subprocess.Popen[bytes]:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        given = {**os.environ, "MULTIPLANE_HOME": str(home), **self.variables(name), **more}
        with (self.folder / f"{name}.out").open("ab") as log:
            return subprocess.Popen([*self.within.get(name, ()), *command], env=given, stdout=log, stderr=log)

    def said(self, name: str) -> str:
        """What a process has logged."""
        return (self.folder / f"{name}.out").read_text()

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it serves."""
        before = self.said("scheduler").count("the scheduler is at") if (self.folder / "scheduler.out").exists() else 0
        self.scheduler = self._spawn("scheduler", MULTIPLANE, "cluster", "scheduler", self.address)
        until(lambda: self.said("scheduler").count("the scheduler is at") > before)

    def start_worker(
        self, name: str, *, slots: int = 1, program: tuple[str | Path, ...] = (MULTIPLANE,), **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker, of another `program` if one is given. `wait_for` waits until it has joined."""
        command = ("cluster", "worker", self.address, "--slots", str(slots), "--name", name)
        self.workers[name] = self._spawn(name, *program, *command, **more)
        return self.workers[name]

    def start_stand_in(self, name: str, *, slots: int = 1, seconds: float = 0.1) -> subprocess.Popen[bytes]:
        """Start a machine whose jobs only take time (`stand_in`)."""
        command = (sys.executable, "-m", "tests.process.cluster.stand_in", self.address, name, str(slots), str(seconds))
        self.workers[name] = self._spawn(name, *command)
        return self.workers[name]

    def wait_for(self, *names: str) -> None:
        """Wait until these workers have joined."""
        until(lambda: all("has joined" in self.said(name) for name in names))

    def configure(self, home: HotFolder, **more: str) -> HotFolder:
        """Make a home's daemon use this cluster."""
        home.settings |= {**self.variables("daemon"), "MULTIPLANE_CLUSTER__SCHEDULER": self.address, **more}
        return home

    def stop(self) -> None:
        """End all processes that are left."""
        for process in (*self.workers.values(), self.scheduler):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in (*self.workers.values(), self.scheduler):
            if process is not None:
                try:
                    process.wait(15 * SLOWEST)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
