"""Imports modules before the job is known: those that every job needs and, if wanted, those of depth models or painting."""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
#: What a job with a depth model needs as well: torch, and then this. The module of the network itself is small, whichever it is.
DEPTH = ("transformers.models.auto.modeling_auto", "transformers.modeling_utils")
#: What transformers and diffusers import if it is installed, although no job uses it. Measured: without it, the imports for a
#: depth model take 0.3 s of processor time less; those for painting take 0.7 s and 57 MB less.
UNUSED = ("scipy",)
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def load(warm: Warm) -> None:
    """Import `LIGHT`; for depth also torch and `DEPTH`; for painting, which may need depth too, the library that paints as well.

    With models, this process can no longer import `UNUSED`: to all libraries, they are not installed.

    The BLAS of numpy and that of OpenCV read the environment when they are loaded, and get one thread. Their matrix products are
    small here, and a second thread would spin after each product, which would slow down the next worker's imports (measured: an
    eighth of the processor time of a small photo). Torch has a BLAS of its own, with as many threads as the job may use. It
    starts them only when it computes, so after all imports there is one thread, as a template needs it.

    Python's garbage collector is off until everything is loaded, and ignores these objects afterwards: modules are not garbage,
    and searching them again and again takes a sixth of the time of the imports.
    """
    gc.disable()
    with _one_blas_thread():
        _import(LIGHT)
    if warm != "light":
        for name in UNUSED:
            # The import system finds this instead of the module, and raises ModuleNotFoundError.
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
        _import(("torch",))
        with _one_blas_thread():
            _import(DEPTH)
            if warm == "painting":
                from pipeline.painterly import libraries

                libraries.image_to_image()
    gc.freeze()
    gc.enable()


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Libraries that are loaded meanwhile find that OpenBLAS should use one thread."""
    asked = os.environ.get(_BLAS_THREADS)
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[_BLAS_THREADS]
        if asked is not None:
            os.environ[_BLAS_THREADS] = asked


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
