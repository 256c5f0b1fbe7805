"""The cost of a process for each job: guardian, spawn, imports, and what a warm worker saves. Prints milliseconds.

Run: python -m tests.benchmarks.daemon.bench_supervisor [ROUNDS]
"""

import json
import os
import resource
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "process" / "supervisor"))

from workers.driver import ACTOR, command

from daemon.contract.messages import Hello, JobCommand, Ready, Started
from daemon.fs import LocalFiles
from daemon.platform import process, sandbox
from daemon.supervisor import Supervisor, SupervisorRules, worker_argv
from daemon.supervisor.attempt import Attempt
from daemon.supervisor.code import compile_program, fingerprint
from daemon.supervisor.environment import worker_environment
from daemon.supervisor.supervisor import guardian_argv


def median(measure: Callable[[], float], rounds: int) -> float:
    return statistics.median(measure() for _ in range(rounds)) * 1000


def run(argv: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=False, process_group=0, capture_output=True)
    return time.perf_counter() - start


#: What a worker loads, one after the other: all that any job needs, and then what a job with a model does.
IMPORTS = {
    "the contract (pydantic)": "daemon.contract.messages",
    "numpy": "numpy",
    "OpenCV": "cv2",
    "Pillow": "PIL.Image",
    "isal": "isal",
    "the rest of the light worker": "pipeline.worker.entry, pipeline.run, daemon.errors",
    "torch": "torch",
    "transformers, for depth": "transformers.models.auto.modeling_auto, transformers.modeling_utils",
    "diffusers, for painting": "pipeline.painterly.libraries; pipeline.painterly.libraries.image_to_image()",
}


def children() -> float:
    """Seconds of processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loading(names: list[str]) -> float:
    """Seconds of processor time that a fresh Python takes to load these and end."""
    code = "; ".join(f"import {name}" for name in names) or "pass"
    with tempfile.TemporaryDirectory() as tmp:
        environment = worker_environment(os.environ, tmp=os.fsencode(tmp), threads=os.cpu_count() or 1)
        before = children()
        subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True, capture_output=True)
    return children() - before


def imports(rounds: int) -> None:
    """Print what each library adds; the least of a few runs, since other work on the machine only ever adds."""
    print("processor time of the imports                adds    in all (ms)")
    names: list[str] = []
    loaded = min(loading(names) for _ in range(rounds)) * 1000
    print(f"{'Python itself':40}{loaded:9.0f} {loaded:9.0f}")
    for what, name in IMPORTS.items():
        names.append(name)
        before, loaded = loaded, min(loading(names) for _ in range(rounds if loaded < 1000 else 2)) * 1000
        print(f"{what:40}{loaded - before:9.0f} {loaded:9.0f}")


def cold_job(command: JobCommand) -> None:
    """One job in a process of its own that loads everything first, as `python -m pipeline worker` does it by itself."""
    tmp = Path(command.attempt) / "tmp"
    tmp.mkdir(parents=True)
    read, write = os.pipe()
    with open(Path(command.attempt) / "job.log", "wb") as log, os.fdopen(read, "rb") as events:
        worker = subprocess.Popen(
            [*worker_argv(), "--events-fd", str(write)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(write,),
            env=worker_environment(os.environ, tmp=os.fsencode(tmp), threads=command.threads),
            cwd=tmp,
        )
        os.close(write)
        worker.communicate(command.model_dump_json().encode() + b"\n")
        said = [json.loads(line)["type"] for line in events]
    assert said[-1] == "result", (Path(command.attempt) / "job.log").read_text()


class Watch:
    """A supervisor whose workers' events are stamped with the time of their arrival."""

    def __init__(self, argv: tuple[str, ...], *, sandboxed: bool = False) -> None:
        self.folder = tempfile.mkdtemp()
        self.selector = selectors.DefaultSelector()
        self.ended = 0
        self.supervisor = Supervisor(
            self.selector,
            LocalFiles(),
            SupervisorRules(),
            argv=argv,
            policy=sandbox.policy(os.fsencode(self.folder)) if sandboxed else None,
        )
        self.supervisor.subscribe(self)
        self.seen: dict[type, float] = {}

    def on_progress(self, *_told: object) -> None:
        """Do nothing: the time is taken from the event."""

    def on_end(self, *_told: object) -> None:
        self.ended += 1

    def loop(self, until: Callable[[], bool]) -> None:
        while not until():
            due = self.supervisor.next_deadline()
            for key, mask in self.selector.select(None if due is None else max(0.0, due - time.monotonic())):
                key.data(mask)
            self.supervisor.tick()

    def once(self, *, spare: bool) -> dict[str, float]:
        """One job: seconds from the request to hello, ready, started and the end; with a spare, from the hand-over.

        `cpu`: the processor time of worker and guardian.
        """
        self.seen.clear()
        used = children()
        before = self.ended
        attempt = os.fsencode(os.path.join(self.folder, "attempt"))
        if spare:
            self.supervisor.prepare(attempt)
            self.loop(lambda: Ready in self.seen)
        start = time.perf_counter()
        self.supervisor.start(command(self.folder), log=os.fsencode(os.path.join(self.folder, "log")), timeout_seconds=60)
        spawned = time.perf_counter()
        self.loop(lambda: self.ended > before)
        times = {kind.__name__.lower(): at - start for kind, at in self.seen.items() if at > start}
        return times | {"spawn": spawned - start, "end": time.perf_counter() - start, "cpu": children() - used}

    def many(self, rounds: int, *, spare: bool = False) -> dict[str, float]:
        rows = [self.once(spare=spare) for _ in range(rounds)]
        keys = [key for key in ("spawn", "hello", "ready", "started", "end", "cpu") if all(key in row for row in rows)]
        return {key: statistics.median(row[key] for row in rows) * 1000 for key in keys}


def stamp_events(watches: list[Watch]) -> None:
    """Record when each event arrives."""
    hear = Attempt._hear

    def stamped(self: Attempt, event: object) -> None:
        for watch in watches:
            if type(event) in (Hello, Ready, Started):
                watch.seen[type(event)] = time.perf_counter()
        hear(self, event)

    Attempt._hear = stamped


def show(name: str, times: dict[str, float]) -> None:
    print(f"{name:34}" + "  ".join(f"{key} {value:7.1f}" for key, value in times.items()))


def compare(free: Watch, sandboxed: Watch, rounds: int) -> None:
    """Free and sandboxed workers in turns, so that what else the machine does meets both."""
    rows: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, watch, spare in (("free", free, False), ("sandboxed", sandboxed, False), ("spare, sandboxed", sandboxed, True)):
            rows.setdefault(name, []).append(watch.once(spare=spare))
    for name, times in rows.items():
        show(f"worker, {name} (ms)", {key: statistics.median(row[key] for row in times) * 1000 for key in times[0]})
    started = {name: statistics.median(row["started"] for row in times) * 1000 for name, times in rows.items()}
    # Other work on the machine only ever adds.
    least = {name: min(row["cpu"] for row in times) * 1000 for name, times in rows.items()}
    # Neighbours are compared, since the machine is not the same for long.
    policy = statistics.median(c["started"] - f["started"] for f, c in zip(rows["free"], rows["sandboxed"], strict=True)) * 1000
    print(f"what the sandbox costs              {policy:8.1f} ms (bar: 20), median of {rounds} pairs")
    print(f"of the processor's time           {least['sandboxed'] - least['free']:8.1f} ms")
    print(f"cold start ÷ start with a spare   {started['sandboxed'] / started['spare, sandboxed']:8.1f} times")


def spread(watch: Watch, rounds: int) -> str:
    times = sorted(watch.once(spare=True)["started"] * 1000 for _ in range(rounds))
    return f"p50 {times[len(times) // 2]:.1f} ms, worst {times[-1]:.1f} ms (bar: p50 50)"


def time_of(what: Callable[[], object]) -> Callable[[], float]:
    def measure() -> float:
        start = time.perf_counter()
        what()
        return time.perf_counter() - start

    return measure


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 7
    bare = median(lambda: run((sys.executable, "-I", "-S", "-c", "pass")), rounds)
    guardian = median(lambda: run(guardian_argv()), rounds)
    print(f"python -I -S -c pass              {bare:8.1f} ms")
    print(f"guardian, start to kill           {guardian:8.1f} ms  {guardian / bare:.2f} × bare python")
    imports(min(rounds, 5))
    compile_program()
    actor, real, sandboxed = (
        Watch((sys.executable, "-I", "-S", ACTOR, "good")),
        Watch(worker_argv()),
        Watch(worker_argv(), sandboxed=True),
    )
    stamp_events([actor, real, sandboxed])
    show("empty worker (ms)", actor.many(rounds))
    compare(real, sandboxed, rounds * 4)
    print(f"job start, sandboxed, spare ready  {spread(sandboxed, rounds * 3)}")
    start = time.perf_counter()
    for _ in range(20):
        process.tree_memory(process.tree(os.getpid()))
    print(f"looking at the program's files   {median(time_of(fingerprint), rounds):9.1f} ms")
    print(f"one look at a tree's memory       {(time.perf_counter() - start) / 20 * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
