"""A batch of twenty photos on three machines gives the bytes of one machine, and each job runs once, where it can.

Eighteen photos have their depth beside them. Two have none, and only one of the machines has a model for it. Takes minutes, so it
runs with `make soak`.
"""

import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from tests.acceptance.home import ENDED, HotFolder, until
from tests.benchmarks.daemon.bench_throughput import depth_picture
from tests.process.cluster.clustered import Cluster

pytestmark = [
    pytest.mark.skipif(not os.environ.get("SOAK_TESTS"), reason="takes minutes; runs with `make soak`"),
    pytest.mark.timeout(1800),
]
#: Without depth beside them.
WITHOUT = ("astronaut-0.jpg", "coffee-3.jpg")
MODEL = "depth-anything-v2-small"


def photos() -> dict[str, bytes]:
    """Five crops of 320 × 240 pixels from each of four photos."""
    found = {}
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        whole = Image.fromarray(getattr(skimage.data, name)())
        for number in range(5):
            out = io.BytesIO()
            left, top = number * (whole.width - 320) // 4, number * (whole.height - 240) // 4
            whole.crop((left, top, left + 320, top + 240)).save(out, "JPEG", quality=92)
            found[f"{name}-{number}.jpg"] = out.getvalue()
    return found


def install(home: Path, files: dict[str, bytes]) -> Path:
    """Install the model in a home; returns the list of models that knows it."""
    from tests import diffusion_models

    models = home / ".state" / "models"
    (models / MODEL).mkdir(parents=True)
    for name, data in files.items():
        (models / MODEL / name).write_bytes(data)
    return diffusion_models.list_for(models, MODEL)


def run_batch(home: HotFolder) -> dict[str, dict]:
    """Drop the batch, and wait for its jobs; returns them by picture."""
    folder = home.inbox / ".holiday.part"
    folder.mkdir()
    for name, data in photos().items():
        (folder / name).write_bytes(data)
        if name not in WITHOUT:
            (folder / name.replace(".jpg", ".depth.png")).write_bytes(depth_picture())
    (folder / "job.yaml").write_text("depth: auto\nformats: [psd]\n")
    folder.rename(home.inbox / "holiday")
    ended = until(lambda: len(found := [each for each in home.statuses() if each["state"] in ENDED]) == 20 and found, 300)
    return {status["source"]["image"]: status for status in ended}


def test_twenty_photos_on_three_machines_are_those_of_one(tmp_path, tiny_depth) -> None:
    alone = HotFolder(tmp_path / "alone")
    listed = str(install(alone.home, tiny_depth))
    alone.settings["MULTIPLANE_FOLDERS__CATALOGUE"] = listed
    alone.start()
    expected = run_batch(alone)
    alone.stop()
    cluster = Cluster(tmp_path / "studio", MULTIPLANE_FOLDERS__CATALOGUE=listed)
    home = cluster.configure(HotFolder(tmp_path / "home"))
    install(cluster.folder / "gamma", tiny_depth)
    try:
        cluster.start_scheduler()
        for name in ("alpha", "beta", "gamma"):
            cluster.start_worker(name)
        home.start()
        cluster.wait_for("alpha", "beta", "gamma")
        found = run_batch(home)
    finally:
        if home.process is not None:
            home.stop()
        cluster.stop()
    assert found.keys() == expected.keys() == photos().keys()
    for name, status in found.items():
        assert (status["state"], status["error"], status["attempts"]) == ("completed", None, 1)
        told = {output["path"]: output["sha256"] for output in status["outputs"] if output["kind"] != "manifest"}
        assert told == {output["path"]: output["sha256"] for output in expected[name]["outputs"] if output["kind"] != "manifest"}
    machines = Counter(status["machine"] for status in found.values())
    print(f"\n{dict(machines)}")
    assert machines.keys() == {"alpha", "beta", "gamma"}
    assert {found[name]["machine"] for name in WITHOUT} == {"gamma"}
    records = [
        json.loads(line) for path in (home.home / ".state/journal").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    for event in ("started", "publishing", "ended"):
        counted = Counter(record["job"] for record in records if record["event"] == event)
        assert counted == Counter({status["job_id"]: 1 for status in found.values()}), event
