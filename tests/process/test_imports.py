"""The daemon is small: it loads none of the libraries that only a worker needs."""

import os
import subprocess
import sys

HEAVY = ("torch", "PIL", "numpy", "cv2", "transformers", "diffusers", "huggingface_hub")


def test_the_daemon_and_the_command_line_load_no_heavy_library() -> None:
    code = f"import sys, daemon.service, daemon.cli; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_light_worker_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, pipeline.run; print([name for name in ('torch', 'transformers', 'diffusers') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_light_worker_has_one_thread_until_it_works_and_leaves_torch_its_own() -> None:
    code = (
        "import os, psutil, pipeline.worker.preload as preload; preload.load('light'); "
        "print(psutil.Process().num_threads(), os.environ['OPENBLAS_NUM_THREADS'])"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.split() == ["1", "2"]


def test_a_worker_with_models_loads_nothing_that_no_job_uses() -> None:
    code = (
        "import sys; from pipeline.worker import preload; preload.load('painting'); "
        "print(*(name for name in sys.modules if name.split('.')[0] in preload.UNUSED and sys.modules[name])); "
        "from diffusers import LCMScheduler, DPMSolverMultistepScheduler"
    )
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
