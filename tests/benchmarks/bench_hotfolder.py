"""What the running daemon costs beside its jobs: floods of pairs, the latency of one, looking at what waits, an idle hour.

The daemon runs as a program of its own, its worker is one that never becomes ready, so that claims are measured and not pictures.
Bars: a full look at files at rest ≤ 1.5 times bare scandir + lstat, by processor time; all pairs accepted or waiting, none twice;
cost a pair at 50,000 within 1.3 times that at 10,000; ≤ 150 MB; renamed in → `accepted` on the disk, under continuous arrival,
p50 ≤ 50 ms and p99 ≤ 250 ms; idle ≤ 0.2 % of a core and 60 MB.

Beside it, in the same run, two common watchers that start a trivial command for each file. They and the daemon get the same drop:
single files, then all at once, each written under another name and renamed in. They are waited for until all is handled; what a
watcher has not started when it has done nothing at all for a while is missed, anything else is only late.

Run: .venv/bin/python -m tests.benchmarks hotfolder; every row says how long it took. `BENCH_QUICK=1` takes a tenth of the pairs
and 10 s of idling.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.benchmarks.bench_intake import rescan_ratios

ROOT = Path(__file__).resolve().parents[2]
QUICK = "BENCH_QUICK" in os.environ
FLOODS = (1_000, 5_000) if QUICK else (10_000, 50_000)
ARRIVALS = 100 if QUICK else 500
IDLE_SECONDS = 10.0 if QUICK else 60.0
OTHERS = 1_000 if QUICK else 10_000
#: The most that a watcher is waited for; a process for each file is slow, and that is what is compared.
OTHERS_SECONDS = 120.0 if QUICK else 1200.0
#: A watcher that used no processor time and started nothing for so long will start nothing more.
QUIET_SECONDS = 10.0
SINGLES = 10 if QUICK else 50
#: A flood that is not taken after so long has stopped.
LIMIT_SECONDS = 1200.0
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

    def drop(self, name: str) -> float:
        """A pair the safe way; the moment after the last rename."""
        for ending in (".jpg", ".jpg.yaml"):
            temporary = self.inbox / f".{name}{ending}.part"
            temporary.write_bytes(b"num_layers: 3\n")
            temporary.rename(self.inbox / f"{name}{ending}")
        return time.monotonic()


@contextmanager
def a_home(**settings: str) -> Iterator[Home]:
    """A home that is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="hotfolder"))
    try:
        yield Home(folder, **settings)
    finally:
        shutil.rmtree(folder)


def flood(count: int, *, most: int | None = None) -> tuple[float, float, bool, str]:
    """All pairs at once, there before the daemon: seconds a pair, megabytes at the most, whether all are there once, a note."""
    settings = {"MULTIPLANE_QUEUE__MAX_PENDING": str(10**6 if most is None else most)}
    expected = count if most is None else most
    with a_home(**settings) as home:
        for number in range(count):
            home.drop(f"IMG_{number:06}")
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
        is_whole = missed == home.twice == 0 and home.claimed >= expected
        note = (
            f"accepted {len(home.accepted):,}, in the inbox {left:,}, twice {home.twice}, missed {missed} ({verdict(is_whole)})"
        )
        return took / expected, peak / 1e6, is_whole, f"{note}; processor {processor / expected * 1e3:.2f} ms a pair"


def latency() -> list[float]:
    """Seconds from the sidecar's rename to the pair's record in the journal, pairs coming at irregular moments."""
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="100000") as home, home.running():
        time.sleep(2.0)
        dropped: dict[str, float] = {}
        for number in range(ARRIVALS):
            dropped[f"IMG_{number:06}.jpg"] = home.drop(f"IMG_{number:06}")
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
        before = _exactly_used(daemon)
        time.sleep(IDLE_SECONDS)
        return (_exactly_used(daemon) - before) / IDLE_SECONDS, daemon.memory_info().rss / 1e6


def _exactly_used(process: psutil.Process) -> float:
    """Seconds of processor time so far; where the system counts them in ticks of 10 ms, short work between two ticks is lost."""
    exact = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat")]
    return sum(int(text.split()[0]) for text in exact) / 1e9 if exact else sum(process.cpu_times()[:2])


@dataclass
class Drop:
    """Files dropped in front of a watcher: when each was renamed in, and when it was first seen to be handled."""

    dropped: dict[str, float] = field(default_factory=dict)
    handled: dict[str, float] = field(default_factory=dict)
    starts: int = 0

    def told(self, prefix: str) -> str:
        """The times of the files whose names begin so, in words."""
        names = [name for name in self.dropped if name.startswith(prefix)]
        times = sorted(self.handled[name] - self.dropped[name] for name in names if name in self.handled)
        if not times:
            return "none of them handled"
        p50, p99 = (times[round((len(times) - 1) * share)] for share in (0.5, 0.99))
        return f"p50 {p50 * 1e3:,.0f} ms, p99 {p99 * 1e3:,.0f} ms, worst {times[-1] * 1e3:,.0f} ms"

    @property
    def lacking(self) -> int:
        """How many were not handled."""
        return len(self.dropped.keys() - self.handled.keys())


def watched(drop: Callable[[str], float], look: Callable[[Drop], None], used: Callable[[], float]) -> tuple[Drop, str]:
    """The same for every watcher: some files one by one, then all at once, until all are handled or nothing happens any more.

    Args:
        drop: drops a file of this name (without its ending); the moment after its last rename.
        look: takes in what was handled since the last time.
        used: the processor time of the watcher so far, seconds.

    Returns:
        What was dropped, and what came of it in words.
    """
    found = Drop()
    for number in range(SINGLES):
        name = f"single{number}"
        found.dropped[name] = drop(name)
        end = time.monotonic() + 5.0
        while name not in found.handled and time.monotonic() < end:
            look(found)
            time.sleep(0.001)
    began = time.monotonic()
    for number in range(OTHERS):
        name = f"all{number}"
        found.dropped[name] = drop(name)
        if number % 100 == 0:
            look(found)
    before, changed = (0, 0.0), time.monotonic()
    while found.lacking and time.monotonic() < min(changed + QUIET_SECONDS, began + OTHERS_SECONDS):
        look(found)
        # The clock of processor times ticks a hundred times a second: less than a tick in all that time is nothing.
        if (now := (len(found.handled), round(used(), 1))) != before:
            before, changed = now, time.monotonic()
        time.sleep(0.005)
    is_quiet = time.monotonic() < began + OTHERS_SECONDS
    what = "missed" if is_quiet else f"not handled after {OTHERS_SECONDS:.0f} s:"
    last = max(found.handled.values(), default=began) - began
    note = f"{OTHERS:,} at once: {what} {found.lacking:,}, {found.told('all')}, the last after {last:.1f} s"
    return found, f"one by one: {found.told('single')}; {note}"


def ourselves() -> tuple[bool, str]:
    """The drop before the daemon: pairs, and the time until the pair is accepted on the disk. Whether none is missing; words."""
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="1000000") as home, home.running() as daemon:

        def drop(name: str) -> float:
            home.drop(name)
            return time.monotonic()

        def look(found: Drop) -> None:
            home.read_journal()
            for image in [*home.accepted][len(found.handled) :]:
                found.handled[image.removesuffix(".jpg")] = home.accepted[image]

        found, words = watched(drop, look, lambda: sum(daemon.cpu_times()[:2]))
        return found.lacking == home.twice == 0, f"{words}, twice {home.twice}"


def other(argv: list[str]) -> str:
    """The drop before another watcher that starts a trivial command for each file: what it misses and when it starts.

    Args:
        argv: its command; `{inbox}` and `{log}` are filled in. What it starts writes the file's name into the log.
    """
    folder = Path(tempfile.mkdtemp(prefix="other"))
    inbox, log = folder / "inbox", folder / "log"
    inbox.mkdir()
    log.touch()
    quiet = subprocess.DEVNULL
    watcher = [part.format(inbox=inbox, log=log) for part in argv]
    process = subprocess.Popen(watcher, start_new_session=True, cwd=folder, stdout=quiet, stderr=quiet)

    def drop(name: str) -> float:
        temporary = inbox / f".{name}.part"
        temporary.write_bytes(b"x")
        temporary.rename(inbox / f"{name}.jpg")
        return time.monotonic()

    def look(found: Drop) -> None:
        now, data = time.monotonic(), lines.read()
        data = tails.pop() + data
        *whole, tail = data.split(b"\n")
        tails.append(tail)
        for line in whole:
            # A move is told with both of its names, the new one last.
            name = os.path.basename(line.split()[-1]).decode() if line.split() else ""
            found.starts += 1
            if name.endswith(".jpg"):
                found.handled.setdefault(name.removesuffix(".jpg"), now)

    try:
        ready = time.monotonic() + 30
        while not log.stat().st_size and time.monotonic() < ready:
            (inbox / "probe.jpg").write_bytes(b"x")
            time.sleep(0.5)
        tails = [b""]
        with log.open("rb") as lines:
            lines.seek(0, os.SEEK_END)
            found, words = watched(drop, look, lambda: _used(process.pid))
        return f"{words}, {found.starts:,} starts"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _used(session: int) -> float:
    """Seconds of processor time of a watcher, what it started and waited for included."""
    total = 0.0
    for process in [psutil.Process(session), *psutil.Process(session).children(recursive=True)]:
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def verdict(is_ok: bool) -> str:
    """How a bar is told."""
    return "ok" if is_ok else "MISS"


def looking() -> None:
    """What a full look costs against the least that any scanner does."""
    for count in FLOODS:
        ratios = rescan_ratios(count, 31)
        median = ratios[len(ratios) // 2]
        found = f"{median:.2f} × bare scandir + lstat by processor time (bar 1.5): {verdict(median <= 1.5)}"
        row(
            f"{count:,} files at rest", f"{found}; quartiles {ratios[len(ratios) // 4]:.2f} to {ratios[len(ratios) * 3 // 4]:.2f}"
        )


def floods() -> None:
    """Many pairs at once, with and without room in the queue for them."""
    cost = {}
    for count in FLOODS:
        cost[count], megabytes, _whole, note = flood(count)
        relative = cost[count] / cost[FLOODS[0]]
        ratio = f", {relative:4.2f} × (bar 1.3: {verdict(relative <= 1.3)})" if count != FLOODS[0] else ""
        row(
            f"{count:,} pairs at once",
            f"{cost[count] * 1e3:6.2f} ms a pair{ratio}; {megabytes:.0f} MB (bar 150: {verdict(megabytes <= 150)}); {note}",
        )
    _, megabytes, _whole, note = flood(FLOODS[-1], most=1000)
    row(f"{FLOODS[-1]:,}, 1,000 may wait", f"{megabytes:.0f} MB (bar 150: {verdict(megabytes <= 150)}); {note}")


def watchers() -> None:
    """The same drop before the daemon and before the others."""
    is_whole, words = ourselves()
    row("multiplane", f"{words} ({verdict(is_whole)})")
    watchmedo = str(Path(sys.executable).parent / "watchmedo")
    if Path(watchmedo).exists():
        command = "echo ${{watch_src_path}} ${{watch_dest_path}} >> {log}"
        row(
            "watchmedo shell-command",
            other([watchmedo, "shell-command", "--patterns=**/*.jpg", "--command", command, "{inbox}"]),
        )
    if shutil.which("inotifywait"):
        events = "inotifywait -mq -e close_write -e moved_to --format %f {inbox}"
        loop = ' | while read -r f; do case $f in *.jpg) /bin/echo "$f" >> {log};; esac; done'
        row("inotifywait loop", other(["sh", "-c", events + loop]))


def main() -> None:
    """Print the table."""
    row.began = time.monotonic()
    looking()
    floods()
    times = latency()
    p50, p99 = (times[round((len(times) - 1) * share)] * 1e3 for share in (0.5, 0.99))
    found = f"p50 {p50:.1f} ms (bar 50: {verdict(p50 <= 50)}), p99 {p99:.1f} ms (bar 250: {verdict(p99 <= 250)})"
    row(f"{len(times):,} pairs, one by one", f"renamed in → accepted: {found}")
    share, megabytes = idle()
    found = (
        f"{share:.2%} of a core (bar 0.20 %: {verdict(share <= 0.002)}), {megabytes:.0f} MB (bar 60: {verdict(megabytes <= 60)})"
    )
    row(f"idle for {IDLE_SECONDS:.0f} s", found)
    watchers()


class _Row:
    """Prints the lines of the table, each with the time since the one before."""

    began = 0.0

    def __call__(self, what: str, found: str) -> None:
        now = time.monotonic()
        print(f"{what:24} {found} [{now - self.began:.0f} s]", flush=True)
        self.began = now


row = _Row()


if __name__ == "__main__":
    main()
