"""What a worker loads before its job is known: what every job needs, and warmed for depth or for painting what a model needs."""

import gc
import importlib
import os

from daemon.contract.messages import Warm

#: What any job needs.
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
#: What a job needs besides that asks a model for its depth. The network's own module is small, whichever it is.
DEPTH = ("torch", "transformers.models.auto.modeling_auto", "transformers.modeling_utils")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def load(warm: Warm) -> None:
    """Import `LIGHT`; for depth `DEPTH` too; for painting, whose depth may be asked for as well, that and what paints.

    The BLAS of numpy and that of OpenCV, which read the environment when they are loaded, get one thread: what they multiply
    here is small, and a second one would spin after each product, beside the next worker's imports (measured: an eighth of the
    processor time of a small photo). Torch has a BLAS of its own, with as many as the job may have.

    Python's search for garbage waits until everything is there, and leaves it alone afterwards: modules are none, and looking
    through them again and again is a sixth of the time of the imports.
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
