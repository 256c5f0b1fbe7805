"""How reliable the remaining time in status.json is: thirty jobs of mixed sizes and layers through the daemon.

Pictures of 3 to 12 megapixels: status.json is written twice a second, so of a job of a second or two it cannot say much.
At the first status after a third of a job's time, what it says is compared with what the job then still took.

Run: python -m tests.benchmarks.daemon.bench_progress [JOBS]
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.home import ENDED, HotFolder, picture

BAR = 0.25


def watch(home: HotFolder, count: int) -> dict[str, list[tuple[float, float | None]]]:
    """Read the status files until all have ended; for each job, when (monotonic seconds) each new remaining time was seen."""
    seen: dict[str, list[tuple[float, float | None]]] = {}
    ended: set[str] = set()
    while len(ended) < count:
        for path in home.outbox.glob("*/status.json"):
            if path.parent.name in ended:
                continue
            status = json.loads(path.read_text())
            rows = seen.setdefault(path.parent.name, [])
            if status["state"] in ENDED:
                assert status["state"] == "completed", status["error"]
                rows.append((time.monotonic(), 0.0))
                ended.add(path.parent.name)
            elif status["progress"] is not None:
                left = status["progress"]["eta_seconds"]
                if not rows or rows[-1][1] != left:
                    rows.append((time.monotonic(), left))
        time.sleep(0.02)
    return seen


def error(rows: list[tuple[float, float | None]]) -> float | None:
    """The relative error of the first estimate after a third; None if there was none before the job ended."""
    begin, end = rows[0][0], rows[-1][0]
    for at, left in rows[:-1]:
        if at - begin >= (end - begin) / 3:
            return abs(left - (end - at)) / (end - at) if left is not None else 1.0
    return None


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 30
    rng = random.Random(1)
    widths = [rng.choice((2000, 2600, 3200, 4000)) for _ in range(count)]
    # All of them before the first is dropped: the first job must not be over before anybody looks.
    photos = [picture(width, width * 3 // 4, seed=number, form="JPEG") for number, width in enumerate(widths)]
    with tempfile.TemporaryDirectory() as folder:
        home = HotFolder(Path(folder) / "home")
        home.start()
        try:
            for number, data in enumerate(photos):
                home.drop(f"photo-{number}.jpg", data, f"num_layers: {rng.randint(2, 6)}\ndepth: cues\n")
            seen = watch(home, count)
        finally:
            home.stop()
    errors = sorted(each for rows in seen.values() if (each := error(rows)) is not None)
    print(f"jobs that said something after a third   {len(errors)} of {count}")
    print(f"error of the remaining time              median {errors[len(errors) // 2]:.0%} (bar: {BAR:.0%})")
    print(f"                                         nine of ten within {errors[len(errors) * 9 // 10]:.0%}")


if __name__ == "__main__":
    main()
