"""The catalogue of styles: what `config/styles.yaml` and the user's own `styles.yaml` may contain.

The top of `config/styles.yaml` explains the fields.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from daemon.catalogues.models import NAME_PATTERN
from daemon.catalogues.reading import claim, read

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Style(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    description: str


class Jitter(BaseModel):
    """How much the colour of strokes varies. Each value is a standard deviation, as a fraction of the channel's range."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    hue: Share
    saturation: Share
    value: Share


class StrokesStyle(_Style):
    """A style that the program paints with brush strokes, without a model."""

    engine: Literal["strokes"]
    brushes: Annotated[tuple[Annotated[float, Field(gt=0.0, le=0.25)], ...], Field(min_length=1, max_length=8)]
    threshold: Annotated[float, Field(ge=0.0, le=255.0)]
    length: tuple[Annotated[float, Field(ge=0.0, le=64.0)], Annotated[float, Field(ge=0.0, le=64.0)]]
    curvature: Share
    opacity: Annotated[float, Field(gt=0.0, le=1.0)]
    jitter: Jitter
    relief: Share
    paper: Share

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if list(self.brushes) != sorted(self.brushes, reverse=True):
            raise ValueError("brushes: largest first")
        if self.length[0] > self.length[1]:
            raise ValueError("length: shortest first")
        return self


class DiffusionStyle(_Style):
    """A style described in words for a diffusion model."""

    engine: Literal["diffusion"]
    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    negative_prompt: Annotated[str, Field(max_length=2000)]
    guidance: Annotated[float, Field(ge=0.0, le=30.0)]
    steps: Annotated[int, Field(ge=1, le=200)]
    lora: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None


def _with_an_engine(given: object) -> object:
    if isinstance(given, dict) and "engine" not in given:
        raise ValueError("it needs an engine: strokes or diffusion")
    return given


Style = Annotated[StrokesStyle | DiffusionStyle, Field(discriminator="engine"), BeforeValidator(_with_an_engine)]
_FILE: TypeAdapter[dict[str, StrokesStyle | DiffusionStyle]] = TypeAdapter(dict[str, Style])


def styles(paths: Sequence[str]) -> dict[str, StrokesStyle | DiffusionStyle]:
    """Read the styles of these files, in order, by name.

    Raises:
        Refusal: a file cannot be read or is not valid, or a name appears twice; the message names file and line.
    """
    found: dict[str, StrokesStyle | DiffusionStyle] = {}
    origins: dict[str, str] = {}
    files = [read("styles", path) for path in paths]
    for file in files:
        for name, style in file.checked(_FILE.validate_python).items():
            claim(origins, file, (name,))
            found[name] = style
    if not found:
        raise files[0].fault((), "it is empty")
    return found


def painted_without_model(listed: Mapping[str, StrokesStyle | DiffusionStyle]) -> str:
    """A sentence for whoever has no diffusion model: which styles need none. Empty if there is no such style."""
    *others, last = [f'"{name}"' for name, style in listed.items() if isinstance(style, StrokesStyle)] or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    return f"Or choose a style that needs no model: {names}." if names else ""
