"""Gets depth from an installed depth model. The model and the list of models are loaded only on request."""

import numpy as np
from numpy.typing import NDArray

from daemon.contract.messages import JobCommand
from pipeline.depth.depth_map import DepthMap
from pipeline.depth.source import Progress, Source
from pipeline.image.decode import Photo


def _read(picture: Photo, job: JobCommand, progress: Progress) -> DepthMap:
    """Use the default model."""
    from pipeline import weights

    return _estimate(weights.catalogue(*job.model_lists).default_depth, picture, job, progress)


def _find(picture: Photo, job: JobCommand, progress: Progress) -> DepthMap | None:
    """Use the first installed model in the list."""
    from pipeline import weights

    there = _first_installed(weights.catalogue(*job.model_lists).depth_models(), job)
    return _estimate(there, picture, job, progress) if there else None


def finer(picture: Photo, distance: NDArray[np.float32], job: JobCommand, progress: Progress) -> DepthMap | None:
    """Make measured depth finer with the first installed model that can do this. Returns None if no such model is installed.

    Args:
        picture: the photo.
        distance: float32 (h, w), upright, in metres.
        job: names the models and the device.
        progress: called with the fraction that is done, 0 to 1.

    Raises:
        WeightsCorrupt, ModelFailed, DeviceUnavailable: as for `pipeline.depth.choose`.
    """
    from pipeline import weights

    there = _first_installed(weights.catalogue(*job.model_lists).prompted_models(), job)
    return _estimate(there, picture, job, progress, distance) if there else None


def _first_installed(names: tuple[str, ...], job: JobCommand) -> str | None:
    from pipeline import weights

    listed = weights.catalogue(*job.model_lists)
    return next((name for name in names if weights.installed(name, job.models, listed)), None)


def _estimate(
    name: str, picture: Photo, job: JobCommand, progress: Progress, prompt: NDArray[np.float32] | None = None
) -> DepthMap:
    from pipeline import weights
    from pipeline.depth import model

    found = weights.locate(name, job.models, weights.catalogue(*job.model_lists))
    progress(0.1)  # hashing takes little of the time
    return model.read(
        picture.rgb,
        found,
        device=job.device,
        quality=job.spec.depth_quality,
        prompt=prompt,
        progress=lambda done: progress(0.1 + 0.9 * done),
    )


SOURCE = Source(in_words="a learned model", read=_read, find=_find, packages=("torch", "transformers"))
