"""What the running daemon costs beside its jobs: floods of pairs, the latency of one, an idle hour.

The daemon runs as a program of its own, its worker is one that never becomes ready, so that claims are measured and not pictures.
Bars: every pair accepted or waiting, none twice; cost a pair at 50,000 within 1.3 times that at 10,000; ≤ 150 MB; renamed in
→ `accepted` on the disk, under continuous arrival, p50 ≤ 50 ms and p99 ≤ 250 ms; idle ≤ 0.2 % of a core and 60 MB.

Run: .venv/bin/python -m tests.benchmarks hotfolder. `BENCH_QUICK=1` takes a tenth of the pairs and 10 s of idling.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
QUICK = "BENCH_QUICK" in os.environ
FLOODS = (1_000, 5_000) if QUICK else (10_000, 50_000)
ARRIVALS = 100 if QUICK else 500
IDLE_SECONDS = 10.0 if QUICK else 60.0
OTHERS = 1_000 if QUICK else 10_000
#: The others are given so long for the flood; a process for each file is slow, and that is what is compared.
OTHERS_SECONDS = 30.0 if QUICK else 120.0
#: A flood that is not taken after so long has stopped.
LIMIT_SECONDS = 600.0
WORKER = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)")


class Home:
    """A home and its daemon; the journal is read from the disk, as anybody could."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.home, self.inbox = folder, folder / "inbox"
        self.inbox.mkdir()
        self._journal: dict[Path, int] = {}
        self._settings = settings
        self.accepted: dict[str, float] = {}
        self.claimed = 0
        self.twice = 0

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        """The daemon, from its start to its end."""
        code = (
            "import os, sys\nfrom pathlib import Path\nfrom loguru import logger\nfrom daemon.fs import LocalFiles\n"
            "from daemon.service import Service\nfrom daemon.settings import load\nlogger.remove()\n"
            f"Service(load(Path({str(self.home)!r}), os.environ), LocalFiles(), argv={WORKER!r}).run()"
        )
        environment = os.environ | {"MULTIPLANE_CONFIG": "", "PYTHONPATH": str(ROOT)} | self._settings
        process = subprocess.Popen([sys.executable, "-P", "-c", code], env=environment)
        try:
            while not (self.home / "outbox" / "daemon.json").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the daemon ended with status {process.returncode}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def read_journal(self) -> None:
        """Take in what was written since the last time: every `accepted` with the moment at which it was seen here."""
        now = time.monotonic()
        for path in sorted((self.home / ".state" / "journal").glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._journal.get(path, 0))
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._journal[path] = self._journal.get(path, 0) + whole
            for line in data[:whole].splitlines():
                if b'"event":"accepted"' in line and (record := json.loads(line))["event"] == "accepted":
                    name = record["files"][0]["name"]
                    self.twice += name in self.accepted
                    self.accepted[name] = now
                self.claimed += b'"event":"claimed"' in line

    def drop(self, number: int) -> float:
        """A pair the safe way; the moment after the last rename."""
        for ending in (".jpg", ".jpg.yaml"):
            temporary = self.inbox / f".{number}{ending}.part"
            temporary.write_bytes(b"num_layers: 3\n")
            temporary.rename(self.inbox / f"IMG_{number:06}{ending}")
        return time.monotonic()


@contextmanager
def a_home(**settings: str) -> Iterator[Home]:
    """A home that is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="hotfolder"))
    try:
        yield Home(folder, **settings)
    finally:
        shutil.rmtree(folder)


def flood(count: int, *, most: int | None = None) -> tuple[float, float, str]:
    """All pairs at once, there before the daemon: seconds a pair, megabytes at the most, and a note."""
    settings = {"MULTIPLANE_QUEUE__MAX_PENDING": str(10**6 if most is None else most)}
    expected = count if most is None else most
    with a_home(**settings) as home:
        for number in range(count):
            home.drop(number)
        began = time.monotonic()
        with home.running() as daemon:
            first, peak, processor = 0.0, 0, 0.0
            while home.claimed < expected and time.monotonic() < began + LIMIT_SECONDS:
                time.sleep(0.2)
                home.read_journal()
                first = first or (time.monotonic() if home.accepted else 0.0)
                peak = max(peak, daemon.memory_info().rss)
            took = time.monotonic() - first
            processor = sum(daemon.cpu_times()[:2])
            time.sleep(1.0)
            peak = max(peak, daemon.memory_info().rss)
            home.read_journal()
        left = sum(name.endswith(".jpg") for name in os.listdir(home.inbox))
        missed = count - len(home.accepted) - left
        note = f"accepted {len(home.accepted):,}, in the inbox {left:,}, twice {home.twice}, missed {missed}"
        return took / expected, peak / 1e6, f"{note}; processor {processor / expected * 1e3:.2f} ms a pair"


def latency() -> list[float]:
    """Seconds from the sidecar's rename to the pair's record in the journal, pairs coming at irregular moments."""
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="100000") as home, home.running():
        time.sleep(2.0)
        dropped: dict[str, float] = {}
        for number in range(ARRIVALS):
            dropped[f"IMG_{number:06}.jpg"] = home.drop(number)
            pause = time.monotonic() + 0.02 + 0.0006 * (number * 37 % 100)
            while time.monotonic() < pause:
                home.read_journal()
                time.sleep(0.001)
        end = time.monotonic() + 20
        while len(home.accepted) < ARRIVALS and time.monotonic() < end:
            home.read_journal()
            time.sleep(0.001)
        return sorted(home.accepted.get(name, float("inf")) - at for name, at in dropped.items())


def idle() -> tuple[float, float]:
    """The share of a core and the megabytes of a daemon with nothing to do."""
    with a_home() as home, home.running() as daemon:
        time.sleep(5.0)
        before = sum(daemon.cpu_times()[:2])
        time.sleep(IDLE_SECONDS)
        return (sum(daemon.cpu_times()[:2]) - before) / IDLE_SECONDS, daemon.memory_info().rss / 1e6


def other(argv: list[str], count: int) -> str:
    """The same drop before another watcher that starts a trivial command for each file: what it misses and when it starts.

    Args:
        argv: its command; `{inbox}` and `{log}` are filled in. What it starts writes the file's name into the log.
        count: files dropped at once, after ten single ones.
    """
    folder = Path(tempfile.mkdtemp(prefix="other"))
    inbox, log = folder / "inbox", folder / "log"
    inbox.mkdir()
    log.touch()
    quiet = subprocess.DEVNULL
    watcher = [part.format(inbox=inbox, log=log) for part in argv]
    process = subprocess.Popen(watcher, start_new_session=True, cwd=folder, stdout=quiet, stderr=quiet)
    try:
        ready = time.monotonic() + 30
        while not log.stat().st_size and time.monotonic() < ready:
            (inbox / "probe.jpg").write_bytes(b"x")
            time.sleep(0.5)
        starts = sorted(_until_started(inbox, log, number) for number in range(10))
        began = time.monotonic()
        for number in range(count):
            temporary = inbox / f".{number}.part"
            temporary.write_bytes(b"x")
            temporary.rename(inbox / f"{number}.jpg")
        size, changed = -1, time.monotonic()
        while time.monotonic() < min(changed + 5.0, began + OTHERS_SECONDS):
            if log.stat().st_size != size:
                size, changed = log.stat().st_size, time.monotonic()
            time.sleep(0.1)
        names = [os.path.basename(word) for word in log.read_bytes().split() if word.endswith(b".jpg")]
        started = [name for name in names if name.removesuffix(b".jpg").isdigit()]
        handled, is_quiet = len({*started}), time.monotonic() < began + OTHERS_SECONDS or len({*started}) == count
        lacking = f"missed {count - handled:,}" if is_quiet else f"{count - handled:,} not handled after {OTHERS_SECONDS:.0f} s"
        p50, worst = starts[len(starts) // 2] * 1e3, starts[-1] * 1e3
        took = f"{(changed - began) / max(handled, 1) * 1e3:.1f} ms a file"
        return f"start p50 {p50:.0f} ms, worst {worst:.0f} ms; {count:,} files: {lacking}, {len(started):,} starts, {took}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _until_started(inbox: Path, log: Path, number: int) -> float:
    """Seconds from a rename to the command it starts; two if none does."""
    name = f"single{number}.jpg"
    (inbox / ".single.part").write_bytes(b"x")
    began = time.monotonic()
    (inbox / ".single.part").rename(inbox / name)
    while name.encode() not in log.read_bytes() and time.monotonic() < began + 2:
        time.sleep(0.001)
    return time.monotonic() - began


def main() -> None:
    """Print the table."""
    cost = {}
    for count in FLOODS:
        cost[count], megabytes, note = flood(count)
        ratio = f", {cost[count] / cost[FLOODS[0]]:4.2f} × (bar 1.3)" if count != FLOODS[0] else ""
        row(f"{count:,} pairs at once", f"{cost[count] * 1e3:6.2f} ms a pair{ratio}; {megabytes:.0f} MB (bar 150); {note}")
    _, megabytes, note = flood(FLOODS[-1], most=1000)
    row(f"{FLOODS[-1]:,}, 1,000 may wait", f"{megabytes:.0f} MB; {note}")
    times = latency()
    p50, p99 = (times[round((len(times) - 1) * share)] * 1e3 for share in (0.5, 0.99))
    row(f"{len(times):,} pairs, one by one", f"renamed in → accepted: p50 {p50:.1f} ms (bar 50), p99 {p99:.1f} ms (bar 250)")
    share, megabytes = idle()
    row(f"idle for {IDLE_SECONDS:.0f} s", f"{share:.2%} of a core (bar 0.20 %), {megabytes:.0f} MB (bar 60)")
    watchmedo = str(Path(sys.executable).parent / "watchmedo")
    if Path(watchmedo).exists():
        command = "echo ${{watch_src_path}} ${{watch_dest_path}} >> {log}"
        argv = [watchmedo, "shell-command", "--patterns=**/*.jpg", "--command", command, "{inbox}"]
        row("watchmedo shell-command", other(argv, OTHERS))
    if shutil.which("inotifywait"):
        events = "inotifywait -mq -e close_write -e moved_to --format %f {inbox}"
        row(
            "inotifywait loop",
            other(["sh", "-c", events + ' | while read -r f; do case $f in *.jpg) /bin/echo "$f" >> {log};; esac; done'], OTHERS),
        )


def row(what: str, found: str) -> None:
    """One line of the table."""
    print(f"{what:24} {found}", flush=True)


if __name__ == "__main__":
    main()
