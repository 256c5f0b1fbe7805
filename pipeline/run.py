"""The recipe: turns one photo and one spec into a folder of layers.

decode → stylise (painterly) → depth → refine, split, matte, fill, recompose (`pipeline.layers`) → the files of the result.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import MANIFEST_NAME, Manifest, Network, Recomposition, Split
from daemon.contract.messages import JobCommand, Result
from daemon.contract.names import to_bytes
from daemon.contract.status import Output, Source
from daemon.errors import Internal, JobError, SourceChanged, is_passing
from pipeline import depth, matting
from pipeline.depth.depth_map import DepthMap
from pipeline.export.format import Pictures
from pipeline.export.manifest import describe_camera, describe_layers, encode, versions
from pipeline.export.moving.motion import Motion
from pipeline.export.naming import prefix_of
from pipeline.export.result import check_formats, packages_of, programs_of, remarks_of, write_pictures
from pipeline.image import decode, lens
from pipeline.image.auxiliary import beside
from pipeline.image.source_file import digest
from pipeline.layers.layering import Layers, layer_picture
from pipeline.layers.matte import AlphaEstimator
from pipeline.layers.stored_mattes import StoredMattes

if TYPE_CHECKING:
    from pipeline import painterly
    from pipeline.painterly.hidden import HiddenPainter

#: Where each stage begins, as a fraction of the whole job; measured on 12-megapixel photos with four layers and a given depth.
_BEGINNINGS = {"decode": 0.0, "depth": 0.05, "layers": 0.1, "export": 0.55}
#: The same if a depth model is used; it takes most of the time.
_BEGINNINGS_WITH_MODEL = {"decode": 0.0, "depth": 0.02, "layers": 0.7, "export": 0.85}
#: The same for a painting by strokes, which takes a third of the time.
_BEGINNINGS_PAINTED = {"decode": 0.0, "paint": 0.03, "depth": 0.4, "layers": 0.43, "export": 0.75}
#: The same for a painting by a diffusion model, which takes nearly all of the time.
_BEGINNINGS_DIFFUSED = {"decode": 0.0, "paint": 0.01, "depth": 0.9, "layers": 0.92, "export": 0.96}
#: Promise 4: the layers recompose to the picture within one level.
_MAX_ERROR = 1
_PACKAGES = ("numpy", "opencv-python-headless", "pillow")
_DIFFUSION_PACKAGES = ("torch", "transformers", "diffusers")
_MATTING_PACKAGES = ("torch", "transformers")

#: Pixels. Smaller pictures use one thread: the next job's worker gains more from the other core than a second thread would.
_SMALL = 500_000

Report = Callable[[str, float], None]


class Progress:
    """Reports how far the job is, and measures how long each stage takes.

    Attributes:
        timings: stage → seconds.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._beginnings = _BEGINNINGS
        self.timings: dict[str, float] = {}

    def expect_model(self) -> None:
        """From now on, use the fractions of a job with a depth model."""
        self._beginnings = _BEGINNINGS_WITH_MODEL

    def expect_painting(self, engine: str) -> None:
        """From now on, use the fractions of a job that first paints the photo with this engine."""
        self._beginnings = _BEGINNINGS_DIFFUSED if engine == "diffusion" else _BEGINNINGS_PAINTED

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Run and time one stage of the job. Yields a function that reports the fraction of the stage that is done, 0 to 1."""
        start = time.perf_counter()

        def within(share: float) -> None:
            self.at(name, share, name)

        within(0.0)
        yield within
        self.timings[name] = round(time.perf_counter() - start, 3)

    def at(self, name: str, share: float, shown: str) -> None:
        """Report `share` (0 to 1) of the stage `name` as done, under the name `shown`."""
        names = list(self._beginnings)
        following = names[names.index(name) + 1 :]
        begin = self._beginnings[name]
        end = self._beginnings[following[0]] if following else 1.0
        self._report(shown, begin + (end - begin) * share)


def run(command: JobCommand, report: Report) -> Result:
    """Do one job and write `<attempt>/result/`.

    Args:
        command: the job. Even if `command.threads` is larger, a small picture uses one thread; the bytes are the same.
        report: called with the stage and the fraction of the whole job that is done, 0 to 1.

    Raises:
        JobError: the job cannot be done; the message says why.
    """
    check_formats(command.spec.formats)
    progress = Progress(report)
    if command.warm == "depth" and command.spec.mode != "painterly":
        progress.expect_model()
    path = os.path.join(os.fsencode(command.source), to_bytes(command.image))
    with progress.stage("decode"):
        _must_be_as_accepted(path, command)
        size, sha256 = digest(path, command.limits)
        photo = decode.read(path, limits=command.limits)
        _must_be_as_accepted(path, command)
    # A missing model is an error, so look for it before anything that takes long.
    matte, painter = matting.asked_for(command), _painter(command)
    stored, remarks = _stored_mattes(path, photo, command) if matte is None else (None, ())
    height, width = photo.rgb.shape[:2]
    source = Source(image=command.image, bytes=size, sha256=sha256, width=width, height=height)
    picture, painted = photo, None
    if command.spec.mode == "painterly":
        from pipeline import painterly

        progress.expect_painting(painterly.engine(command.spec, *command.style_lists))
        with progress.stage("paint") as within:
            painted = painterly.stylise(photo, command, within)
        picture = painted.photo
    with progress.stage("depth") as within:
        depth_map = depth.choose(photo, command, within)
    threads = command.threads if height * width >= _SMALL else 1
    cv2.setNumThreads(threads)
    with progress.stage("layers"):
        layers = _layer(
            picture, painted.stroke_regions if painted else None, depth_map, command, progress, matte or stored, painter
        )
    if layers.max_error > _MAX_ERROR:
        raise Internal(f"the layers do not recompose to the picture: they are up to {layers.max_error} levels off")
    with progress.stage("export") as within:
        networks = {"matting": matte.used if matte else None, "fill": painter.used if painter else None}
        mattes = stored.names if stored else ()
        outputs, manifest, of_formats = _export(
            command, photo, picture, painted, depth_map, layers, networks, mattes, threads, within
        )
    return Result(
        source=source,
        outputs=outputs,
        manifest=manifest,
        depth_source=depth_map.provenance.source,
        filled_layers=len(layers.filled),
        warnings=photo.warnings
        + remarks
        + (painted.warnings if painted else ())
        + depth_map.warnings
        + (painter.warnings if painter else ())
        + of_formats,
        timings=progress.timings,
    )


def _must_be_as_accepted(path: bytes, command: JobCommand) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return  # `decode.read` reports it
    if (found.st_size, found.st_mtime_ns) != (command.image_bytes, command.image_mtime_ns):
        raise SourceChanged(f"{command.image} was changed while it was being read")


def _painter(command: JobCommand) -> "HiddenPainter | None":
    """The model that paints large hidden parts; None if the job does not ask for it."""
    if command.spec.fill != "model":
        return None
    from pipeline.painterly.hidden import HiddenPainter  # imports diffusers, which takes seconds

    return HiddenPainter(command)


def _stored_mattes(path: bytes, photo: decode.Photo, command: JobCommand) -> tuple[StoredMattes | None, tuple[str, ...]]:
    """The phone's own mattes, and a warning if they are damaged.

    None if there are none, or if the picture is a painting, whose strokes do not follow them.
    """
    if command.spec.mode == "painterly":
        return None, ()
    try:
        found = beside.mattes(path, photo=photo, limits=command.limits)
    except (JobError, MemoryError):
        raise
    except Exception as reason:  # decoders raise anything for hostile bytes
        if is_passing(reason):
            raise
        return None, (f"The mattes stored in {command.image} cannot be decoded and were not used ({str(reason)[:200]}).",)
    return (StoredMattes(found) if found else None), ()


def _layer(
    photo: decode.Photo,
    stroke_regions: NDArray[np.int32] | None,
    depth_map: DepthMap,
    command: JobCommand,
    progress: Progress,
    matte: AlphaEstimator | None,
    painter: "HiddenPainter | None",
) -> Layers:
    spec = command.spec

    def within(stage: str, share: float) -> None:
        progress.at("layers", share, stage)

    return layer_picture(
        photo.rgb,
        photo.alpha,
        depth_map.values,
        depth_map.valid,
        num_layers=spec.num_layers,
        split=spec.split,
        cuts=depth_map.cuts,
        stroke_regions=stroke_regions,
        alpha_estimator=matte,
        painter=painter,
        progress=within,
    )


def _export(
    command: JobCommand,
    photo: decode.Photo,
    picture: decode.Photo,
    painted: "painterly.Painting | None",
    depth_map: DepthMap,
    layers: Layers,
    networks: Mapping[str, Network | None],
    mattes: tuple[str, ...],
    threads: int,
    within: Callable[[float], None],
) -> tuple[tuple[Output, ...], str, tuple[str, ...]]:
    """Write all files. Returns their descriptions and the manifest's path, relative to the attempt's folder, and warnings."""
    folder = Path(command.attempt) / "result"
    folder.mkdir()
    title = Path(command.image).stem
    source = depth.source_of(depth_map.provenance)
    pictures = Pictures(
        title,
        picture,
        layers,
        depth_map.provenance,
        source.in_words,
        depth_map.note,
        distances=depth_map.distances,
        focal_35mm=lens.focal_35mm(os.path.join(os.fsencode(command.source), to_bytes(command.image)), photo.format),
        motion=Motion.of(command.spec),
        ffmpeg=command.ffmpeg,
        mesh=command.spec.mesh,
        prefix=prefix_of(title) if command.spec.naming == "photo" else "",
    )
    if painted is not None and command.spec.strength > 0.0:
        from pipeline import painterly

        pictures = replace(pictures, painted_from=photo.rgb, painter=painterly.in_words(painted.provenance))
    written = write_pictures(folder, pictures, formats=command.spec.formats, threads=threads, progress=within)
    sha256 = {output.path: output.sha256 for output in written}
    manifest = Manifest(
        width=photo.rgb.shape[1],
        height=photo.rgb.shape[0],
        layers=describe_layers(
            layers.depth_ranges,
            layers.coverage,
            layers.bboxes,
            [sha256[output.path] for output in written if output.kind == "layer"],
            pictures.camera.planes,
            pictures.prefix,
        ),
        note=None if all(layers.bboxes) else pictures.layers_in_words,
        camera=describe_camera(pictures.camera),
        split=Split(method=layers.method, thresholds=layers.thresholds),
        depth=depth_map.provenance,
        painterly=painted.provenance if painted else None,
        matting=networks["matting"],
        mattes=mattes,
        fill=networks["fill"],
        recomposition=Recomposition(
            max_error=layers.max_error,
            raised_alpha=layers.raised_alpha,
            mean_colour_distance=round(layers.mean_colour_distance, 3),
        ),
        colour_profile=photo.profile,
        source_bits=photo.bits,
        threads=command.threads,
        versions=versions(*_packages(source.packages, painted, networks, command)) | programs_of(command.spec.formats, pictures),
    )
    data = encode(manifest)
    (folder / MANIFEST_NAME).write_bytes(data)
    path = f"result/{MANIFEST_NAME}"
    digest = hashlib.sha256(data).hexdigest()
    remarks = remarks_of(command.spec.formats, pictures)
    return (*written, Output(path=path, kind="manifest", bytes=len(data), sha256=digest)), path, remarks


def _packages(
    of_depth: tuple[str, ...],
    painted: "painterly.Painting | None",
    networks: Mapping[str, Network | None],
    command: JobCommand,
) -> set[str]:
    """The libraries that took part in making the files."""
    by_diffusion = _DIFFUSION_PACKAGES if (painted and painted.provenance.model) or networks["fill"] else ()
    by_matting = _MATTING_PACKAGES if networks["matting"] else ()
    return {*_PACKAGES, *of_depth, *by_diffusion, *by_matting, *packages_of(command.spec.formats)}
