"""A job uses what was fetched, and never opens a connection: with the real command line, hub client and worker."""

import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from hub import Hub
from PIL import Image

from daemon.contract.commands import unmarked
from daemon.contract.messages import EVENT, JobCommand, Limits
from daemon.contract.spec import JobSpec
from daemon.supervisor.environment import worker_environment
from pipeline import weights
from pipeline.depth import model
from tests import diffusion_models, matting_models

#: Who imports torch, imports it once: such tests run in one process.
NAME = "depth-anything-v2-small"
TINY_BYTES = 215_200  # of `tiny_depth`
#: Imported by Python itself at its start: notes every connection and every look-up of a host that anything tries.
TRAP = """
import os, sys
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["TRAP"], "a") as file:
            print(event, arguments[-1] if event == "socket.connect" else arguments[:1], file=file)
sys.addaudithook(note)
"""


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[0:96, 0:128]
    pixels = np.stack([x * 2, y * 2, (x // 16 + y // 16) % 2 * 200], axis=-1).astype(np.uint8)
    (tmp_path / "source").mkdir()
    Image.fromarray(pixels).save(tmp_path / "source" / "photo.png")
    return pixels


def listed(tmp_path, **change):
    """A list with one model; returns the path of the list."""
    entry = {
        "use": "depth", "repo": "some/model", "revision": "main", "licence": "MIT", "commercial": True, "bytes": TINY_BYTES,
        "files": ["config.json", "preprocessor_config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
    }  # fmt: skip
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": NAME, "models": {NAME: entry | change}}))
    return str(path)


def command_line(tmp_path, hub, *arguments, catalogue=None):
    """Run `multiplane …` as a person does, with the hub that the environment names."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "MULTIPLANE_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.address,
        "MULTIPLANE_FOLDERS__MODELS": ".state/models",
    }  # fmt: skip
    if catalogue:
        environment["MULTIPLANE_FOLDERS__CATALOGUE"] = catalogue
    (tmp_path / "home").mkdir(exist_ok=True)
    program = [sys.executable, "-P", "-c", "from daemon.cli import main; main()", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)


def test_fetched_weights_are_loaded_and_give_depth(tmp_path, tiny_depth, photo):
    catalogue = listed(tmp_path)
    with Hub({"some/model": tiny_depth}) as hub:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pipeline", "models", "fetch", NAME, f"--folder={tmp_path}", f"--catalogue={catalogue}"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.address},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = weights.locate(NAME, str(tmp_path), weights.catalogue(catalogue))
        reading = model.read(photo, found, device="cpu")
    assert reading.provenance.revision == hub.commit
    assert float(reading.values.max()) > float(reading.values.min())


def test_a_mirror_that_gives_other_weights_than_the_shipped_list_knows_is_refused(tmp_path, tiny_depth):
    pinned = weights.catalogue().models[NAME]
    with Hub({pinned.repo: tiny_depth}, commit=pinned.revision) as hub:
        done = command_line(tmp_path, hub, "models", "fetch", NAME)
    assert done.returncode == 33, done.stderr
    assert "has a config.json of" in done.stderr
    assert hub.downloads("model.safetensors") == []
    assert NAME not in os.listdir(tmp_path / "home" / ".state" / "models")


def test_the_command_line_asks_for_the_licence_and_fetches_once_it_is_accepted(tmp_path, tiny_depth):
    entry = {"licence": "CC-BY-NC-4.0", "commercial": False, "bytes": sum(map(len, tiny_depth.values()))}
    catalogue = listed(tmp_path, **entry)
    with Hub({"some/model": tiny_depth}) as hub:
        refused = command_line(tmp_path, hub, "models", "fetch", NAME, catalogue=catalogue)
        assert refused.returncode == 34
        assert f" models fetch {NAME} --accept-licence CC-BY-NC-4.0" in refused.stderr
        assert hub.asked == []
        accepting = ("models", "fetch", NAME, "--accept-licence", "CC-BY-NC-4.0")
        done = command_line(tmp_path, hub, *accepting, catalogue=catalogue)
        assert done.returncode == 0, done.stderr
        hub.asked.clear()
        shown = json.loads(command_line(tmp_path, hub, "models", "list", "--json", catalogue=catalogue).stdout)
        assert {each["name"]: each["pinned"] for each in shown if each["state"] == "installed"} == {NAME: False}
        assert command_line(tmp_path, hub, "models", "verify", catalogue=catalogue).returncode == 0
        assert command_line(tmp_path, hub, "models", "remove", NAME, catalogue=catalogue).returncode == 0
        assert hub.asked == [], "only fetch may ask the hub"


def test_on_a_terminal_the_licence_can_be_accepted_by_typing_its_name(tmp_path, tiny_depth):
    catalogue = listed(tmp_path, licence="CC-BY-NC-4.0", commercial=False)
    keyboard, terminal = pty.openpty()
    with Hub({"some/model": tiny_depth}) as hub:
        running = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline", "models", "fetch", NAME, f"--folder={tmp_path}", f"--catalogue={catalogue}"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.address, "TERM": "xterm"},
            stdin=terminal, stdout=subprocess.PIPE, stderr=terminal,
        )  # fmt: skip
        said = b""
        while b"Licence:" not in said:
            said += os.read(keyboard, 4096)
        assert hub.asked == []
        os.write(keyboard, b"CC-BY-NC-4.0\n")
        out, _ = running.communicate(timeout=60)
    os.close(terminal)
    os.close(keyboard)
    assert running.returncode == 0
    assert b"no commercial use" in said
    assert b"is installed" in out
    assert weights.locate(NAME, str(tmp_path), weights.catalogue(catalogue)).entry.licence == "CC-BY-NC-4.0"


def trapped(tmp_path, hub):
    """The environment of a worker as the daemon makes it; every attempt to connect is recorded."""
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "sitecustomize.py").write_text(TRAP)
    (tmp_path / "tmp").mkdir()
    everything = dict.fromkeys(("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), hub.address)
    return (
        worker_environment(os.environ, tmp=os.fsencode(tmp_path / "tmp"), threads=1)
        | everything
        | {"PYTHONPATH": str(tmp_path / "trap"), "TRAP": str(tmp_path / "trapped")}
    )


def work(tmp_path, environment, warm, status=0, catalogue=None, depth_picture=None, **spec):
    """Run the real worker on the photo; returns its last event."""
    at = tmp_path / "source" / "photo.png"
    (tmp_path / "attempt").mkdir()
    command = JobCommand(
        job_id="job", attempt=str(tmp_path / "attempt"), source=str(tmp_path / "source"), image="photo.png",
        image_bytes=at.stat().st_size, image_mtime_ns=at.stat().st_mtime_ns, spec=JobSpec(num_layers=2, formats=(), **spec),
        limits=Limits(max_bytes=10**7, max_pixels=10**7), models=str(tmp_path / "models"), device="cpu", threads=1,
        model_lists=[catalogue] if catalogue else (), depth_picture=depth_picture,
    )  # fmt: skip
    events, theirs = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline", "worker", "--warm", warm, "--events-fd", str(theirs)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(theirs,), env=environment,
    )  # fmt: skip
    os.close(theirs)
    worker.stdin.write(command.model_dump_json().encode() + b"\n")
    worker.stdin.flush()
    with open(events, "rb") as stream:
        last = stream.read().splitlines()[-1]
    log, _ = worker.communicate(timeout=60)
    assert worker.returncode == status, log.decode()
    return EVENT.validate_json(last)


def test_a_job_without_weights_opens_no_connection(tmp_path, tiny_depth, photo):
    with Hub({"depth-anything/Depth-Anything-V2-Small-hf": tiny_depth}) as hub:
        result = work(tmp_path, trapped(tmp_path, hub), "light")
    manifest = json.loads((tmp_path / "attempt" / result.manifest).read_text())
    assert manifest["depth"]["source"] == "heuristic"
    assert any(f"multiplane models fetch {NAME}" in each for each in result.warnings)
    nothing_was_asked(tmp_path, hub)


def test_a_painting_without_weights_names_the_command_and_opens_no_connection(tmp_path, photo):
    with Hub({"stable-diffusion-v1-5/stable-diffusion-v1-5": {}}) as hub:
        event = work(tmp_path, trapped(tmp_path, hub), "light", status=32, mode="painterly", style="charcoal")
    assert event.error.code == "weights_missing"
    assert event.error.message == "The weights of stable-diffusion-1.5 are not installed."
    assert unmarked(event.error.hint) == (
        "Run: `multiplane models fetch stable-diffusion-1.5`, then: `multiplane retry ID`. "
        'Or choose a style that needs no model: "oil-strokes", "wash-strokes" or "pointillist-strokes".'
    )
    nothing_was_asked(tmp_path, hub)


@pytest.mark.parametrize(("field", "name"), [("matting", "vitmatte-small"), ("fill", "stable-diffusion-1.5-inpainting")])
def test_a_model_for_the_layers_that_is_not_installed_is_named_with_its_command(tmp_path, photo, field, name):
    with Hub({}) as hub:
        told = work(tmp_path, trapped(tmp_path, hub), "light", status=32, depth="cues", **{field: "model"})
    assert told.error.code == "weights_missing"
    assert told.error.message == f"The weights of {name} are not installed."
    assert unmarked(told.error.hint) == f"Run: `multiplane models fetch {name}`, then: `multiplane retry ID`."
    nothing_was_asked(tmp_path, hub)


def test_a_job_softens_borders_and_paints_what_is_hidden_with_the_models_it_asks_for(tmp_path, tiny_diffusion, photo):
    """The real worker on a dropped depth picture: the layers recompose exactly, and the manifest names both models."""
    near = np.ones(photo.shape[:2], np.uint8)
    near[24:84, 36:96] = 255
    Image.fromarray(near).save(tmp_path / "source" / "photo.depth.png")
    matting = matting_models.tiny(tmp_path / "matting")
    lora = diffusion_models.save_lora(tmp_path / "lora", tiny_diffusion / diffusion_models.NETWORK)
    vae = diffusion_models.save_tiny_autoencoder(tmp_path / "vae")
    parts = {"matting": matting, "pipeline": tiny_diffusion, "lora": lora, "vae": vae}
    listed = str(diffusion_models.install(tmp_path / "models", **parts))
    with Hub({}) as hub:
        asked = {"depth": "file", "depth_picture": "photo.depth.png", "matting": "model", "fill": "model"}
        result = work(tmp_path, trapped(tmp_path, hub), "painting", catalogue=listed, **asked)
    manifest = json.loads((tmp_path / "attempt" / result.manifest).read_text())
    assert manifest["matting"]["model"] == "hustvl/vitmatte-small-composition-1k"
    assert manifest["fill"]["model"].startswith("stable-diffusion-v1-5/stable-diffusion-v1-5 + latent-consistency")
    assert manifest["recomposition"]["max_error"] <= 1
    assert {"torch", "transformers", "diffusers"} <= manifest["versions"].keys()
    nothing_was_asked(tmp_path, hub)


def test_a_job_with_all_weights_opens_no_connection(tmp_path, tiny_depth, tiny_diffusion, photo):
    folder = tmp_path / "models" / NAME
    folder.mkdir(parents=True)
    for name, data in tiny_depth.items():
        (folder / name).write_bytes(data)
    diffusion_models.list_for(tmp_path / "models", NAME)
    lora = diffusion_models.save_lora(tmp_path / "lora", tiny_diffusion / diffusion_models.NETWORK)
    vae = diffusion_models.save_tiny_autoencoder(tmp_path / "vae")
    listed = diffusion_models.install(tmp_path / "models", pipeline=tiny_diffusion, lora=lora, vae=vae)
    with Hub({"depth-anything/Depth-Anything-V2-Small-hf": tiny_depth}) as hub:
        result = work(tmp_path, trapped(tmp_path, hub), "painting", catalogue=str(listed), mode="painterly", style="charcoal")
    manifest = json.loads((tmp_path / "attempt" / result.manifest).read_text())
    assert manifest["depth"]["source"] == "model"
    assert manifest["painterly"]["model"].endswith("latent-consistency/lcm-lora-sdv1-5 + madebyollin/taesd")
    nothing_was_asked(tmp_path, hub)


def nothing_was_asked(tmp_path, hub):
    assert hub.asked == []
    assert not (tmp_path / "trapped").exists(), (tmp_path / "trapped").read_text()


def test_the_trap_notices_a_connection(tmp_path):
    with Hub() as hub:
        environment = trapped(tmp_path, hub)
        asking = "import urllib.request; urllib.request.urlopen('http://example.invalid/x')"
        subprocess.run([sys.executable, "-P", "-c", asking], env=environment, capture_output=True, timeout=60)
    assert "socket.connect" in (tmp_path / "trapped").read_text()
    assert len(hub.asked) == 1
