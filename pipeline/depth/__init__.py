"""Gets a photo's depth from the best available source, or from the requested one, as disparity from 0 (far) to 1 (near).

`daemon.contract.registry` lists the sources. Each is a module that defines `SOURCE`.
"""

from dataclasses import replace
from importlib import import_module

from daemon.contract.manifest import Depth
from daemon.contract.messages import JobCommand
from daemon.contract.registry import DEPTH_SOURCES
from daemon.errors import DepthMissing
from pipeline.depth.depth_map import DepthMap
from pipeline.depth.source import PassedOver, Progress, Source
from pipeline.image import decode

__all__ = ["DepthMap", "choose", "source_of"]

_SOURCES: dict[str, Source] = {each.word: import_module(each.module).SOURCE for each in DEPTH_SOURCES}
_BY_NAME = {each.name: _SOURCES[each.word] for each in DEPTH_SOURCES}


def choose(picture: decode.Photo, job: JobCommand, progress: Progress = lambda _: None) -> DepthMap:
    """Get the picture's depth.

    `auto` uses the first source available, in the order of the registry: the dropped depth picture, the depth stored in the
    photo, an installed depth model, an estimate without a model. A source that was dropped or requested is never replaced: if it
    cannot be used, that is an error. Only damaged stored depth that nobody requested is skipped, with a warning.

    Args:
        picture: the photo, decoded.
        job: names the files, the spec, the weights and the device.
        progress: called with the fraction that is done, 0 to 1.

    Returns:
        The depth at its source's resolution.

    Raises:
        DepthMissing: the requested source is missing.
        DepthUnreadable: the source exists but cannot be used.
        WeightsMissing, WeightsCorrupt: the model's weights are missing or damaged.
        ModelFailed, DeviceUnavailable: the model's output is unusable, or the model cannot run on the device.
    """
    wanted = job.spec.depth
    reading = _best(picture, job, progress) if wanted == "auto" else _SOURCES[wanted].read(picture, job, progress)
    progress(1.0)
    return reading


def source_of(provenance: Depth) -> Source:
    """The source that a depth map came from, with words for what it did."""
    found = _BY_NAME[provenance.source]
    return replace(found, in_words="measured from the photo's two views") if provenance.method == "stereo" else found


def _best(picture: decode.Photo, job: JobCommand, progress: Progress) -> DepthMap:
    passed_over: list[str] = []
    for source in _SOURCES.values():
        try:
            found = source.find(picture, job, progress)
        except PassedOver as reason:
            passed_over.append(str(reason))
            continue
        if found is not None:
            return replace(found, warnings=(*found.warnings, *passed_over))
    raise DepthMissing(f"No source has depth for {job.image}.")
