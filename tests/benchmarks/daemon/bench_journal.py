"""The journal: appends a second with their syncs, replay, and what a long history costs at the start.

Run: python -m tests.benchmarks journal, or this file with the number of jobs; each has ten records. Bars: with 100,000 ended jobs
≤ 1 s from the start of the process to watching; idle ≤ 60 MB resident, with that history as without. `bench_history` measures
what the verbs cost.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from daemon.contract.records import Accepted, AttemptEnded, Claimed, ClaimedFile, Ended, Noted, Process, Publishing, Started
from daemon.contract.spec import JobSpec
from daemon.contract.status import Output, Source
from daemon.errors import WorkerCrashed
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.outbox import Outbox, status_of

ROOT = Path(__file__).resolve().parents[3]
DAEMON = ROOT / "tests" / "crash" / "programs" / "service.py"
SHA = "0" * 64
OLDEST = ("show", "20260131T120000-photo-00000001")
#: Starts of each kind: a machine that does something else meanwhile must not be what is measured.
_STARTS = 3
#: Jobs written at once to make a history; a segment has 10,000 records.
_AT_ONCE = 500


class Unsynced(LocalFiles):
    """The real disk without its syncs, to make a long history in little time."""

    def sync(self, fd: int) -> None:
        """Do not wait."""


def a_life(name: str) -> list:
    """The ten records of a job that completed at the second attempt, of the size they have."""
    image = ClaimedFile(role="image", name="photo.jpg", to="photo.jpg", ino=1, size=4_000_000, mtime_ns=1_700_000_000_000_000_000)
    sidecar = dataclasses.replace(image, role="sidecar", name="photo.yaml", to="photo.yaml")
    spec = JobSpec()
    process = Process(pid=4711, created=1.7e9, boot_id="8e6e0f3c-0000-0000-0000-000000000000", group=4710, guardian_created=1.7e9)
    outputs = tuple(Output(path=f"result/Layer_{i}_midground.png", kind="layer", bytes=5_000_000, sha256=SHA) for i in range(12))
    source = Source(image="photo.jpg", bytes=4_000_000, sha256=SHA, width=4000, height=3000)
    return [
        Accepted(job=name, files=(image, sidecar), spec=spec, mode=spec.mode),
        Claimed(job=name),
        Started(job=name, attempt="f" * 32),
        Started(job=name, attempt="f" * 32, process=process),
        AttemptEnded(job=name, error=WorkerCrashed("the worker ended without a result").info(), counts=True, retry_at=1.7e9),
        Started(job=name, attempt="e" * 32),
        Started(job=name, attempt="e" * 32, process=process),
        Publishing(
            job=name,
            attempt="f" * 32,
            source=source,
            outputs=outputs,
            manifest="result/layer_manifest.json",
            timings={"decode": 0.2, "export": 1.0},
            processing_seconds=5.0,
        ),
        Noted(job=name, warning="photo.yaml came after photo.jpg had been taken and was not used."),
        Ended(job=name, state="completed", source=source, processing_seconds=5.0),
    ]


def open_journal(folder: bytes, fs: LocalFiles) -> Journal:
    """A journal that has just begun."""
    journal = Journal(fs, folder, clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b")
    recovered = journal.recover()
    journal.begin(recovered.segment + 1, recovered.next_seq, [])
    return journal


def appends(folder: bytes) -> None:
    """Appends a second, alone and in groups."""
    journal = open_journal(folder, LocalFiles())
    record = a_life("20260131T120000-photo-0123abcd")[0]
    alone = 0.0
    for size in (1, 16, 256):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < 1.5:
            journal.append([record] * size)
            count += size
        rate = count / (time.perf_counter() - start)
        alone = alone or rate
        print(f"append, {size:>3} to a sync   {rate:>10,.0f} records a second   {rate / alone:>6.1f} times alone")


def write_history(home: Path, jobs: int) -> None:
    """So many ended jobs, as a daemon leaves them; the last 500 with their folders."""
    journal = open_journal(os.fsencode(home / ".state" / "journal"), Unsynced())
    outbox = Outbox(LocalFiles(), os.fsencode(home / "outbox"))
    outbox.prepare()
    (home / "inbox").mkdir()
    (home / "inbox" / ".multiplane").touch()
    known = Jobs()
    for first in range(0, jobs, _AT_ONCE):
        several = range(first, min(first + _AT_ONCE, jobs))
        written = journal.append([record for number in several for record in a_life(f"20260131T120000-photo-{number:08x}")])
        if first + _AT_ONCE >= jobs:
            for entry in written:
                known.apply(entry)
        elif journal.is_full(0):
            journal.rotate([])
    journal.close()
    for job in list(known.ended.values()):
        os.mkdir(outbox.job(job.job_id))
        outbox.write_status(status_of(job))
    os.sync()  # a daemon has waited for each of its writes: none of them is left for the next start to wait for


def start_of(home: Path) -> tuple[float, float]:
    """Seconds from the start of the process until daemon.json says `running`; then its resident memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MULTIPLANE_CONFIG": os.devnull}
    told = home / "outbox" / "daemon.json"
    told.unlink(missing_ok=True)
    start = time.perf_counter()
    daemon = subprocess.Popen([sys.executable, "-P", DAEMON, home], env=environment, stderr=subprocess.DEVNULL)
    try:
        while not (told.exists() and json.loads(told.read_bytes())["state"] == "running"):
            if daemon.poll() is not None or time.perf_counter() - start > 60:
                raise SystemExit("the daemon does not start")
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        time.sleep(1.5)
        return seconds, psutil.Process(daemon.pid).memory_info().rss / 1e6
    finally:
        daemon.terminate()
        daemon.wait()


def replays(home: Path) -> None:
    """Records a second, of a start and of looking back over everything."""
    fs, journal = LocalFiles(), os.fsencode(home / ".state" / "journal")
    size = sum(path.stat().st_size for path in (home / ".state" / "journal").iterdir())
    start = time.perf_counter()
    matter = len(Journal(fs, journal, clock=str, version="1", boot_id="b").recover().entries)
    print(f"recovery from the last segment, {matter:,} of whose records matter: {time.perf_counter() - start:.3f} s")
    start = time.perf_counter()
    records = sum(len(segment.marks) for segment in History(fs, journal).segments())
    seconds = time.perf_counter() - start
    print(
        f"checked, {size / 1e6:,.0f} MB            {records:>9,} records in {seconds:>5.1f} s {records / seconds:>9,.0f} a second"
    )
    start, jobs, count = time.perf_counter(), Jobs(), 0
    for entry in islice(History(fs, journal).entries(), 100_000):
        jobs.apply(entry)
        count += 1
    seconds = time.perf_counter() - start
    print(f"read and folded          {count:>9,} records in {seconds:>5.1f} s {count / seconds:>9,.0f} a second")


def main() -> None:
    """Print the table."""
    jobs = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 100_000
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as name:
        folder = Path(name)
        appends(os.fsencode(folder / "appends"))
        empty, full = folder / "empty", folder / "full"
        for home, count in ((empty, 0), (full, jobs)):
            home.mkdir()
            write_history(home, count)
        replays(full)
        start_of(empty)  # warms the file cache
        # Only the first start finds a long last segment, since each start begins a new one.
        firsts = [folder / f"first-{number}" for number in range(_STARTS)]
        for home in firsts:
            shutil.copytree(full, home, copy_function=os.link)
        for what, homes in (
            (f"{jobs:,} jobs, long last segment", firsts),
            ("no history", [empty] * _STARTS),
            (f"{jobs:,} jobs, again", firsts),
        ):
            seconds, memory = zip(*(start_of(home) for home in homes), strict=True)
            each = " ".join(f"{one:.2f}" for one in seconds)
            print(f"start to watching, {what:<35} {statistics.median(seconds):>6.2f} s of {each}, resident {max(memory):.0f} MB")


if __name__ == "__main__":
    main()
