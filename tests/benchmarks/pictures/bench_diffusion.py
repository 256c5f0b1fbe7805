"""One job of the full-size Stable Diffusion 1.5, with random weights: python -m tests.benchmarks diffusion.

The real architecture with the LCM-LoRA and the tiny autoencoder, its weights in bfloat16, goes through a real worker at
512 × 512. Told: how long loading takes and how much of the weights stays mapped, the time of a step, the peak of memory.
Weights are made in a temporary folder (2.3 GB) and removed. `BENCH_QUICK=1` takes the tiny architecture: it shows that the
benchmark works, and measures nothing worth knowing.

The job is done twice: as this machine does it, and in bfloat16 as a CPU does that has such arithmetic. Those multiply bfloat16
numbers, add up in float32 and round the sum; so does this, whatever the CPU, with its float32 units. (Without them torch takes a
hundred times as long over a convolution, as the second table tells.)
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from daemon.contract.messages import EVENT, JobCommand, Limits, ProgressEvent, Result
from daemon.contract.spec import JobSpec
from daemon.supervisor.environment import worker_environment
from pipeline.run import _BEGINNINGS_DIFFUSED
from tests import diffusion_models
from tests.unit.pictures import SAMPLES

if TYPE_CHECKING:
    from pipeline.painterly.loading import Parts

QUICK = "BENCH_QUICK" in os.environ
THREADS = os.cpu_count() or 1
DISK, MEMORY = (1 << 30, 2 << 30) if QUICK else (5 << 30, 7 << 30)
SIDE = 512


def main() -> None:
    """Print the tables."""
    free, available = shutil.disk_usage(tempfile.gettempdir()).free, psutil.virtual_memory().available
    if free < DISK or available < MEMORY:
        print(
            f"skipped: needs {DISK >> 30} GB of disk and {MEMORY >> 30} GB of memory; {free >> 30} and {available >> 30} are free"
        )
        return
    with tempfile.TemporaryDirectory(prefix="bench-diffusion-") as folder:
        for what in ("build", "convolution", "load", "job", "bfloat16"):
            arguments = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.pictures.bench_diffusion", what, folder]
            environment = os.environ | {
                "OMP_NUM_THREADS": str(THREADS),
                "TRANSFORMERS_VERBOSITY": "error",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            }
            subprocess.run(arguments, check=True, env=environment, cwd=Path(__file__).resolve().parents[3])


def build(root: Path) -> None:
    """Make the weights and install them as a fetch does."""
    begin = time.perf_counter()
    pipeline = diffusion_models.save_pipeline(root / "pipeline", full=not QUICK, dtype="bfloat16")
    rank = 2 if QUICK else 64
    lora = diffusion_models.save_lora(root / "lora", pipeline / diffusion_models.NETWORK, rank=rank, everything=True)
    vae = diffusion_models.save_tiny_autoencoder(root / "vae", full=not QUICK)
    diffusion_models.install(root / "models", pipeline=pipeline, lora=lora, vae=vae)
    size = sum(path.stat().st_size for path in (root / "models").rglob("*") if path.is_file())
    print(f"weights: {size / 1e9:.2f} GB of random numbers in bfloat16, made in {time.perf_counter() - begin:.0f} s", flush=True)


def convolution(_: Path) -> None:
    """One layer in both types: why they are widened on a CPU that does not calculate in bfloat16."""
    import torch

    from pipeline.painterly.upcast import computes_in_bfloat16

    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        layer, values = torch.nn.Conv2d(320, 320, 3, padding=1).to(dtype), torch.randn(1, 320, 16, 16, dtype=dtype)
        with torch.inference_mode():
            layer(values)
            begin = time.process_time()
            layer(values)
        seconds[dtype] = time.process_time() - begin
    ratio = seconds[torch.bfloat16] / seconds[torch.float32]
    able = (
        "calculates in bfloat16" if computes_in_bfloat16() else "does not calculate in bfloat16: its weights are widened as used"
    )
    print(f"processor {able}; a convolution takes {ratio:.1f} times as long in it as in float32")


def load(root: Path) -> None:
    """Loading and one pass of the network, with the weights mapped and widened as used, and widened when they are loaded."""
    from pipeline.painterly import loading

    parts = _parts(root)
    plain = loading._half_width
    for name, half_width in (("mapped, widened as used", plain), ("widened when loaded", lambda _: None)):
        loading._half_width = half_width
        one_pass(parts, name)


def _parts(root: Path) -> "Parts":
    """The checked pipeline, the libraries imported; prints the head of the table."""
    from pipeline import weights
    from pipeline.painterly import libraries, loading

    libraries.image_to_image()  # before the clock starts
    begin = time.perf_counter()
    parts = loading.Parts(weights.locate(diffusion_models.NAMES["pipeline"], str(root / "models")))
    print(f"checking the hashes of the pipeline: {time.perf_counter() - begin:.1f} s")
    print(f"{'weights':26} {'load s':>8} {'own MB':>8} {'mapped MB':>10} {'pass s':>8} {'processor':>10}")
    return parts


def one_pass(parts: "Parts", name: str) -> None:
    """Load, let the network look once at noise for two prompts, and print what that took."""
    import torch

    from pipeline.painterly import loading

    before, begin = memory(os.getpid()), time.perf_counter()
    pipeline = loading.load(parts, device="cpu", dtype="float32", steps=4)
    seconds = time.perf_counter() - begin
    size = (2, 4, 8, 8) if QUICK else (2, 4, SIDE // 8, SIDE // 8)
    words = torch.zeros(2, 77, pipeline.unet.config.cross_attention_dim)
    with torch.inference_mode():
        wall, processor = time.perf_counter(), time.process_time()
        pipeline.unet(torch.zeros(size), 500, encoder_hidden_states=words)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    own, mapped = (now - then for now, then in zip(memory(os.getpid()), before, strict=True))
    print(f"{name:26} {seconds:8.2f} {own / 1e6:8.0f} {mapped / 1e6:10.0f} {wall:8.2f} {processor:10.2f}", flush=True)


def memory(pid: int) -> tuple[int, int]:
    """Bytes a process holds of its own, and bytes of files it has mapped and read."""
    held = psutil.Process(pid).memory_info()
    return held.rss - held.shared, held.shared


def job(root: Path) -> None:
    """The whole job, as this machine does it."""
    through_a_worker(root, root / "job", ["-m", "pipeline"])


def bfloat16(root: Path) -> None:
    """The same as on a CPU that calculates in bfloat16: every weight and all that goes from layer to layer is one."""
    through_a_worker(root, root / "bfloat16", ["-c", _ABLE])


#: A worker on a CPU that can.
_ABLE = """
import sys
import torch
from pipeline.__main__ import main
from pipeline.painterly import upcast

def in_float32(product):
    def calculate(values, *others, **named):
        if values.dtype != torch.bfloat16:
            return product(values, *others, **named)
        wide = [each.float() if isinstance(each, torch.Tensor) and each.is_floating_point() else each for each in others]
        return product(values.float(), *wide, **named).to(torch.bfloat16)
    return calculate

for name in ("conv2d", "linear", "scaled_dot_product_attention"):
    setattr(torch.nn.functional, name, in_float32(getattr(torch.nn.functional, name)))
upcast.computes_in_bfloat16 = lambda: True
sys.exit(main(sys.argv[1:]))
"""


def through_a_worker(root: Path, folder: Path, program: list[str]) -> None:
    """One job: what its events tell, and what its worker holds meanwhile."""
    source = folder / "source"
    source.mkdir(parents=True)
    photo = cv2.imread(str(SAMPLES / "astronaut.png"))
    if photo is None:
        photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    cv2.imwrite(str(source / "photo.png"), cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    for name in ("attempt", "tmp"):
        (folder / name).mkdir()
    at = (source / "photo.png").stat()
    command = JobCommand(
        job_id="bench", attempt=str(folder / "attempt"), source=str(source), image="photo.png", image_bytes=at.st_size,
        image_mtime_ns=at.st_mtime_ns, spec=JobSpec(mode="painterly", style="oil"),
        limits=Limits(max_bytes=10**8, max_pixels=10**8), models=str(root / "models"), device="cpu", threads=THREADS,
        model_lists=(str(root / "models-list" / "models.yaml"),),
    )  # fmt: skip
    events, theirs = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-P", *program, "worker", "--warm", "painting", "--events-fd", str(theirs)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(theirs,),
        env=worker_environment(os.environ, tmp=os.fsencode(folder / "tmp"), threads=THREADS),
    )  # fmt: skip
    os.close(theirs)
    assert worker.stdin is not None
    worker.stdin.write(command.model_dump_json().encode() + b"\n")
    worker.stdin.flush()
    peak = [0, 0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            peak[:] = map(max, peak, memory(worker.pid))

    threading.Thread(target=watch, daemon=True).start()
    told: list[tuple[float, float, ProgressEvent]] = []
    with open(events, "rb") as stream:
        for line in stream:
            last = EVENT.validate_json(line)
            if isinstance(last, ProgressEvent):
                spent = psutil.Process(worker.pid).cpu_times()
                told.append((time.perf_counter(), spent.user + spent.system, last))
            elif last.type in ("result", "error"):
                over.set()
    log, _ = worker.communicate(timeout=60)
    assert isinstance(last, Result), log.decode()
    report(folder, told, last, peak)


def report(folder: Path, told: list[tuple[float, float, ProgressEvent]], result: Result, peak: list[int]) -> None:
    """Print what the events tell. Within the painting: hashes checked at 5 %, loaded at 10 %, the last step at 93 %."""
    made = json.loads((folder / "attempt" / result.manifest).read_text())["painterly"]
    begin, end = _BEGINNINGS_DIFFUSED["paint"], _BEGINNINGS_DIFFUSED["depth"]
    painting = [((each.fraction - begin) / (end - begin), wall, cpu) for wall, cpu, each in told if each.stage == "paint"]
    steps = [each for each in painting if 0.0999 <= each[0] <= 0.9301]
    first = painting[0]
    (_, loaded, _), passes = steps[0], steps[1:]
    print(f"\n{made['model']}, {made['steps']} steps in {made['precision']}, {SIDE} × {SIDE}, {THREADS} threads")
    print(f"  from the beginning of painting until loaded (imports, hashes, loading, LoRA fused)  {loaded - first[1]:8.1f} s")
    walls = np.diff([each[1] for each in steps])
    processors = np.diff([each[2] for each in steps])
    print(f"  steps told one by one                                                               {len(passes):8d}")
    print(f"  a step, median: wall                                                                {np.median(walls):8.2f} s")
    print(f"                  processor                                                           {np.median(processors):8.2f} s")
    print(
        f"  the whole job from its first stage to its last                                      {told[-1][0] - told[0][0]:8.1f} s"
    )
    own, mapped, resident = (held / 1e6 for held in (*peak, result.peak_rss))
    print(f"  memory at its peak: own {own:.0f} MB, mapped files {mapped:.0f} MB; resident {resident:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        known = {"build": build, "convolution": convolution, "load": load, "bfloat16": bfloat16, "job": job}
        known[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
