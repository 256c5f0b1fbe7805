"""Small photos whose depth a model of full size estimates: through the daemon, against one cold worker process for each.

Both run the same pipeline on the same photos, one after the other. The daemon's spare loads PyTorch and transformers while the
photo before is worked on; the network itself is loaded by each job. It is Depth Anything V2 Small with random weights, as large
and as slow as the real one.

Run: python -m tests.benchmarks.bench_warm [PHOTOS]
"""

import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.spec import JobSpec
from tests.acceptance.home import HotFolder, picture, until
from tests.benchmarks import bench_depth
from tests.benchmarks.bench_supervisor import cold_job

#: 0.3 megapixels.
WIDTH, HEIGHT = 640, 480
NAME = "depth-anything-v2-small"


def install(models: Path) -> None:
    """Put the network where a fetch would have put it."""
    from pipeline import weights
    from pipeline.weights.catalogue import entry_of

    with tempfile.TemporaryDirectory(dir=models) as place:
        bench_depth.build(Path(place))
        (Path(place) / bench_depth.NAME).rename(models / NAME)
    weights.record(NAME, str(models / NAME), entry_of(NAME), "random")


def through_the_daemon(home: HotFolder, photos: dict[str, bytes]) -> float:
    """Seconds from the first start to the last end, as the status files say: the settling of the drops is not work."""
    home.settings["MULTIPLANE_INTAKE__SETTLE_SECONDS"] = "3"  # all are there before the first begins
    home.start()
    try:
        for name, data in photos.items():
            home.drop(name, data, "depth: model\n")
        until(lambda: len([each for each in home.statuses() if each["completed_at"]]) == len(photos), 600)
        statuses = home.statuses()
        assert all(each["state"] == "completed" for each in statuses), [each["error"] for each in statuses]
        times = {key: [datetime.fromisoformat(each[key]) for each in statuses] for key in ("started_at", "completed_at")}
        return (max(times["completed_at"]) - min(times["started_at"])).total_seconds()
    finally:
        home.stop()


def one_cold_process_each(folder: Path, models: Path, photos: dict[str, bytes]) -> float:
    """Seconds for all, one after the other."""
    source = folder / "source"
    source.mkdir(parents=True)
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
                spec=JobSpec(depth="model"),
                limits=Limits(max_bytes=1 << 30, max_pixels=1 << 28),
                models=str(models),
                threads=os.cpu_count() or 1,
            )
        )
    return time.perf_counter() - start


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 5
    photos = {f"photo-{number}.jpg": picture(WIDTH, HEIGHT, seed=number, form="JPEG") for number in range(count)}
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as folder:
        home = HotFolder(Path(folder) / "home")
        models = home.home / ".state" / "models"
        models.mkdir(parents=True)
        install(models)
        cold = one_cold_process_each(Path(folder) / "cold", models, photos)
        daemon = through_the_daemon(home, photos)
    print(f"one cold process each   {cold:7.2f} s   {cold / count:6.3f} s a photo")
    print(f"through the daemon      {daemon:7.2f} s   {daemon / count:6.3f} s a photo")
    print(f"throughput              {cold / daemon:7.2f} times")


if __name__ == "__main__":
    main()
