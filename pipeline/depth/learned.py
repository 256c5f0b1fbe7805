"""Depth from an installed depth model. The model and the list of models are loaded only on request."""

from daemon.contract.messages import JobCommand
from pipeline.depth.depth_map import DepthMap
from pipeline.depth.source import Progress, Source
from pipeline.image.decode import Photo


def _read(picture: Photo, job: JobCommand, progress: Progress) -> DepthMap:
    """Use the default model."""
    from pipeline import weights

    return _by(weights.catalogue(*job.model_lists).default_depth, picture, job, progress)


def _find(picture: Photo, job: JobCommand, progress: Progress) -> DepthMap | None:
    """Use the first installed model in the list."""
    from pipeline import weights

    listed = weights.catalogue(*job.model_lists)
    there = next((name for name in listed.depth_models() if weights.installed(name, job.models, listed)), None)
    return _by(there, picture, job, progress) if there else None


def _by(name: str, picture: Photo, job: JobCommand, progress: Progress) -> DepthMap:
    from pipeline import weights
    from pipeline.depth import model

    found = weights.locate(name, job.models, weights.catalogue(*job.model_lists))
    progress(0.1)  # hashing takes little of the time
    return model.read(
        picture.rgb,
        found,
        device=job.device,
        quality=job.spec.depth_quality,
        progress=lambda done: progress(0.1 + 0.9 * done),
    )


SOURCE = Source(in_words="a learned model", read=_read, find=_find, packages=("torch", "transformers"))
