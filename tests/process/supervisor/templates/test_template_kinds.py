"""Real workers with tiny models, forked by a template that has loaded everything: they make the same bytes as started ones."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from supervised import SupervisedWorkers

from daemon.contract.messages import JobCommand, Limits, Warm
from daemon.contract.spec import JobSpec
from daemon.platform import sandbox
from daemon.supervisor import Completed, worker_argv
from daemon.supervisor.starting.templates import KINDS
from tests import diffusion_models
from tests.acceptance.home import picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are templates only on Linux")
DEPTH = "depth-anything-v2-small"
JOBS: dict[str, tuple[Warm, JobSpec]] = {
    "cues": ("light", JobSpec(depth="cues", num_layers=3)),
    "model": ("depth", JobSpec(depth="model", num_layers=3)),
    "painting": ("painting", JobSpec(mode="painterly", style="charcoal", num_layers=3, depth="cues", formats=())),
}


class Studio:
    """An outbox and installed models. Runs jobs, and returns what they made."""

    def __init__(self, folder: Path, tiny_depth: dict[str, bytes], tiny_diffusion: Path) -> None:
        self.outbox, self.models = folder / "outbox", folder / "models"
        self.photo = self.outbox / "job" / "source" / "photo.png"
        self.photo.parent.mkdir(parents=True)
        self.photo.write_bytes(picture(128, 96))
        (self.models / DEPTH).mkdir(parents=True)
        for name, data in tiny_depth.items():
            (self.models / DEPTH / name).write_bytes(data)
        vae = diffusion_models.save_tiny_autoencoder(folder / "vae")
        diffusion_models.install(self.models, pipeline=tiny_diffusion, vae=vae)
        self.listed = diffusion_models.list_for(self.models, DEPTH)

    def supervised(self, *, forked: bool) -> SupervisedWorkers:
        policy = sandbox.policy(*map(os.fsencode, (self.outbox, self.models, self.listed)))
        workers = SupervisedWorkers(self.outbox, worker_argv(), policy=policy, forked=False, threads=2)
        workers.forked = forked
        return workers

    def make(self, workers: SupervisedWorkers, job: str) -> dict[str, bytes]:
        """Run a job; returns the files of its result."""
        photo = self.photo
        warm, spec = JOBS[job]
        attempt = self.outbox / "attempt"
        workers.ends.clear()
        workers.start(
            job=JobCommand(
                job_id="job", attempt=str(attempt), source=str(photo.parent), image=photo.name,
                image_bytes=photo.stat().st_size, image_mtime_ns=photo.stat().st_mtime_ns, spec=spec,
                limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20), models=str(self.models),
                model_lists=(str(self.listed),), device="cpu", threads=2, warm=warm,
            )
        )  # fmt: skip
        workers.loop(lambda: workers.ends, 120)
        ((_job, outcome),) = workers.ends
        assert isinstance(outcome, Completed), outcome
        made = {path.name: path.read_bytes() for path in (attempt / "result").rglob("*") if path.is_file()}
        shutil.rmtree(attempt)
        return made


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_depth: dict[str, bytes], tiny_diffusion: Path) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"), tiny_depth, tiny_diffusion)


@pytest.fixture(scope="module")
def forking(studio: Studio) -> Iterator[SupervisedWorkers]:
    """Workers that are forked by a template which has loaded everything."""
    workers = studio.supervised(forked=True)
    workers.supervisor.templates._possible = True
    workers.load_template("painting")
    yield workers
    workers.drop_templates()


@pytest.fixture(autouse=True)
def no_process_is_left(forking: SupervisedWorkers) -> Iterator[None]:
    """After a test, none of its processes is left but the template, which serves all of them."""
    before = set(psutil.Process().children())
    yield
    assert forking.supervisor.templates.pids()["painting"] in {child.pid for child in before}
    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize("job", JOBS)
def test_a_forked_worker_makes_the_same_bytes_as_a_started_one_and_as_the_one_before_it(studio, forking, job):
    before = sum(map(forking.supervisor.templates.forks, KINDS))
    first = studio.make(forking, job)
    second = studio.make(forking, job)
    assert sum(map(forking.supervisor.templates.forks, KINDS)) == before + 2
    assert "layer_manifest.json" in first
    assert second == first
    if job != "painting":  # one start with all libraries is enough: they are the same code
        assert studio.make(studio.supervised(forked=False), job) == first
