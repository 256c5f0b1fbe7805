"""Jobs cancelled at random moments, in every state, while the real daemon runs the real pipeline.

A few pictures are always on their way; one of them after the other is cancelled, whatever it is doing then: waiting for its turn,
in any stage of the work, or resting after a crash. Each must say so at once; at the end all the folders are looked at.

Run: python -m tests.process.supervisor.cancels [COUNT [SEED]]; by default 100, which takes some minutes.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.acceptance.home import ENDED, HotFolder, picture, until

#: How long a cancel may take until the status says so, seconds.
CANCEL_SECONDS = 1.0
#: Jobs under way at any time: one runs, one waits; and pictures on their way, since one may be done before the next is taken.
_UNDER_WAY, _ON_THEIR_WAY = 2, 3
#: One job in so many has its worker crashed first, so that it is cancelled while it rests before its next attempt.
_CRASHED = 8
SIDECAR = b"num_layers: 4\ndepth: cues\n"


class CancelRun:
    """A home, what was dropped into it, and how each cancel went.

    Args:
        folder: for the home.
        seed: of the moments.

    Attributes:
        states: what the cancelled jobs were doing, as their status said just before.
        took: seconds from each request to the status that says `cancelled`.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.home = HotFolder(folder / "home")
        self.random = random.Random(seed)
        self.data = picture(1000, 750, form="JPEG")
        self.dropped = 0
        self.states: Counter[str] = Counter()
        self.took: list[float] = []

    def run(self, count: int) -> None:
        """Cancel so many jobs."""
        self.home.start()
        try:
            while len(self.took) < count:
                assert self.dropped < 4 * count + 10, "the jobs are over before they can be cancelled"
                self._one(crashed=len(self.took) % _CRASHED == 2)
            until(lambda: not self._live())
        finally:
            if self.home.process is not None:
                self.home.stop()

    def _one(self, *, crashed: bool) -> None:
        """Wait for a random moment of a random job, and cancel it."""
        live = until(self._under_way)
        job = self._crash() if crashed else self._await_a_moment(live)
        if job is None:
            return
        before = self._read(job)
        asked = self._request(job)
        status = until(lambda: (found := self._read(job)) and found["state"] in ENDED and found)
        if status["state"] == "cancelled":
            self.took.append(time.monotonic() - asked)
            rests = before["state"] == "pending" and before["attempts"]
            self.states["resting" if rests else (before["progress"] or {}).get("stage") or before["state"]] += 1
        else:
            assert status["state"] == "completed", status

    def _under_way(self) -> list[str] | None:
        """Drop what is missing; the jobs under way, once there are enough."""
        ended = sum(status["state"] in ENDED for status in self.home.statuses())
        for _ in range(_ON_THEIR_WAY - (self.dropped - ended)):
            self.home.drop(f"photo-{self.dropped}.jpg", self.data, SIDECAR.decode())
            self.dropped += 1
        live = self._live()
        return live if len(live) >= _UNDER_WAY else None

    def _await_a_moment(self, live: list[str]) -> str | None:
        """Wait for a while; returns the job to cancel, or None if all have ended."""
        time.sleep(self.random.uniform(0.0, 0.8))
        live = [job for job in live if self._read(job)["state"] not in ENDED]
        # Where there is a choice, more often one that runs than one that waits.
        live.sort(key=lambda job: self._read(job)["state"] == "pending")
        return live[0 if self.random.random() < 0.75 else -1] if live else None

    def _crash(self) -> str | None:
        """Crash the worker of the running job; returns the job once it waits for its next attempt, None if it ended before."""
        running = until(lambda: [job for job in self._live() if self._read(job)["progress"]])[0]
        # The other one is the spare, which has computed less.
        max(self.home.workers(), key=lambda worker: worker.cpu_times().user).send_signal(signal.SIGSEGV)
        status = until(lambda: (found := self._read(running))["state"] != "processing" and found)
        return running if status["state"] == "pending" else None

    def _live(self) -> list[str]:
        return [status["job_id"] for status in self.home.statuses() if status["state"] not in ENDED]

    def _read(self, job: str) -> dict:
        return json.loads((self.home.outbox / job / "status.json").read_text())

    def _request(self, job: str) -> float:
        """Send a request as `multiplane cancel` does, without the command's start-up time; returns when."""
        requests = self.home.home / ".state" / "requests"
        name = f"{os.urandom(8).hex()}.json"
        (requests / f".{name}.part").write_text(json.dumps({"verb": "cancel", "jobs": [job]}))
        (requests / f".{name}.part").rename(requests / name)
        return time.monotonic()

    def check(self) -> None:
        """After the daemon ended: every picture is complete in `source/`, and no cancelled job has a result."""
        statuses = self.home.statuses()
        assert len(statuses) == self.dropped
        for status in statuses:
            folder = self.home.job(status)
            assert {path.name for path in folder.iterdir()} - {"job.log"} == (
                {"status.json", "source", "result"} if status["state"] == "completed" else {"status.json", "source"}
            ), status
            name = status["source"]["image"]
            assert {path.name: path.read_bytes() for path in (folder / "source").iterdir()} == {
                name: self.data,
                f"{name}.yaml": SIDECAR,
            }
        assert Counter(status["state"] for status in statuses)["cancelled"] == len(self.took)
        assert list((self.home.outbox / ".work").iterdir()) == []
        assert not [path for path in self.home.inbox.iterdir() if path.is_file() and path.name != ".multiplane"]
        assert self.home.workers() == []


def main(arguments: list[str]) -> int:
    """Run it, and print the results."""
    count, seed = (*map(int, arguments), *(100, 1)[len(arguments) :])
    with tempfile.TemporaryDirectory() as folder:
        drill = CancelRun(Path(folder), seed)
        drill.run(count)
        drill.check()
    took = sorted(drill.took)
    late = sum(seconds > CANCEL_SECONDS for seconds in took)
    states = ", ".join(f"{number} {state}" for state, number in drill.states.most_common())
    print(f"cancelled {len(took)} of {drill.dropped} jobs: {states}")
    print(
        f"until the status said so: median {took[len(took) // 2]:.2f} s, worst {took[-1]:.2f} s; {late} over {CANCEL_SECONDS} s"
    )
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
