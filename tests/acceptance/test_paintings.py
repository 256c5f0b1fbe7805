"""Painting by diffusion, from a sidecar in the inbox to layers in the outbox: the real daemon and worker, a tiny model."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.contract.messages import JobCommand, Limits
from daemon.contract.requests import Request
from daemon.contract.spec import JobSpec
from pipeline.run import _BEGINNINGS_DIFFUSED
from tests import diffusion_models
from tests.acceptance.home import ENDED, HotFolder, composited, picture, until
from tests.waiting import SLOWEST

# A worker's imports for diffusion take more of this module's time than all it paints: one job is cancelled, and one painting is
# looked at by every other test.

STYLE, STEPS = "charcoal", 22
SPEC = f"mode: painterly\nstyle: {STYLE}\nseed: 5\nstrength: 0.5\nnum_layers: 4\nformats: []\nid: painting\n"
#: Where loading and the last step end within the painting, as `pipeline.painterly.diffusion` reports it.
LOADED, STEPPED = 0.1, 0.93


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_diffusion: Path) -> Iterator[HotFolder]:
    """A running home with a tiny Stable Diffusion and a tiny autoencoder, installed as a fetch leaves them."""
    root = tmp_path_factory.mktemp("studio")
    made = HotFolder(root / "home")
    made.settings |= {"MULTIPLANE_WORKER__THREADS": "1", "MULTIPLANE_WORKER__DEVICE": "cpu", "MULTIPLANE_WORKER__SPARE": "false"}
    vae = diffusion_models.save_tiny_autoencoder(root / "vae")
    listed = diffusion_models.install(made.home / ".state" / "models", pipeline=tiny_diffusion, vae=vae)
    made.settings["MULTIPLANE_FOLDERS__CATALOGUE"] = str(listed)
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def ask(studio: HotFolder, request: Request) -> None:
    """Send a request as the command line does, but faster: a tiny model is done before another program has started."""
    folder = studio.home / ".state" / "requests"
    folder.mkdir(exist_ok=True)
    (folder / "mine.part").write_text(request.model_dump_json())
    (folder / "mine.part").rename(folder / f"{time.time_ns()}-{request.verb}.json")


def status(studio: HotFolder, of: str = "painting") -> dict:
    return next((found for found in studio.statuses() if found["job_id"] == of), {"state": None, "progress": None})


def watched(
    studio: HotFolder, until_state: tuple[str, ...], of: str = "painting", seconds: float = 90.0
) -> list[tuple[str, float]]:
    """The progress in status.json until the job reaches this state, or ended if none is given."""
    seen: list[tuple[str, float]] = []
    deadline = time.monotonic() + seconds * SLOWEST
    while time.monotonic() < deadline:
        now = status(studio, of)
        if now["state"] in until_state:
            return seen
        if now["progress"] and (told := (now["progress"]["stage"], now["progress"]["fraction"])) not in seen:
            seen.append(told)
            if not until_state and told[0] == "paint" and within(told[1]) > LOADED:
                return seen
        time.sleep(0.02)
    raise AssertionError(f"it did not happen within {seconds} s; seen: {seen}")


def within(fraction: float) -> float:
    """The fraction of the painting that is done, from that of the whole job."""
    begin, end = _BEGINNINGS_DIFFUSED["paint"], _BEGINNINGS_DIFFUSED["depth"]
    return (fraction - begin) / (end - begin)


def test_a_painting_is_cancelled_between_steps(studio: HotFolder) -> None:
    studio.drop("second.png", picture(128, 96), SPEC.replace("id: painting", "id: second"))
    watched(studio, (), of="second")
    ask(studio, Request(verb="cancel", jobs=("second",)))
    until(lambda: status(studio, "second")["state"] in ENDED)
    cancelled = status(studio, "second")
    assert (cancelled["state"], cancelled["error"]["code"]) == ("cancelled", "cancelled")
    assert not (studio.outbox / "second" / "result").exists()
    log = (studio.outbox / "second" / "job.log").read_text()
    assert "in _run\n" in log, f"it was stopped elsewhere than in the model's steps:\n{log}"


def test_a_painting_tells_its_steps_and_is_done_whole(studio: HotFolder) -> None:
    studio.drop("photo.png", picture(128, 96), SPEC)
    seen = watched(studio, ("completed", "failed"))
    done = status(studio)
    assert done["state"] == "completed", done["error"]
    shares = [within(fraction) for stage, fraction in seen if stage == "paint"]
    steps = [(share - LOADED) / (STEPPED - LOADED) * STEPS for share in shares if LOADED < share <= STEPPED]
    assert steps == sorted(steps)
    # status.json changes at most twice a second: a fast machine paints between two looks at it.
    assert steps or done["timings"]["paint"] < 1.5, done["timings"]
    assert np.allclose(steps, np.rint(steps), atol=0.01), f"progress is not told step by step: {steps}"
    assert done["warnings"], "the depth was estimated without a model, and nothing says so"
    assert "torchvision" not in (studio.outbox / "painting" / "job.log").read_text()


def test_its_layers_give_back_the_painting_that_seed_and_weights_make(studio: HotFolder) -> None:
    """Another process repeats the painting here; the bytes are equal."""
    from pipeline.painterly import diffusion, styles

    result = studio.outbox / "painting" / "result"
    manifest = json.loads((result / "layer_manifest.json").read_text())
    made = manifest["painterly"]
    assert (made["engine"], made["style"], made["seed"], made["steps"]) == ("diffusion", STYLE, 5, STEPS)
    assert made["model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5 + madebyollin/taesd"
    assert manifest["versions"].keys() >= {"torch", "diffusers", "transformers"}
    photo = cv2.cvtColor(cv2.imread(str(studio.outbox / "painting" / "source" / "photo.png")), cv2.COLOR_BGR2RGB)
    job = JobCommand(
        job_id="x", attempt="/none", source="/none", image="a.png", image_bytes=1, image_mtime_ns=1,
        spec=JobSpec(mode="painterly", style=STYLE, seed=5), limits=Limits(max_bytes=1 << 20, max_pixels=1 << 20),
        models=str(studio.home / ".state" / "models"), device="cpu", threads=1,
        model_lists=(studio.settings["MULTIPLANE_FOLDERS__CATALOGUE"],),
    )  # fmt: skip
    painting = diffusion.paint(photo, styles.styles()[STYLE], job).rgb
    seen = composited(result)
    assert (seen[..., 3] == 255).all()
    assert np.abs(seen[..., :3].astype(int) - painting).max() <= 1
    assert np.abs(painting.astype(int) - photo).mean() > 5
