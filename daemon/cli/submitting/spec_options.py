"""The options that stand for fields of the sidecar, as `submit` and `redo` share them."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, get_args

import typer

from daemon.cli.options import formats, styles, words_of
from daemon.contract.spec import DepthChoice, Format, MotionName
from daemon.sidecar.problems import choice

#: How a mistake in the sidecar made from the options begins. Its line number means nothing to somebody who typed options.
_LINE = re.compile(r"(^options(, line \d+)?|(?<=; )line \d+): ")
_NONE = "none"

Mode = Annotated[str | None, typer.Option(help="photo-realistic or painterly.", autocompletion=words_of("mode"))]
NumLayers = Annotated[int | None, typer.Option(help="How many layers to make: 2 to 12.")]
Style = Annotated[str | None, typer.Option(help="Painterly: the name of a style.", autocompletion=styles)]
Strength = Annotated[float | None, typer.Option(help="Painterly: 0 is the photo itself, 1 the loosest painting.")]
Seed = Annotated[int | None, typer.Option(help="Painterly, and --fill model: the same seed gives the same result.")]
Depth = Annotated[
    str | None, typer.Option(help=f"Where depth comes from: {choice(get_args(DepthChoice))}.", autocompletion=words_of("depth"))
]
DepthKind = Annotated[
    str | None, typer.Option(help="How to read the depth picture: disparity or distance.", autocompletion=words_of("depth_kind"))
]
DepthQuality = Annotated[
    str | None,
    typer.Option(
        help="For depth models: fast, or best, which averages several passes.", autocompletion=words_of("depth_quality")
    ),
]
Naming = Annotated[
    str | None,
    typer.Option(
        help="What file names in the result begin with: plain (nothing) or photo (its name).", autocompletion=words_of("naming")
    ),
]
Motion = Annotated[
    str | None, typer.Option(help=f"For formats that move: {choice(get_args(MotionName))}.", autocompletion=words_of("motion"))
]
LoopSeconds = Annotated[float | None, typer.Option(help="For formats that move: length of the loop.")]
Fps = Annotated[int | None, typer.Option(help="For formats that move: frames per second.")]
Amount = Annotated[float | None, typer.Option(help="For formats that move: how far, above 0 and up to 1.")]
Size = Annotated[int | None, typer.Option(help="For formats that move: longer side in pixels, at most.")]
Mesh = Annotated[
    str | None,
    typer.Option(help="For glb and usdz: flat planes, or relief, shaped by their depth.", autocompletion=words_of("mesh")),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="Where to cut the depth: natural, equal, quantile, or numbers between 0 and 1 such as 0.3,0.6.",
        autocompletion=words_of("split"),
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        help=f"What to make besides the PNG layers: {choice(get_args(Format))}; several as a,b or by repeating it; or none.",
        autocompletion=formats,
    ),
]
Matting = Annotated[
    str | None, typer.Option(help="How borders get soft: auto, or model (a matting model).", autocompletion=words_of("matting"))
]
Fill = Annotated[
    str | None,
    typer.Option(help="How hidden parts are filled: auto, or model (paints large ones).", autocompletion=words_of("fill")),
]
Priority = Annotated[int | None, typer.Option(help="−10 to 10, higher runs first.")]
TimeoutSeconds = Annotated[float | None, typer.Option(help="How many seconds a job may take.")]


def spec_fields(given: Mapping[str, object], *, split: str | None, formats: Sequence[str] | None) -> dict[str, object]:
    """The fields of the sidecar that were given as options.

    Raises:
        typer.BadParameter: the formats contradict each other, or one has no name.
    """
    fields = {**given, "split": _split(split), "formats": None if formats is None else _formats(formats)}
    return {name: value for name, value in fields.items() if value is not None}


def without_place(message: str) -> str:
    """A sentence about a sidecar that was made from options, without the name and the lines of that sidecar."""
    return _LINE.sub("", message)


def _split(text: str | None) -> object:
    """The option as the sidecar has it: a word, or a list of numbers."""
    if text is None:
        return None
    try:
        return [float(each) for each in text.strip("[]").split(",")]
    except ValueError:
        return text


def _formats(given: Sequence[str]) -> list[str]:
    """The words of all --formats, each once."""
    words = list(dict.fromkeys(word.strip() for each in given for word in each.strip("[]").split(",")))
    if "" in words:
        raise typer.BadParameter(f"--formats has an empty name. Name formats, such as psd,glb, or say {_NONE}.")
    if _NONE in words and len(words) > 1:
        others = ", ".join(word for word in words if word != _NONE)
        raise typer.BadParameter(f"--formats says {_NONE}, and also {others}. Leave one of them out.")
    return [] if words == [_NONE] else words
