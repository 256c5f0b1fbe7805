"""The kernel really kills a process for lack of memory, in a control group of its own; the count of it is seen."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.platform.oom import memory_limit, oom_kills

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS counts nothing")

LIMIT = 64 << 20
#: As the daemon: it counts before and after the end of a worker that takes more memory than there is.
COUNT = """
import subprocess, sys
from daemon.platform.memory import available_memory, total_memory
from daemon.platform.oom import oom_kills
before = oom_kills()
worker = subprocess.run([sys.executable, "-I", "-S", "-c", "held = bytearray(1 << 28)"])
print(total_memory(), 0 < available_memory() < total_memory(), worker.returncode, oom_kills() > before)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory, which only root can make."""
    own = {parts[1]: parts[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if (parts := line.split(":", 2))}
    v1 = next((path for kinds, path in own.items() if "memory" in kinds.split(",")), None)
    root = Path("/sys/fs/cgroup") / ("" if v1 is None else "memory")
    for base in (root / (v1 or own.get("", "/")).lstrip("/"), root):
        made = base / f"multiplane-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            made.mkdir()
            try:
                (made / ("memory.max" if v1 is None else "memory.limit_in_bytes")).write_text(str(LIMIT))
                with contextlib.suppress(OSError):  # else it would be swapped out instead
                    (made / "memory.swap.max").write_text("0")
                yield made
            finally:
                made.rmdir()
            return
    pytest.skip("no control group can be made here")


def test_a_kill_for_lack_of_memory_is_counted_and_the_limit_known(group: Path) -> None:
    enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        ["sh", "-c", enter, group, sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(LIMIT), "True", "-9", "True"]


def test_what_is_read_here_is_a_number_or_nothing() -> None:
    assert oom_kills() is None or oom_kills() >= 0
    assert memory_limit() is None or memory_limit() > 0
