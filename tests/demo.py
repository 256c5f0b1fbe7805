"""`make demo`: drops two real photos into the hot folder of this checkout, as a person would.

One is a motorcycle with its measured depth (photo, sidecar and depth picture). The other is a cup of coffee, a bare photo for a
shipped preset. Its depth comes from the default depth model, which is fetched first if no depth model is installed
(`--no-model` leaves it out). Both pictures come with scikit-image.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import typer
from skimage import data

from daemon.cli.common import settings_of
from daemon.cli.verbs.models import fetch_default_model
from daemon.outbox import stage_name
from daemon.shipped import PRESETS

HOME = Path(__file__).resolve().parents[1]
INBOX, OUTBOX = HOME / "inbox", HOME / "outbox"
PRESET = INBOX / "photo in 4 layers"
MULTIPLANE = Path(sys.executable).parent / "multiplane"

#: Until everything is done.
RUN = [MULTIPLANE, "run", "--once", "--no-model", "--home", HOME]
#: Seconds between two looks at the jobs: a stage takes a second or more.
LOOK_SECONDS = 0.3
#: The exit status of `multiplane run` if another daemon is running in the folder (sysexits.h, EX_TEMPFAIL).
ALREADY_RUNNING = 75

SIDECAR = """\
# What is to be done with motorcycle.png. All lines are optional.
num_layers: 5
depth: file             # motorcycle.depth.png, measured with a stereo camera
"""


def drop(folder: Path, name: str, content: bytes) -> None:
    """Write under a temporary name, then rename, so that nobody sees half a file."""
    temporary = folder / f".{name}.part"
    temporary.write_bytes(content)
    temporary.rename(folder / name)


def encoded(picture: np.ndarray) -> bytes:
    """Encode a grey or RGB picture as a PNG file."""
    pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(".png", pixels)[1].tobytes()


def depth_picture(disparity: np.ndarray) -> np.ndarray:
    """Turn measured disparity into 16 bits: near is bright, and 0 means that nothing was measured."""
    measured = np.isfinite(disparity)
    return np.where(measured, np.rint(disparity / disparity[measured].max() * 65535), 0).astype(np.uint16)


def main() -> int:
    """Fetch the model, drop the photos, run until everything is done, and say where to look. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description="Two real photos through the hot folder of this checkout.")
    parser.add_argument("--no-model", action="store_true", help="fetch no depth model (make demo MODEL=none)")
    if not parser.parse_args().no_model:
        try:
            fetch_default_model(settings_of(HOME))
        except typer.Exit as ended:
            return ended.exit_code
    start = time.monotonic()
    before = set(OUTBOX.glob("*/status.json"))
    if not PRESET.is_dir() and (status := first_start()):
        return status
    left, _, disparity = data.stereo_motorcycle()
    drop(INBOX, "motorcycle.png", encoded(left))
    drop(INBOX, "motorcycle.depth.png", encoded(depth_picture(disparity)))
    drop(INBOX, "motorcycle.png.yaml", SIDECAR.encode())
    drop(PRESET, "coffee.png", encoded(data.coffee()))
    print(f"Dropped motorcycle.png with its depth into {INBOX}\nand coffee.png, bare, into {PRESET}\n")
    told: dict[str, str] = {}
    with subprocess.Popen(RUN) as running:
        while (status := running.poll()) is None:
            tell_progress(before, told)
            time.sleep(LOOK_SECONDS)
    if status == ALREADY_RUNNING:
        print("A daemon is already running here; it does the work.")
        status = await_daemon(before, told)
    made = sorted(set(OUTBOX.glob("*/status.json")) - before)
    if status or len(made) != 2:
        print(f"\nSomething went wrong (exit status {status}); see {MULTIPLANE.relative_to(HOME)} jobs", file=sys.stderr)
        return status or 1
    print(f"\nDone in {time.monotonic() - start:.0f} s. Look at them in a browser:\n")
    print(f"  everything      {OUTBOX / 'index.html'}")
    for job in (path.parent for path in made):
        print(f"  {source_name(job):<15} {job / 'result' / 'preview.html'}")
        print(f"  {'':<15} depth: {depth_of(job)}")
    print(f"\nNow try your own: start the hot folder with `make run` and drop a picture into\n  {PRESET}")
    return 0


def first_start() -> int:
    """Let the hot folder make its folders; says what is wrong if it cannot. Returns the exit status."""
    started = subprocess.run(RUN, capture_output=True, text=True, check=False)
    if started.returncode not in (0, ALREADY_RUNNING):
        print(
            f"{started.stdout}{started.stderr}\nThe hot folder did not start (exit status {started.returncode}).", file=sys.stderr
        )
        return started.returncode
    if not PRESET.is_dir():
        get_back = shlex.join(["cp", "-R", str(PRESETS / PRESET.name), str(INBOX)])
        print(f"The folder {PRESET} is missing. Get it back: {get_back}", file=sys.stderr)
        return 1
    return 0


def tell_progress(before: set[Path], told: dict[str, str]) -> None:
    """Print for each new job that runs what is being done, if that has changed. `told`: what was printed last, by picture."""
    for path in sorted(set(OUTBOX.glob("*/status.json")) - before):
        status = json.loads(path.read_text())
        picture, progress = status["source"]["image"], status["progress"]
        if status["state"] == "processing" and progress and told.get(picture) != progress["stage"]:
            told[picture] = progress["stage"]
            print(f"  {picture:<15} {stage_name(progress['stage'])} …", flush=True)


def await_daemon(before: set[Path], told: dict[str, str]) -> int:
    """Wait until two more jobs have ended; returns 0 if both completed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        tell_progress(before, told)
        states = [json.loads(path.read_text())["state"] for path in set(OUTBOX.glob("*/status.json")) - before]
        if len(states) >= 2 and not {"pending", "processing"} & set(states):
            return int(states != ["completed"] * 2)
        time.sleep(0.2)
    return 1


def source_name(job: Path) -> str:
    """The picture a job was made from."""
    return next(name for name in sorted(os.listdir(job / "source")) if not name.endswith((".yaml", ".depth.png")))


def depth_of(job: Path) -> str:
    """Where a job's depth came from, in words."""
    depth = json.loads((job / "result" / "layer_manifest.json").read_text())["depth"]
    words = {"file": "measured, dropped beside the photo", "heuristic": "estimated without a model"}
    return words.get(depth["source"]) or f"found by {depth['model']}"


if __name__ == "__main__":
    sys.exit(main())
