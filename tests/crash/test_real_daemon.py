"""The real daemon under strace: killed at its system calls, or given an error of a full or broken disk.

Only the daemon's own threads are struck; worker and guardian are programs of their own.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from homes import RealHome

STRACE = shutil.which("strace")
#: The calls that change names or make bytes durable, as the daemon's Python makes them on Linux.
CHANGING = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "fsync")
#: All calls that change a name, a file's bytes, times or rights.
ANY_CHANGE = (
    *CHANGING, "openat", "open", "creat", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate", "chmod", "fchmodat",
    "mknod", "mknodat", "utimensat", "setxattr", "copy_file_range", "sendfile", "execve",
)  # fmt: skip
SOAK = "SOAK_TESTS" in os.environ
soak = pytest.mark.skipif(not SOAK, reason="part of make soak")
#: Exit statuses of a daemon that says why it stops.
CLEAR = {0: "done", 1: "a job failed", 74: "the journal", 75: "the disk"}

pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed"),
    pytest.mark.skipif(
        STRACE is not None and subprocess.run([STRACE, "-o", "/dev/null", "true"], check=False).returncode != 0,
        reason="strace is not allowed to trace here",
    ),
]


@pytest.fixture
def home(tmp_path):
    home = RealHome(tmp_path / "home")
    home.path.mkdir()
    home.drop("one", b"good one", "id: order-1\n")
    home.drop("two", b"good two", "num_layers: 3\n")
    return home


def known_calls(names: Sequence[str]) -> str:
    """A set of system calls for strace, without those that this processor's system lacks."""
    return ",".join(f"?{name}" for name in names)


@dataclass
class Traced:
    """A run with two jobs: its home, strace's log, and the operations that `daemon.fs` recorded."""

    home: RealHome
    log: str
    record: bytes


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Traced:
    folder = tmp_path_factory.mktemp("traced")
    home = RealHome(folder / "home")
    home.path.mkdir()
    home.drop("one", b"good one", "id: order-1\n")
    home.drop("two", b"good two", "num_layers: 3\n")
    record, log = folder / "record", folder / "log"
    strace = (STRACE, "-f", "-qq", "-y", "-xx", "-s", "4096", "-o", str(log), "-e", "trace=" + known_calls(ANY_CHANGE))
    status, said = home.run("--once", "--record", str(record), before=strace)
    assert status == 0, said
    return Traced(home, log.read_text(), record.read_bytes())


@pytest.fixture(scope="module")
def calls(traced) -> list[tuple[str, int]]:
    """The calls of the daemon's main thread in order, each numbered among calls of its kind, as strace counts them."""
    main = traced.log.split(" ", 1)[0]
    counts: Counter = Counter()
    found = []
    for line in traced.log.splitlines():
        if (match := re.match(r"(\d+) +(\w+)\(", line)) and match[1] == main and match[2] in CHANGING:
            counts[match[2]] += 1
            found.append((match[2], counts[match[2]]))
    return found


def test_killed_at_any_call_it_goes_on_and_loses_nothing(tmp_path, calls):
    """At three calls spread over the run; at all of them in the heavier form."""
    assert len(calls) > 40
    chosen = calls if SOAK else [calls[round((i + 0.5) * len(calls) / 3)] for i in range(3)]
    struck = 0
    for call, number in chosen:
        home = RealHome(tmp_path / f"{call}-{number}")
        home.path.mkdir()
        home.drop("one", b"good one", "id: order-1\n")
        home.drop("two", b"good two", "num_layers: 3\n")
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        status, _said = home.run("--once", before=(STRACE, "-qq", "-o", os.devnull, "-e", inject))
        struck += status in (-9, 137)
        home.check_visible()
        status, said = home.run("--once")
        assert status == 0, f"after a kill at {call} {number}: {said}"
        assert home.check_ended() == {"completed": 2}, f"after a kill at {call} {number}: {said}"
    assert struck >= 0.7 * len(chosen), "strace did not strike"


@pytest.mark.parametrize(
    ("calls", "code", "when"),
    [
        (("fsync",), "EIO", "25+"),
        (("rename", "renameat"), "ENOSPC", "12"),
        pytest.param(("mkdir", "mkdirat"), "EDQUOT", "10", marks=soak),
    ],
)
def test_told_that_the_disk_fails_it_stops_clearly_or_goes_on(home, calls, code, when):
    """The error occurs once, or from then on; afterwards the disk works again."""
    inject = f"inject={known_calls(calls)}:error={code}:when={when}"
    status, said = home.run("--once", before=(STRACE, "-qq", "-o", os.devnull, "-e", inject))
    assert status in CLEAR, said
    assert "Traceback" not in said
    home.check_visible()
    status, said = home.run("--once")
    assert status in (0, 1), said
    assert sum(home.check_ended().values()) == 2


def test_a_home_whose_first_start_fails_starts_the_next_time(tmp_path):
    home = RealHome(tmp_path)
    status, said = home.run("--once", before=(STRACE, "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=5+"))
    assert status in (74, 75), said
    assert "Traceback" not in said
    home.drop("one", b"good one")
    status, said = home.run("--once")
    assert status == 0, said
    assert home.check_ended() == {"completed": 1}


def test_nothing_is_changed_but_through_the_one_module_that_may(traced):
    """Every call that changes a name or opens a file for writing, as strace saw it, was made by `daemon.fs`."""
    known = Counter((name.decode(), paths) for name, _, paths in (line.partition(b" ") for line in traced.record.splitlines()))
    seen = Counter(changes(traced.log, os.fsencode(traced.home.path)))
    assert seen - known == Counter(), "changed behind the back of daemon.fs"
    assert sum(seen.values()) > 50
    assert {name for name, _ in seen} >= {"open", "rename", "mkdir", "rmdir"}


def changes(log: str, home: bytes):
    """(operation, paths) of every call in the log that changed something in the home, made by the daemon itself."""
    lines = [match.groups() for line in log.splitlines() if (match := re.match(r"(\d+) +(\w+)\((.*)", line))]
    others = {pid for pid, call, _ in lines[1:] if call == "execve"}  # what became another program is not the daemon
    for pid, call, arguments in lines:
        if pid in others or call in ("execve", "fsync") or " = -1 " in arguments:
            continue
        inside = [path for path in whole_paths(arguments) if path.startswith(home)]
        if not inside:
            continue
        if call in ("open", "openat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", arguments):
                yield "open", inside[0]
        elif call == "unlinkat":
            yield ("rmdir" if "AT_REMOVEDIR" in arguments else "unlink"), inside[0]
        else:
            yield call.removesuffix("2").removesuffix("at"), b" ".join(inside)


def whole_paths(arguments: str) -> list[bytes]:
    """The paths that a call names, each joined to the open folder that it starts from, as `strace -y -xx` prints both."""
    found = re.findall(r'(?:(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>, )?"((?:\\x[0-9a-f]{2})*)"', arguments)
    return [os.path.join(*(bytes.fromhex(text.replace("\\x", "")) for text in pair)) for pair in found]
