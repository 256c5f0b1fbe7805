"""A whole job in a real daemon, from accepted to completed, with everything that is made by default: against the floor.

The floor is what cannot be saved: decode the photo, encode the same PNG files one after the other, decode them back. Each round
runs every job and its floor one after the other, so that whatever else the machine does meets both; the medians of the ratios
count. The photo is `bench_pictures`', its depth what the phone stored, then a ramp and a disc, then smooth noise with 40, 150 and
518 random cells on the longer side, whose borders are long.

A table of stages follows: wall and processor time, system time, page faults and memory of a warm process that does one job.

Run: python -m tests.benchmarks.pictures.bench_job [ROUNDS]
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.supervisor.environment import worker_environment
from pipeline.image import decode, png
from tests.acceptance.home import ENDED, HotFolder, until
from tests.benchmarks.pictures.bench_pictures import make_photos

LIMITS = Limits(max_bytes=500_000_000, max_pixels=100_000_000)
ROUNDS, CELLS = 5, (40, 150, 518)
FLOOR_BAR, CELLS_BAR, LARGE_BAR, MEMORY_BAR = 1.4, 3.5, 4.2, 1e9
_DEPTH_SHAPE = (1512, 2016)


def make_depths(folder: Path) -> list[str]:
    """`ramp` and one for each of CELLS, beside the photos' own; returns their names."""
    height, width = _DEPTH_SHAPE
    y, x = np.mgrid[0:height, 0:width]
    ramp = y / height * 0.7
    ramp[(x - width / 2) ** 2 + (y - height * 0.6) ** 2 < (height / 4) ** 2] = 0.9
    depths = {"ramp": ramp}
    for count in CELLS:
        cells = np.random.default_rng(count).random((round(count * 0.75), count), np.float32)
        depths[f"{count} cells"] = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    for name, depth in depths.items():
        samples = (np.rint(np.clip(depth, 0.0, 1.0) * 65534) + 1).astype(np.uint16)
        Image.fromarray(samples).save(folder / f"{name}.depth.png")
    return list(depths)


def through_the_daemon(home: HotFolder, photo: Path, depth: Path) -> tuple[float, dict[str, Any]]:
    """Seconds from accepted to completed, and the job's status."""
    name = f"{time.monotonic_ns()}.jpg"
    home.put(name.replace(".jpg", ".depth.png"), depth.read_bytes())
    home.drop(name, photo.read_bytes(), "depth: file\n")
    until(lambda: [each for each in home.of(name) if each["state"] in ENDED], 600, pause=0.3)
    [status] = home.of(name)
    assert status["state"] == "completed", status["error"]
    accepted, completed = (datetime.fromisoformat(status[key]) for key in ("created_at", "completed_at"))
    return (completed - accepted).total_seconds(), status


def floor(photo: Path, result: Path, place: Path) -> tuple[float, float]:
    """Decode the photo, encode the PNG files of its result one after the other, and decode them back.

    Returns:
        Seconds, and seconds of processor time. Reading the files of the result before that does not count.
    """
    pictures = []
    for path in sorted(result.glob("*.png")):
        with Image.open(path) as image:
            samples = np.asarray(image)
        pictures.append(samples.astype(np.uint16) if samples.ndim == 2 else samples)
    begun, used = time.perf_counter(), time.process_time()
    icc = decode.read(os.fsencode(photo), limits=LIMITS).icc
    for number, picture in enumerate(pictures):
        if picture.ndim == 2:
            data = png.encode_grey16(picture)
        else:
            data = (png.encode_rgb if picture.shape[2] == 3 else png.encode_rgba)(picture, icc)
        path = place / f"floor_{number}.png"
        path.write_bytes(data)
        with Image.open(path) as image:
            image.load()
    return time.perf_counter() - begun, time.process_time() - used


def _used() -> tuple[float, float, float, int]:
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), mine.ru_utime + mine.ru_stime, mine.ru_stime, mine.ru_minflt


def _memory(field: str) -> int:
    """Bytes, as /proc/self/status says: VmRSS is what is held now, VmHWM the most that was held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def one_job(photo: Path, depth: Path, attempt: Path) -> None:
    """Do one job in this process, as a worker does after its warm-up, and print what each stage used, as JSON."""
    from pipeline.worker import preload
    from pipeline.worker.warm_up import warm_up

    preload.load("light")
    from pipeline.run import run

    warm_up(lambda: False)
    source = attempt / "source"
    source.mkdir(parents=True)
    for path in (photo, depth):
        shutil.copy(path, source)
    found = (source / photo.name).stat()
    command = JobCommand(
        job_id="bench", attempt=str(attempt), source=str(source), image=photo.name, image_bytes=found.st_size,
        image_mtime_ns=found.st_mtime_ns, depth_picture=depth.name, spec=JobSpec(depth="file"), limits=LIMITS,
        models=str(attempt), threads=2,
    )  # fmt: skip
    marks: list[tuple[str, tuple[float, ...]]] = []

    def report(stage: str, _share: float) -> None:
        if not marks or marks[-1][0] != stage:
            marks.append((stage, _used()))

    cv2.setNumThreads(command.threads)
    before = _memory("VmRSS")
    run(command, report)
    marks.append(("end", _used()))
    rows = [
        [stage, *(then - now for now, then in zip(used, after, strict=True))] for (stage, used), (_, after) in pairwise(marks)
    ]
    peak = _memory("VmHWM") - before
    _, least = floor(photo, attempt / "result", attempt)
    print(json.dumps({"rows": rows, "peak": peak, "floor": least}))


def stages(photo: Path, depth: Path) -> dict[str, Any]:
    """What `one_job` prints in a process of its own, with a worker's environment."""
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        environment = worker_environment(os.environ, tmp=os.fsencode(place), threads=2)
        argv = [sys.executable, "-m", "tests.benchmarks.pictures.bench_job", "--one", photo, depth, Path(place) / "attempt"]
        done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print_stages(photo: Path, depths: list[Path]) -> list[str]:
    missed = []
    print(f"\n{'stage':20} {'wall':>7} {'cpu':>7} {'system':>7} {'faults':>8}")
    for depth in depths:
        found = stages(photo, depth)
        totals = [sum(column) for column in zip(*(row[1:] for row in found["rows"]), strict=True)]
        for name, *used in (*found["rows"], [f"{photo.stem}, {depth.name.split('.')[0]}", *totals]):
            print(f"{name:20} {used[0]:7.2f} {used[1]:7.2f} {used[2]:7.2f} {used[3]:8.0f}")
        print(
            f"{'':20} {totals[1] / totals[0]:.2f} of 2 cores busy; {found['peak'] / 1e9:.2f} GB above the baseline; "
            f"the floor uses {found['floor']:.2f} s of processor time\n",
            flush=True,
        )
        if photo.stem == "12" and found["peak"] > MEMORY_BAR:
            missed.append(f"{depth.stem}: {found['peak'] / 1e9:.2f} GB of memory")
    return missed


def _compare(place: Path, rounds: int) -> None:
    folder = place / "photos"
    folder.mkdir()
    make_photos(folder)
    names = ["12", *make_depths(folder)]
    photo, large = folder / "12.jpg", folder / "48.jpg"
    times: dict[str, list[float]] = {name: [] for name in (*names, "48")}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    home = HotFolder(place / "home")
    home.start()
    try:
        for _ in range(rounds):
            for name in names:
                took, status = through_the_daemon(home, photo, folder / f"{name}.depth.png")
                least, _ = floor(photo, home.job(status) / "result", place)
                times[name].append(took)
                ratios[name].append(took / least)
                shutil.rmtree(home.job(status) / "result")
            times["48"].append(through_the_daemon(home, large, folder / "48.depth.png")[0])
    finally:
        home.stop()
    missed = []
    for name, found in ratios.items():
        bar = CELLS_BAR if "cells" in name else FLOOR_BAR
        median = statistics.median(found)
        print(
            f"job: 12 MP, {name:10} {statistics.median(times[name]):6.2f} s, {median:5.2f} times the floor "
            f"(from {min(found):.2f} to {max(found):.2f}; bar {bar})"
        )
        if median > bar:
            missed.append(f"{name}: {median:.2f} times the floor, the bar is {bar}")
    share = statistics.median(b / a for a, b in zip(times["12"], times["48"], strict=True))
    print(f"job: 48 MP {statistics.median(times['48']):.2f} s, {share:.2f} times as long as 12 MP (bar {LARGE_BAR})", flush=True)
    if share > LARGE_BAR:
        missed.append(f"48 MP: {share:.2f} times as long as 12 MP, the bar is {LARGE_BAR}")
    missed += _print_stages(photo, [folder / f"{name}.depth.png" for name in names])
    missed += _print_stages(large, [folder / "48.depth.png"])
    if missed:
        raise SystemExit("job: " + "; ".join(missed))


def main() -> None:
    """Print both tables; fail below a bar."""
    if "--one" in sys.argv:
        one_job(*(Path(each) for each in sys.argv[-3:]))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else ROUNDS
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        _compare(Path(place), rounds)


if __name__ == "__main__":
    main()
