"""Small photos through the daemon, against one cold worker process for each of the same photos, one after the other.

Both run the same pipeline on the same pictures. The cold process loads its libraries each time. The daemon's workers are forked
by a template that has loaded them (Linux), and the next one warms up while one photo is worked on. Both cores are busy then, and
whatever else the machine does shows: hence several rounds, by turns, and the median of their ratios.

Then the same with a model that estimates the depth; the network itself is loaded by each job. It is Depth Anything V2 Small with
random weights, as large and as slow as the real one. Memory is what the templates hold when all is done: `own` is what nobody
else holds, and would be free without them.

Run: python -m tests.benchmarks.daemon.bench_throughput [PHOTOS]
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
import psutil
from PIL import Image

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from tests.acceptance.home import HotFolder, picture, until
from tests.benchmarks.daemon.bench_supervisor import cold_job
from tests.benchmarks.depth import bench_depth

#: 0.3 megapixels.
WIDTH, HEIGHT = 640, 480
#: How many times the throughput of cold processes: with depth given, and with a model.
BARS = {True: 2.5, False: 3.0}
MODEL = "depth-anything-v2-small"


def depth_picture() -> bytes:
    """A floor that comes nearer and a disc that stands on it, 16-bit."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth = y / HEIGHT * 0.7
    depth[(x - WIDTH / 2) ** 2 + (y - HEIGHT * 0.6) ** 2 < (HEIGHT / 4) ** 2] = 0.9
    out = io.BytesIO()
    Image.fromarray((depth * 65535).astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def install_model(models: Path) -> Path:
    """Put the network where a fetch would have put it; returns a list of models that knows it."""
    from tests import diffusion_models

    models.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=models) as place:
        bench_depth.build(Path(place))
        (Path(place) / bench_depth.NAME).rename(models / MODEL)
    return diffusion_models.list_for(models, MODEL)


def through_the_daemon(folder: Path, photos: dict[str, bytes], depth: bytes | None, listed: Path | None) -> float:
    """Seconds from the first start to the last end, as the status files say: the settling of the drops is not work."""
    home = HotFolder(folder)
    home.settings["MULTIPLANE_INTAKE__SETTLE_SECONDS"] = "3"  # all are there before the first begins
    if listed:
        home.settings["MULTIPLANE_FOLDERS__CATALOGUE"] = str(listed)
    home.start()
    try:
        for name, data in photos.items():
            if depth:
                home.put(name.replace(".jpg", ".depth.png"), depth)
            home.drop(name, data, f"depth: {'file' if depth else 'model'}\n")
        # Looked at seldom: each look takes its time from the daemon, which has both cores at work.
        until(lambda: len([each for each in home.statuses() if each["completed_at"]]) == len(photos), 600, pause=1.0)
        statuses = home.statuses()
        assert all(each["state"] == "completed" for each in statuses), [each["error"] for each in statuses]
        times = {key: [datetime.fromisoformat(each[key]) for each in statuses] for key in ("started_at", "completed_at")}
        for template in templates(home):
            print(template, flush=True)
        return (max(times["completed_at"]) - min(times["started_at"])).total_seconds()
    finally:
        home.stop()


def templates(home: HotFolder) -> list[str]:
    """A line about each template of a running daemon: its kind and its memory."""
    found = []
    for child in psutil.Process(home.process.pid).children():
        arguments = child.cmdline()
        # A worker that was forked has the command line of its template, but its own working directory.
        if "--template-fd" in arguments and child.cwd() == "/":
            memory, kind = child.memory_full_info(), arguments[arguments.index("--warm") + 1]
            found.append(
                f"  template for {kind}: resident {memory.rss >> 20} MiB, own {memory.uss >> 20}, its share {memory.pss >> 20}"
            )
    return found


def one_cold_process_each(
    folder: Path, photos: dict[str, bytes], depth: bytes | None, models: Path, listed: Path | None
) -> float:
    """Seconds for all, one after the other."""
    source = folder / "source"
    source.mkdir(parents=True)
    if depth:
        (source / "depth.png").write_bytes(depth)
    for name, data in photos.items():
        (source / name).write_bytes(data)
    start = time.perf_counter()
    for name in photos:
        found = (source / name).stat()
        cold_job(
            JobCommand(
                job_id="cold",
                attempt=str(folder / f"attempt-{name}"),
                source=str(source),
                image=name,
                image_bytes=found.st_size,
                image_mtime_ns=found.st_mtime_ns,
                depth_picture="depth.png" if depth else None,
                spec=JobSpec(depth="file" if depth else "model"),
                limits=Limits(max_bytes=1 << 30, max_pixels=1 << 28),
                models=str(models),
                model_lists=(str(listed),) if listed else (),
                threads=os.cpu_count() or 1,
                warm="light" if depth else "depth",
            )
        )
    return time.perf_counter() - start


def compare(what: str, count: int, rounds: int, depth: bytes | None) -> None:
    """Print the rounds, and the median of their ratios."""
    photos = {f"photo-{number}.jpg": picture(WIDTH, HEIGHT, seed=number, form="JPEG") for number in range(count)}
    ratios = []
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        for number in range(rounds):
            folder = Path(place) / str(number)
            models = folder / "home" / ".state" / "models"
            listed = install_model(models) if depth is None else None
            one_cold_process_each(folder / "warm-up", dict(list(photos.items())[:1]), depth, models, listed)
            cold = one_cold_process_each(folder / "cold", photos, depth, models, listed)
            daemon = through_the_daemon(folder / "home", photos, depth, listed)
            ratios.append(cold / daemon)
            print(
                f"{what:22} {count:3} photos: a cold process {cold / count:6.3f} s, "
                f"the daemon {daemon / count:6.3f} s a photo, {ratios[-1]:5.2f} times",
                flush=True,
            )
    median = statistics.median(ratios)
    bar = BARS[depth is not None]
    print(f"{what:22} throughput {median:5.2f} times (bar {bar}: {'ok' if median >= bar else 'MISS'})", flush=True)


def main() -> None:
    """Print both tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 20
    compare("depth given", count, 5, depth_picture())
    compare("a model of full size", count, 1, None)


if __name__ == "__main__":
    main()
