"""A drop before the daemon and before two common watchers that start a trivial command for each file, in one run.

All get the same: single files, then all at once, each written under another name and renamed in. They are waited for until all
is handled; what a watcher has not started when it has done nothing at all for a while is missed, anything else is only late.

Run: .venv/bin/python -m tests.benchmarks watchers; `BENCH_QUICK=1` takes a tenth of the files.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.benchmarks.daemon.daemon_home import QUICK, Table, a_home, verdict

OTHERS = 1_000 if QUICK else 10_000
#: The most that a watcher is waited for; a process for each file is slow, and that is what is compared.
OTHERS_SECONDS = 120.0 if QUICK else 1200.0
#: A watcher that used no processor time and started nothing for so long will start nothing more.
QUIET_SECONDS = 10.0
SINGLES = 10 if QUICK else 50


@dataclass
class Drop:
    """Files dropped in front of a watcher: when each was renamed in, and when it was first seen to be handled."""

    dropped: dict[str, float] = field(default_factory=dict)
    handled: dict[str, float] = field(default_factory=dict)
    starts: int = 0

    def told(self, prefix: str) -> str:
        """The handling times of the files whose names begin with this, as text."""
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


def main() -> None:
    """Print the table."""
    table = Table()
    is_whole, words = ourselves()
    table.row("multiplane", f"{words} ({verdict(is_whole)})")
    watchmedo = str(Path(sys.executable).parent / "watchmedo")
    if Path(watchmedo).exists():
        command = "echo ${{watch_src_path}} ${{watch_dest_path}} >> {log}"
        table.row(
            "watchmedo shell-command",
            other([watchmedo, "shell-command", "--patterns=**/*.jpg", "--command", command, "{inbox}"]),
        )
    if shutil.which("inotifywait"):
        events = "inotifywait -mq -e close_write -e moved_to --format %f {inbox}"
        loop = ' | while read -r f; do case $f in *.jpg) /bin/echo "$f" >> {log};; esac; done'
        table.row("inotifywait loop", other(["sh", "-c", events + loop]))


if __name__ == "__main__":
    main()
