"""Imports modules before the job is known: those that every job needs and, if wanted, those of depth models or painting."""

import gc
import importlib
import os

from daemon.contract.messages import Warm

#: What every job needs.
LIGHT = (
    "numpy",
    "cv2",
    "PIL.Image",
    "isal",
    "daemon.contract.messages",
    "daemon.errors",
    "pipeline.run",
    "pipeline.worker.warm_up",
)
#: What a job with a depth model needs as well. The module of the network itself is small, whichever network it is.
DEPTH = ("torch", "transformers.models.auto.modeling_auto", "transformers.modeling_utils")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def load(warm: Warm) -> None:
    """Import `LIGHT`; for depth also `DEPTH`; for painting, which may need depth too, `DEPTH` and the library that paints.

    The BLAS of numpy and that of OpenCV read the environment when they are loaded, and get one thread. Their matrix products are
    small here, and a second thread would spin after each product, which would slow down the next worker's imports (measured: an
    eighth of the processor time of a small photo). Torch has a BLAS of its own, with as many threads as the job may use.

    Python's garbage collector is off until everything is loaded, and ignores these objects afterwards: modules are not garbage,
    and searching them again and again takes a sixth of the time of the imports.
    """
    gc.disable()
    asked = os.environ.get(_BLAS_THREADS)
    os.environ[_BLAS_THREADS] = "1"
    _import(LIGHT)
    del os.environ[_BLAS_THREADS]
    if asked is not None:
        os.environ[_BLAS_THREADS] = asked
    if warm != "light":
        _import(DEPTH)
    if warm == "painting":
        from pipeline.painterly import libraries

        libraries.image_to_image()
    gc.freeze()
    gc.enable()


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
