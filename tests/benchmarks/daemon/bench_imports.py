"""What start-up costs: processor time of the imports of each kind of process.

A job loads what it uses when it uses it. The last lines say what that saves: against a worker that imports the whole pipeline and
all libraries that any job could need, as plain imports at the top of each module would have it.

Run: python -m tests.benchmarks.daemon.bench_imports
A process of its own each; the best of several, since a busy machine only ever adds.
"""

import subprocess
import sys

ROUNDS = 5
LOAD = "from pipeline.worker import preload; preload.load('{}')"
EAGER = (
    "import pkgutil, importlib, pipeline; "
    "[importlib.import_module(found.name) for found in pkgutil.walk_packages(pipeline.__path__, 'pipeline.')"
    " if not found.name.endswith('__main__')]; "
    "import torch, transformers.models.auto.modeling_auto, transformers.modeling_utils, pi_heif, safetensors, huggingface_hub; "
    "from pipeline.painterly import libraries; libraries.image_to_image()"
)
#: Its name in the table, and those of what is held against it.
BEFORE = "everything at once"
JOBS = ("a worker, depth given", "a worker that asks a model", "a worker that paints")
PROCESSES = (
    ("an empty interpreter", "pass"),
    ("pipeline.worker.entry itself", "import pipeline.worker.entry"),
    ("a worker, depth given", LOAD.format("light")),
    ("a worker that asks a model", LOAD.format("depth")),
    ("a worker that paints", LOAD.format("painting")),
    (BEFORE, EAGER),
    ("daemon.service", "import daemon.service"),
    ("the command line", "import daemon.cli"),
)


def cost(code: str) -> tuple[float, int]:
    """Milliseconds of processor time until the code ran, with the interpreter's own start, and how many modules are loaded."""
    ask = "; import sys, time; print(1000 * time.process_time(), len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + ask], check=True, capture_output=True, text=True)
    took, count = done.stdout.split()
    return float(took), int(count)


def dearest(code: str, count: int = 5) -> str:
    """The modules that cost most by themselves, with milliseconds, as the interpreter tells (`-X importtime`)."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    own = sorted(((int(row[0]), row[2].strip()) for row in rows if row[0].strip().isdigit()), reverse=True)
    return ", ".join(f"{name} {took / 1000:.0f}" for took, name in own[:count])


def main() -> None:
    """Print the tables."""
    found: dict[str, tuple[float, int]] = {}
    for what, code in PROCESSES:
        trials = [cost(code) for _ in range(ROUNDS)]
        took, count = found[what] = min(trials)
        print(f"imports: {what:27s} {took:6.0f} ms, {count:4d} modules; dearest {dearest(code)}")
    before, modules = found[BEFORE]
    for what in JOBS:
        took, count = found[what]
        print(
            f"start of {what:26s} before {before:6.0f} ms, {modules} modules; now {took:5.0f} ms, {count}: "
            f"{before / took:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
