"""A program that runs one job under a Supervisor, as the daemon does, so that a test can kill it.

Usage: driver.py FOLDER BEHAVIOUR [spare|announced]. Prints the worker's process record as JSON, then a line for each stage
reported; with `announced`, first a line when it is about to start the worker.
"""

import dataclasses
import json
import os
import selectors
import sys

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.fs import LocalFiles
from daemon.supervisor import Supervisor, SupervisorRules

ACTOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "actor.py")


def command(folder: str, job_id: str = "job") -> JobCommand:
    return JobCommand(
        job_id=job_id,
        attempt=os.path.join(folder, "attempt"),
        source=os.path.join(folder, "source"),
        image="photo.jpg",
        image_bytes=3,
        image_mtime_ns=0,
        spec=JobSpec(),
        limits=Limits(max_bytes=1, max_pixels=1),
        models=folder,
        threads=1,
    )


def main() -> None:
    folder, behaviour = sys.argv[1:3]
    selector = selectors.DefaultSelector()
    supervisor = Supervisor(
        selector,
        LocalFiles(),
        SupervisorRules(),
        argv=(sys.executable, "-I", "-S", ACTOR, behaviour),
        on_progress=lambda _job, stage, _fraction: print(stage, flush=True),
        on_end=lambda _job, outcome: print(outcome, flush=True),
    )
    if sys.argv[3:] == ["announced"]:
        print("starting", flush=True)
    if sys.argv[3:] == ["spare"]:
        supervisor.prepare(os.fsencode(os.path.join(folder, "attempt")))
        ((_warm, attempt),) = supervisor._spares.values()
        pid = attempt.worker.pid
    else:
        pid = supervisor.start(command(folder), log=os.fsencode(os.path.join(folder, "job.log")), timeout_seconds=600)
    print(json.dumps(dataclasses.asdict(pid)), flush=True)
    while not supervisor.idle():
        for key, mask in selector.select(0.05):
            key.data(mask)
        supervisor.tick()


if __name__ == "__main__":
    main()
