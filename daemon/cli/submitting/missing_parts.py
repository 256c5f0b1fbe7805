"""Finds out whether what a spec asks for is there: the weights of its models, and the depth picture.

This only looks whether things exist. The worker checks whether they can be used.
"""

import os
from pathlib import Path

from daemon.catalogues.styles import painted_without_model, styles
from daemon.cli.submitting.dropping import depth_of
from daemon.contract.commands import as_code, command
from daemon.contract.spec import JobSpec
from daemon.errors import DepthMissing, JobError, WeightsMissing
from daemon.intake.names import classify
from daemon.running.model_inventory import ModelInventory, ModelKind
from daemon.settings import Settings
from daemon.sidecar import JobKind

#: What a kind of model is called, and the field that asks for it.
_IN_WORDS: dict[ModelKind, str] = {"depth": "depth: model", "matting": "matting: model", "painting": "a painting model"}


def missing_weights(spec: JobSpec, settings: Settings) -> JobError | None:
    """The error of a job with this spec on this machine if a model that it asks for is not installed; None if all are."""
    paths = settings.paths
    inventory = ModelInventory(str(paths.models), paths.model_lists, paths.style_lists)
    installed = inventory.installed()
    for kind, names in inventory.asked_for(spec).items():
        if names and not names & installed.keys():
            wanted = min(names) if len(names) == 1 else f"one of {', '.join(sorted(names))}"
            fetch = command("models", "fetch", min(names)) if len(names) == 1 else command("models", "list")
            asked = as_code(_IN_WORDS[kind]) if kind != "painting" else _IN_WORDS[kind]
            hint = f"Run: {fetch}."
            if kind == "painting":
                hint = f"{hint} {painted_without_model(styles(paths.style_lists))}".rstrip()
            return WeightsMissing(f"It asks for {asked}, and {wanted} is not installed.", hint=hint)
    return None


def missing_depth(spec: JobSpec, sidecar: Path, kind: JobKind) -> JobError | str | None:
    """Whether the depth picture that `depth: file` asks for is there.

    Returns:
        The error of the job if its photo is beside its sidecar, but the depth picture is not. A sentence that says what cannot
        be known yet if there is no photo, or if this is the file of a preset or a batch. None if nothing is missing.
    """
    if spec.depth != "file":
        return None
    if kind != "pair":
        return f"Not checked: {as_code('depth: file')} needs a NAME.depth.png beside each photo."
    named = sidecar.with_suffix("")  # photo.jpg.yaml names its photo, photo.yaml only the beginning of it
    try:
        beside = [path for path in sidecar.absolute().parent.iterdir() if _is_picture(path)]
    except OSError as error:
        return f"Not checked: {as_code('depth: file')} needs a depth picture beside the photo ({error.strerror})."
    photos = [path for path in beside if named.name in (path.name, path.stem)]
    depth = f"{named.stem if _is_picture(named) else named.name}.depth.png"
    if not photos:
        return f"Not checked: {as_code('depth: file')} needs {depth}, and there is no photo beside this file yet."
    if not any(depth_of(photo) for photo in photos):
        return DepthMissing(f"It asks for {as_code('depth: file')}, but there is no {depth} beside {photos[0].name}.")
    return None


def _is_picture(path: Path) -> bool:
    return classify(os.fsencode(path.name), in_inbox=False).role in ("image", "raw")
