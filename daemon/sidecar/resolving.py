"""Combines the configured defaults, the preset or batch file, and the sidecar into one JobSpec, or lists all mistakes in them."""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from pydantic import ValidationError

from daemon.contract.commands import as_code
from daemon.contract.spec import JobSpec
from daemon.contract.words.printable import quoted
from daemon.sidecar import fields
from daemon.sidecar.problems import Problem, did_you_mean, refuse
from daemon.sidecar.reading import Sidecar

JobKind = Literal["pair", "preset", "batch"]

_PAINTERLY_ONLY = ("style", "strength", "seed")
_MOVING_ONLY = ("motion", "seconds", "fps", "amount", "size")
_MOVING = frozenset({"video", "webp"})
_SCENES = frozenset({"glb", "usdz"})


def resolve(
    *,
    defaults: Mapping[str, object],
    preset: Sidecar | None,
    own: Sidecar | None,
    ceiling_seconds: float,
    kind: JobKind,
    styles: Collection[str] | None = None,
) -> JobSpec:
    """Work out what the job should do. Each field comes from the sidecar, or else the preset or batch, or else the configuration.

    Args:
        defaults: the configuration's default for each field.
        preset: the folder's `_preset.yaml` (kind "preset") or `job.yaml` (kind "batch"); None if there is none.
        own: the picture's own sidecar; None if there is none. The mistakes that `read` found in either are listed, too.
        ceiling_seconds: the largest allowed `timeout_seconds`.
        kind: how the picture was dropped.
        styles: the names of all styles; None: the worker checks the style.

    Returns:
        The effective spec. `images` comes only from the batch file, and `id` only from the sidecar.

    Raises:
        SpecInvalid: fields contradict each other, or one is not allowed in its file. `detail` lists all such problems.
    """
    layers = [layer for layer in (own, preset) if layer is not None]
    merged = {**defaults, **(preset.fields if preset else {}), **(own.fields if own else {})}
    problems = [problem for layer in layers for problem in layer.problems]
    complete = not problems
    problems += _misplaced(preset, own, kind)
    limit = merged.get("timeout_seconds")
    if isinstance(limit, int | float) and limit > ceiling_seconds:
        allowed = f"at most {ceiling_seconds:g}, the limit in the settings (worker.max_timeout_seconds)"
        sentence = f"timeout_seconds must be {allowed}, not {limit:g}"
        problems.append(_at(layers, ("timeout_seconds",), sentence))
    style = merged.get("style")
    if isinstance(style, str) and styles is not None and style not in styles:
        known = f"; there are {', '.join(sorted(styles))}" if styles else ""
        problems.append(_at(layers, ("style",), f"there is no style {quoted(style)}{did_you_mean(style, styles) or known}"))
    spec = JobSpec()
    try:
        spec = JobSpec.model_validate(merged)
    except ValidationError as error:
        problems += _unfit(error, layers, merged, complete=complete)
    if problems:
        order = [layer.name for layer in layers]
        refuse(sorted(problems, key=lambda p: (order.index(p.name) if p.name in order else len(order), p.line or 0)))
    return spec


def without_effect(spec: JobSpec, preset: Sidecar | None, own: Sidecar | None) -> tuple[str, ...]:
    """Warnings for the job's status about fields that were given but have no effect on this job."""
    layers = [layer for layer in (own, preset) if layer is not None]
    idle = []
    if spec.mode != "painterly":
        needed = [name for name in _PAINTERLY_ONLY if not (name == "seed" and spec.fill == "model")]
        idle.append((needed, f"has no effect without {as_code('mode: painterly')}"))
    if not _MOVING.intersection(spec.formats):
        needed = [name for name in _MOVING_ONLY if not (name == "amount" and "stereo" in spec.formats)]
        idle.append((needed, f"has no effect without a format that moves, such as {as_code('formats: [video]')}"))
    if not _SCENES.intersection(spec.formats):
        idle.append((["mesh"], f"has no effect without a 3-D scene, such as {as_code('formats: [glb]')}"))
    warnings = []
    for needed, sentence in idle:
        given = [name for name in needed if any(name in layer.fields for layer in layers)]
        if given:
            warnings.append(str(_at(layers, tuple(given), f"{', '.join(given)} {sentence}")))
    return tuple(warnings)


def _misplaced(preset: Sidecar | None, own: Sidecar | None, kind: JobKind) -> Iterator[Problem]:
    """Yield a problem for each `id` or `images` in a file where it is not allowed."""
    if preset is not None:
        if "id" in preset.fields:
            sentence = "id is only allowed in a picture's own YAML file, because every job needs its own id"
            yield Problem(preset.name, preset.lines.get("id"), sentence)
        if "images" in preset.fields and kind != "batch":
            yield Problem(preset.name, preset.lines.get("images"), "images is only allowed in a batch's job.yaml")
    if own is not None and "images" in own.fields:
        yield Problem(own.name, own.lines.get("images"), "images is only allowed in a batch's job.yaml")


def _unfit(error: ValidationError, layers: list[Sidecar], merged: Mapping[str, object], *, complete: bool) -> Iterator[Problem]:
    """Yield what JobSpec does not allow: one problem per field, although pydantic reports every branch of a union.

    `complete`: whether all given fields are in `merged`. If not, whether fields fit together cannot be known.
    """
    seen: set[str] = set()
    names: tuple[str, ...]
    for problem in error.errors(include_url=False):
        if problem["loc"]:
            field = str(problem["loc"][0])
            sentence, names = fields.not_allowed(field, merged[field]), (field,)
        elif not complete:
            continue
        else:  # JobSpec's own check that `split` and `num_layers` match
            field = "split"
            sentence, names = str(problem["ctx"]["error"]), ("split", "num_layers")
        if field not in seen:
            seen.add(field)
            yield _at(layers, names, sentence)


def _at(layers: list[Sidecar], names: tuple[str, ...], sentence: str) -> Problem:
    """A problem with this sentence, at the first of these fields that a file gives. The first file that gives it counts."""
    for name in names:
        for layer in layers:
            if name in layer.fields:
                return Problem(layer.name, layer.lines.get(name), sentence)
    return Problem("the configuration's defaults", None, sentence)
