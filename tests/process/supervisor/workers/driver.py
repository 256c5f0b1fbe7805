"""A program that runs jobs under a Supervisor, as the daemon does, so that a test can kill it.

Usage: driver.py FOLDER started|forked BEHAVIOUR… Prints the process records of the workers as JSON, one for each behaviour, then
a line for each stage reported; before all that, a line when it is about to start the first. With `forked`, a template forks them.
The behaviour `spare` is that of a worker without a job.
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


class Printer:
    """Prints what happens to the jobs."""

    def on_progress(self, _job: str, stage: str, _fraction: float) -> None:
        print(stage, flush=True)

    def on_end(self, _job: str, outcome: object) -> None:
        print(outcome, flush=True)


def main() -> None:
    folder, way, *behaviours = sys.argv[1:]
    forked = way == "forked"
    selector = selectors.DefaultSelector()
    supervisor = Supervisor(
        selector,
        LocalFiles(),
        SupervisorRules(max_processes=64),
        argv=(sys.executable, *(("-P",) if forked else ("-I", "-S")), ACTOR, "by_picture"),
        forks=forked,
    )
    supervisor.subscribe(Printer())
    if forked:
        supervisor.templates.start("light")
        while not supervisor.templates.is_ready("light"):
            for key, mask in selector.select():
                key.data(mask)
    print("starting", flush=True)
    pids = []
    for behaviour in behaviours:
        attempt = os.path.join(folder, behaviour)
        if behaviour == "spare":
            supervisor.prepare(os.fsencode(attempt))
            ((_warm, spare),) = supervisor._warm_workers.values()
            pids.append(spare.worker.pid)
        else:
            job = command(folder, behaviour).model_copy(update={"attempt": attempt, "image": f"{behaviour}.jpg"})
            pids.append(supervisor.start(job, log=os.fsencode(f"{attempt}.log"), timeout_seconds=600))
    print(json.dumps([dataclasses.asdict(pid) for pid in pids]), flush=True)
    while not supervisor.idle():
        for key, mask in selector.select(0.05):
            key.data(mask)
        supervisor.tick()


if __name__ == "__main__":
    main()
