"""A storm over a cluster: workers, scheduler and daemon are killed and stopped at random, while pictures keep coming.

At the end every picture must have been published exactly once, its original must be whole, and no process may be left.

Run: python -m tests.process.cluster.storm [MINUTES [SEED]]; by default 10, as part of `make soak`.
"""

import hashlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.acceptance.home import ENDED, HotFolder, picture, until
from tests.process.cluster.clustered import Cluster

#: Pictures on their way after each fault: enough for the longest fault, so that no slot is idle for want of work.
_UNDER_WAY = 40
#: The fewest jobs that end in a whole storm; on a slow machine it lasts longer.
_LEAST = 300
#: Seconds from which a storm is a whole one.
_WHOLE = 600.0
SIDECAR = "depth: cues\nnum_layers: 3\nformats: []\n"
FAULTS = ("worker killed", "worker stopped", "worker restarted", "scheduler killed", "daemon killed", "cancel")


class ClusterStorm:
    """A home, a cluster of three machines, and what was done to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.cluster = Cluster(folder)
        self.home = self.cluster.configure(HotFolder(folder / "home"))
        self.pictures = [picture(200 + 40 * number, 150, form="JPEG") for number in range(4)]
        self.sent: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.done: Counter[str] = Counter()
        #: How many jobs had ended when the faults did, and how many attempts there were.
        self.ended_in_time = self.attempts = 0

    def run(self, seconds: float) -> None:
        """Storm for so long, then let everything come to rest, and check it."""
        try:
            self.cluster.start_scheduler()
            for name in ("alpha", "beta", "gamma"):
                self.cluster.start_worker(name, slots=2)
            self.home.start()
            end = time.monotonic() + seconds
            least = _LEAST if seconds >= _WHOLE else 0
            while time.monotonic() < end or len(self._ended()) < least:
                self._drop()
                time.sleep(self.random.uniform(0.5, 8.0))
                self._fault(self.random.choice(FAULTS))
            self.ended_in_time = len(self._ended())
            until(lambda: len(ended := self._ended()) == len(self.sent) and ended, 300)
            until(lambda: not list((self.home.outbox / ".work").iterdir()))
        finally:
            if self.home.process is not None:
                self.home.stop()
            self.cluster.stop()
        self.check()

    def _drop(self) -> None:
        for _ in range(_UNDER_WAY - (len(self.sent) - len(self._ended()))):
            name, data = f"{len(self.sent)}.jpg", self.random.choice(self.pictures)
            self.home.drop(name, data, SIDECAR)
            self.sent[name] = hashlib.sha256(data).hexdigest()

    def _ended(self) -> list[dict]:
        return [status for status in self.home.statuses() if status["state"] in ENDED]

    def _fault(self, fault: str) -> None:
        name = self.random.choice(list(self.cluster.workers))
        worker = self.cluster.workers[name]
        match fault:
            case "worker killed" | "worker restarted":
                worker.send_signal(signal.SIGKILL if fault == "worker killed" else signal.SIGTERM)
                worker.wait()
                self.cluster.start_worker(name, slots=2)
            case "worker stopped":
                worker.send_signal(signal.SIGSTOP)
                time.sleep(self.random.uniform(1.0, 12.0))
                worker.send_signal(signal.SIGCONT)
            case "scheduler killed":
                assert self.cluster.scheduler is not None
                self.cluster.scheduler.kill()
                self.cluster.scheduler.wait()
                time.sleep(self.random.uniform(0.0, 4.0))
                self.cluster.start_scheduler()
            case "daemon killed":
                assert self.home.process is not None
                self.home.process.kill()
                self.home.process.wait()
                self.home.start()
            case "cancel":
                live = [status for status in self.home.statuses() if status["state"] == "processing"]
                if not live:
                    return
                status = self.random.choice(live)
                requests = self.home.home / ".state" / "requests"
                (requests / ".cancel.part").write_text(json.dumps({"verb": "cancel", "jobs": [status["job_id"]]}))
                (requests / ".cancel.part").rename(requests / f"{self.random.randbytes(8).hex()}.json")
                self.cancelled.add(status["job_id"])
        self.done[fault] += 1

    def check(self) -> None:
        """After everything has stopped."""
        statuses = self.home.statuses()
        assert Counter(status["source"]["image"] for status in statuses) == Counter(list(self.sent))
        published = Counter[str]()
        for path in (self.home.home / ".state" / "journal").glob("*.jsonl"):
            for line in path.read_text().splitlines():
                self.attempts += '"event":"started"' in line
                if '"event":"publishing"' in line:
                    published[json.loads(line)["job"]] += 1
        for status in statuses:
            folder, job = self.home.job(status), status["job_id"]
            name = status["source"]["image"]
            assert hashlib.sha256((folder / "source" / name).read_bytes()).hexdigest() == self.sent[name]
            if job in self.cancelled and status["state"] == "cancelled":
                assert not (folder / "result").exists()
                continue
            assert (status["state"], status["error"]) == ("completed", None), status
            assert published[job] == 1
            for output in status["outputs"]:
                assert hashlib.sha256((folder / output["path"]).read_bytes()).hexdigest() == output["sha256"]
        assert self.left() == []

    def left(self) -> list[psutil.Process]:
        """The processes that still work below this storm's folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.folder)):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def main() -> None:
    """Run a storm, and say what it was."""
    minutes, seed = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder = Path(tempfile.mkdtemp(prefix="multiplane-cluster-storm-"))
    storm = ClusterStorm(folder, seed)
    print(f"cluster storm: {minutes:g} minutes, seed {seed}, in {folder}", flush=True)
    storm.run(60 * minutes)
    shutil.rmtree(folder)
    print(
        f"{len(storm.sent)} jobs in {storm.attempts} attempts, each published once or cancelled; {storm.ended_in_time} had ended "
        f"when the faults did: {', '.join(f'{count} × {fault}' for fault, count in storm.done.items())}"
    )


if __name__ == "__main__":
    main()
