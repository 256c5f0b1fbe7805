"""A machine of a cluster whose jobs take a given time and no processor: real but for the worker processes.

The Dask worker, its connections and all that a machine says are the program's own. Only the thread with the supervisor is another
one: it waits, and then writes a result of two small files. As a job's picture is called, the machine lies about that result.

Run: python -m tests.process.cluster.stand_in ADDRESS NAME SLOTS SECONDS
"""

import hashlib
import heapq
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from daemon.cluster.machine import attempts
from daemon.cluster.machine.serving import Serving
from daemon.contract.messages import JobCommand, Result
from daemon.contract.status import Output, Source
from daemon.fs import LocalFiles
from daemon.settings.loading import load
from daemon.supervisor import Cancelled, Completed, Outcome

#: Each job of this machine takes so many seconds.
SECONDS = 2.0
#: What a machine can lie about, by the name of the picture: how the files are changed after they were written, and the report.
LIES: dict[str, Callable[[Path, Result], Result]] = {}


def lie(do: Callable[[Path, Result], Result]) -> Callable[[Path, Result], Result]:
    """Register a lie under the function's name."""
    LIES[do.__name__] = do
    return do


def changed(result: Result, **what: object) -> Result:
    """The result, with another report about its picture."""
    first, *others = result.outputs
    return result.model_copy(update={"outputs": (first.model_copy(update=what), *others)})


@lie
def size_too_small(_attempt: Path, result: Result) -> Result:
    return changed(result, bytes=3)


@lie
def size_too_large(_attempt: Path, result: Result) -> Result:
    return changed(result, bytes=1000)


@lie
def size_of_a_disk(_attempt: Path, result: Result) -> Result:
    return changed(result, bytes=1 << 50)


@lie
def hash_of_another_file(_attempt: Path, result: Result) -> Result:
    return changed(result, sha256="0" * 64)


@lie
def grows_without_end(attempt: Path, result: Result) -> Result:
    with (attempt / result.manifest).open("ab") as manifest:
        manifest.truncate(1 << 40)
    return result


@lie
def link_to_another_file(attempt: Path, result: Result) -> Result:
    path = attempt / result.outputs[0].path
    path.unlink()
    path.symlink_to("/etc/hostname")
    return result


@lie
def folder_that_is_a_link(attempt: Path, result: Result) -> Result:
    (attempt / "result").rename(attempt / "elsewhere")
    (attempt / "result").symlink_to(attempt / "elsewhere")
    return result


@lie
def file_that_is_not_there(attempt: Path, result: Result) -> Result:
    (attempt / result.outputs[0].path).unlink()
    return result


@lie
def path_out_of_the_result(_attempt: Path, result: Result) -> Result:
    return changed(result, path="result/../../../../escaped.png")


@lie
def absolute_path(attempt: Path, result: Result) -> Result:
    return changed(result, path=str(attempt / "escaped.png"))


@lie
def path_beside_the_result(attempt: Path, result: Result) -> Result:
    (attempt / "source").mkdir()
    (attempt / "source" / "escaped.png").write_bytes(b"a picture")
    return changed(result, path="source/escaped.png")


@lie
def name_twice(_attempt: Path, result: Result) -> Result:
    return result.model_copy(update={"outputs": (result.outputs[0], *result.outputs)})


@lie
def manifest_of_nothing(attempt: Path, result: Result) -> Result:
    (attempt / result.manifest).write_bytes(b"[]")
    return result


MANIFEST = {
    "width": 4,
    "height": 2,
    "layers": [],
    "split": {"method": "natural", "thresholds": [0.5]},
    "depth": {"source": "file", "polarity": "disparity"},
    "recomposition": {"max_error": 0, "raised_alpha": 0},
    "threads": 1,
    "versions": {},
}


def write_result(command: JobCommand) -> Result:
    """Write the files, and report them; with a lie, if the picture is called so."""
    attempt = Path(command.attempt)
    (attempt / "result").mkdir(parents=True)
    files = {"result/composite.png": b"a picture", "result/layer_manifest.json": json.dumps(MANIFEST).encode()}
    for path, data in files.items():
        (attempt / path).write_bytes(data)
    picture = (Path(command.source) / command.image).read_bytes()
    result = Result(
        source=Source(image=command.image, bytes=len(picture), sha256=hashlib.sha256(picture).hexdigest(), width=4, height=2),
        outputs=tuple(
            Output(
                path=path,
                kind="manifest" if path.endswith("json") else "composite",
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            for path, data in files.items()
        ),
        manifest="result/layer_manifest.json",
        depth_source="file",
        timings={"decode": 0.1},
        peak_rss=1000,
    )
    told = LIES.get(command.image.partition(".")[0])
    return result if told is None else told(attempt, result)


class StandInThread(threading.Thread):
    """What `SupervisorThread` is, without processes."""

    def __init__(
        self,
        *_given: object,
        on_progress: Callable[[str, str, float], None],
        on_end: Callable[[str, Outcome], None],
        **_more: object,
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._on_progress, self._on_end = on_progress, on_end
        self._calls: queue.SimpleQueue[tuple[str, JobCommand | str]] = queue.SimpleQueue()
        self._due: list[tuple[float, str]] = []
        self._jobs: dict[str, JobCommand] = {}

    def prepare(self, *_given: object) -> None:
        """Nothing has to be prepared."""

    def discard(self, _attempt: bytes) -> None:
        """Nothing was prepared."""

    def begin(self, command: JobCommand, **_more: object) -> None:
        self._calls.put(("begin", command))

    def cancel(self, attempt: str) -> None:
        self._calls.put(("cancel", attempt))

    def stop(self) -> None:
        self._calls.put(("stop", ""))

    def run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            try:
                what, told = self._calls.get(timeout=wait)
            except queue.Empty:
                _, job_id = heapq.heappop(self._due)
                if (command := self._jobs.pop(job_id, None)) is not None:
                    self._on_end(job_id, Completed(write_result(command), SECONDS, 1000))
                continue
            if what == "stop":
                return
            if isinstance(told, JobCommand):
                self._jobs[told.job_id] = told
                heapq.heappush(self._due, (time.monotonic() + SECONDS, told.job_id))
                self._on_progress(told.job_id, "decode", 0.1)
            elif self._jobs.pop(told, None) is not None:
                self._on_end(told, Cancelled(0.0))


def main() -> None:
    """Serve until a signal says stop."""
    global SECONDS
    address, name, slots, seconds = sys.argv[1:]
    SECONDS = float(seconds)
    attempts.SupervisorThread = StandInThread  # type: ignore[misc,assignment]
    home = Path(os.environ["MULTIPLANE_HOME"])
    home.mkdir(exist_ok=True)
    Serving(load(home, os.environ), LocalFiles(), address, slots=int(slots), name=name).run()


if __name__ == "__main__":
    main()
