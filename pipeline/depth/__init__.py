"""Depth of a photo from the best source there is, or from the one that was asked for; always as disparity, 0 far to 1 near."""

import os
from collections.abc import Callable

from daemon.contract.messages import JobCommand
from daemon.contract.names import to_bytes
from daemon.errors import DepthMissing, DepthUnreadable
from pipeline.depth import cues, photo, supplied
from pipeline.depth.depth_map import DepthMap
from pipeline.image import decode

__all__ = ["DepthMap", "choose"]

Progress = Callable[[float], None]


def choose(picture: decode.Photo, job: JobCommand, progress: Progress = lambda _: None) -> DepthMap:
    """Get the picture's depth.

    `auto` takes the first there is of: the dropped depth picture, the depth stored in the photo, a learned model whose weights
    are installed, an estimate without a model. A source that was dropped or asked for and cannot be used is an error and is
    never replaced; only damaged stored depth that nobody asked for is skipped, with a warning.

    Args:
        picture: the photo, decoded.
        job: names the files, the spec, the weights and the device.
        progress: told the share that is done, 0 to 1.

    Returns:
        The reading, at its source's resolution.

    Raises:
        DepthMissing: the source that was asked for is not there.
        DepthUnreadable: it is there but cannot be used.
        WeightsMissing, WeightsCorrupt: of the model.
        ModelFailed, DeviceUnavailable: the model gave nothing usable, or cannot run where it should.
    """
    wanted = job.spec.depth
    reading = _chosen(picture, job, progress) if wanted == "auto" else _asked_for(picture, job, progress)
    progress(1.0)
    return reading


def _asked_for(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap:
    """The one source the spec names."""
    match job.spec.depth:
        case "file":
            if job.depth_picture is None:
                raise DepthMissing(f"`depth: file` was asked for, but no depth picture came with {job.image}.")
            return _supplied(picture, job)
        case "photo":
            stored = photo.read(_path(job, job.image), photo=picture, limits=job.limits)
            if stored is None:
                raise DepthMissing(
                    f"`depth: photo` was asked for, but {job.image} holds no depth.",
                    hint="Only HEIC portrait photos contain depth; use `depth: auto` instead.",
                )
            return stored
        case "model":
            return _modelled(picture, job, None, progress)
        case _:
            return _estimated(picture, job)


def _chosen(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap:
    """The best source there is."""
    if job.depth_picture is not None:
        return _supplied(picture, job)
    passed_over: tuple[str, ...] = ()
    try:
        stored = photo.read(_path(job, job.image), photo=picture, limits=job.limits)
    except DepthUnreadable as reason:
        stored, passed_over = None, (f"{reason.message} Another source was used.",)
    if stored is not None:
        return stored
    from pipeline import weights

    listed = weights.catalogue(job.catalogue)
    there = next((name for name in listed.depth_models() if weights.installed(name, job.models, listed)), None)
    reading = _modelled(picture, job, there, progress) if there else _estimated(picture, job)
    return DepthMap(reading.values, reading.valid, reading.provenance, (*passed_over, *reading.warnings))


def _supplied(picture: decode.Photo, job: JobCommand) -> DepthMap:
    assert job.depth_picture is not None  # noqa: S101  both callers looked
    return supplied.read(_path(job, job.depth_picture), job.spec.depth_kind, photo=picture, limits=job.limits)


def _modelled(picture: decode.Photo, job: JobCommand, name: str | None, progress: Progress) -> DepthMap:
    """Ask the model of this name, or the default one. Only here are models and the list of their weights loaded."""
    from pipeline import weights
    from pipeline.depth import model

    listed = weights.catalogue(job.catalogue)
    found = weights.locate(name or listed.default_depth, job.models, listed)
    progress(0.1)  # hashing is the smaller part
    return model.read(
        picture.rgb,
        found,
        device=job.device,
        quality=job.spec.depth_quality,
        progress=lambda done: progress(0.1 + 0.9 * done),
    )


def _estimated(picture: decode.Photo, job: JobCommand) -> DepthMap:
    from pipeline import weights

    return cues.read(picture.rgb, fetch=weights.catalogue(job.catalogue).default_depth)


def _path(job: JobCommand, name: str) -> bytes:
    return os.path.join(os.fsencode(job.source), to_bytes(name))
