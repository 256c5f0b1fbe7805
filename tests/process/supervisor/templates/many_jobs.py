"""A thousand jobs through one daemon: memory, descriptors and processes do not grow (Linux).

Run: python -m tests.process.supervisor.templates.many_jobs [JOBS]; by default 1,000, as part of `make soak`. The suite does the
same with a supervisor alone and a few jobs (`test_templates`).
"""

import sys
import tempfile
from pathlib import Path

import psutil

from tests.acceptance.home import HotFolder, picture, until

#: Jobs until the first measurement: by then everything that is used again and again is there.
_FIRST = 100
#: How many bytes the daemon may grow between the first and the last measurement. It remembers a few hundred bytes of each job.
_GROWTH = 12 << 20


def held(pid: int) -> dict[str, int]:
    """What a process and its children hold now."""
    process = psutil.Process(pid)
    children = process.children(recursive=True)
    return {
        "bytes": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "processes": len(children),
        "bytes of the children": sum(child.memory_full_info().pss for child in children),
    }


def work(home: HotFolder, first: int, count: int) -> None:
    """Drop this many pictures; wait until all are completed."""
    for number in range(first, first + count):
        home.drop(f"photo-{number}.png", picture(64, 48, seed=number), "num_layers: 2\ndepth: cues\nformats: []\n")
    until(lambda: sum(1 for each in home.outbox.glob("*/result")) >= first + count, 30 + count * 3, pause=0.5)
    until(lambda: all(status["completed_at"] for status in home.statuses()), 60, pause=1.0)


def main(arguments: list[str]) -> int:
    """Run it; returns 1 if something grew."""
    count = int(arguments[0]) if arguments else 1_000
    with tempfile.TemporaryDirectory() as folder:
        home = HotFolder(Path(folder) / "home")
        home.start()
        try:
            pid = home.process.pid
            work(home, 0, min(_FIRST, count // 2))
            before = held(pid)
            work(home, min(_FIRST, count // 2), count - min(_FIRST, count // 2))
            after = held(pid)
            states = {status["state"] for status in home.statuses()}
        finally:
            home.stop()
    for name, value in after.items():
        print(f"{name:24} after {min(_FIRST, count // 2)} jobs {before[name]:12,}, after {count} jobs {value:12,}")
    grown = [name for name in ("descriptors", "processes") if after[name] > before[name]]
    grown += ["bytes"] if after["bytes"] - before["bytes"] > _GROWTH else []
    if states != {"completed"} or grown:
        print(f"states {states}; grown: {grown}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
