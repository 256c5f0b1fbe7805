"""Twenty small photos through the daemon, against one cold worker process for each of the same photos, one after the other.

Both run the same pipeline on the same pictures, with the depth given. Twice the throughput is the ceiling on two cores: while
one photo is worked on, the worker of the next one loads its libraries. Both cores are busy then, and whatever else the machine
does shows: hence three rounds, by turns, and the median of their ratios.

Run: python -m tests.benchmarks.bench_throughput [PHOTOS]
"""

import io
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from tests.acceptance.home import HotFolder, picture, until
from tests.benchmarks.bench_supervisor import cold_job

#: 0.3 megapixels.
WIDTH, HEIGHT = 640, 480
BAR = 1.6
ROUNDS = 3


def depth_picture() -> bytes:
    """A floor that comes nearer and a disc that stands on it, 16-bit."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth = y / HEIGHT * 0.7
    depth[(x - WIDTH / 2) ** 2 + (y - HEIGHT * 0.6) ** 2 < (HEIGHT / 4) ** 2] = 0.9
    out = io.BytesIO()
    Image.fromarray((depth * 65535).astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def through_the_daemon(folder: Path, photos: dict[str, bytes]) -> float:
    """Seconds from the first start to the last end, as the status files say: the settling of the drops is not work."""
    home = HotFolder(folder / "home")
    home.settings["MULTIPLANE_INTAKE__SETTLE_SECONDS"] = "3"  # all twenty are there before the first begins
    home.start()
    try:
        depth = depth_picture()
        for name, data in photos.items():
            home.put(name.replace(".jpg", ".depth.png"), depth)
            home.drop(name, data, "depth: file\n")
        # Looked at seldom: each look takes its time from the daemon, which has both cores at work.
        until(lambda: len([each for each in home.statuses() if each["completed_at"]]) == len(photos), 300, pause=1.0)
        statuses = home.statuses()
        assert all(each["state"] == "completed" for each in statuses), [each["error"] for each in statuses]
        times = {key: [datetime.fromisoformat(each[key]) for each in statuses] for key in ("started_at", "completed_at")}
        working = statistics.median(each["processing_seconds"] for each in statuses)
        print(f"working on a photo      {working:18.3f} s of it by the worker (median)")
        return (max(times["completed_at"]) - min(times["started_at"])).total_seconds()
    finally:
        home.stop()


def one_cold_process_each(folder: Path, photos: dict[str, bytes]) -> float:
    """Seconds for all, one after the other."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "depth.png").write_bytes(depth_picture())
    for name, data in photos.items():
        (source / name).write_bytes(data)
    start = time.perf_counter()
    for name in photos:
        run_cold(folder / f"attempt-{name}", source, name)
    return time.perf_counter() - start


def run_cold(attempt: Path, source: Path, name: str) -> None:
    """One photo in a process of its own, as `python -m pipeline worker` does it by itself."""
    found = (source / name).stat()
    command = JobCommand(
        job_id="cold",
        attempt=str(attempt),
        source=str(source),
        image=name,
        image_bytes=found.st_size,
        image_mtime_ns=found.st_mtime_ns,
        depth_picture="depth.png",
        spec=JobSpec(depth="file"),
        limits=Limits(max_bytes=1 << 30, max_pixels=1 << 28),
        models=str(attempt),
        threads=os.cpu_count() or 1,
    )
    cold_job(command)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 20
    photos = {f"photo-{number}.jpg": picture(WIDTH, HEIGHT, seed=number, form="JPEG") for number in range(count)}
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        one_cold_process_each(Path(folder) / "warm-up", dict([next(iter(photos.items()))]))
        for number in range(ROUNDS):
            here = Path(folder) / str(number)
            cold, daemon = one_cold_process_each(here / "cold", photos), through_the_daemon(here, photos)
            print(f"one cold process each   {cold:7.2f} s   {cold / count:6.3f} s a photo")
            print(f"through the daemon      {daemon:7.2f} s   {daemon / count:6.3f} s a photo   {cold / daemon:5.2f} times")
            ratios.append(cold / daemon)
    print(f"throughput              {statistics.median(ratios):7.2f} times, the median (bar: {BAR})")


if __name__ == "__main__":
    main()
