"""What a worker loads before its job is known: light, or warmed for a model."""

import importlib
import os
from typing import Literal

#: What any job needs.
LIGHT = ("numpy", "cv2", "PIL.Image", "isal", "daemon.contract.messages", "daemon.errors", "pipeline.run", "pipeline.rehearsal")
#: What a job needs that asks a model for its depth or its painting.
HEAVY = ("torch", "transformers.models.auto.modeling_auto", "diffusers")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def load(warm: Literal["light", "model"]) -> None:
    """Import `LIGHT`, and `HEAVY` for a model.

    The BLAS of numpy and that of OpenCV, which read the environment when they are loaded, get one thread: what they multiply
    here is small, and a second one would spin after each product, beside the next worker's imports (measured: an eighth of the
    processor time of a small photo). Torch has a BLAS of its own, with as many as the job may have.
    """
    asked = os.environ.get(_BLAS_THREADS)
    os.environ[_BLAS_THREADS] = "1"
    for name in LIGHT:
        importlib.import_module(name)
    del os.environ[_BLAS_THREADS]
    if asked is not None:
        os.environ[_BLAS_THREADS] = asked
    if warm == "model":
        for name in HEAVY:
            importlib.import_module(name)
