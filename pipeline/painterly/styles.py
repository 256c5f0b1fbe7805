"""The styles: what `config/styles.yaml` may contain, and what it means. The top of the file explains the fields."""

import functools
import os
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from daemon.errors import Internal, SpecInvalid
from pipeline.weights.catalogue import NAME_PATTERN

STYLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "config", "styles.yaml")

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Style(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    description: str


class Jitter(BaseModel):
    """How much a stroke's colour varies: standard deviations as fractions of the channel's range."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hue: Share
    saturation: Share
    value: Share


class StrokesStyle(_Style):
    """A style that the program paints by itself."""

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


Style = Annotated[StrokesStyle | DiffusionStyle, Field(discriminator="engine")]
_FILE: TypeAdapter[dict[str, StrokesStyle | DiffusionStyle]] = TypeAdapter(dict[str, Style])


@functools.lru_cache(maxsize=4)
def styles(path: str = STYLES) -> dict[str, StrokesStyle | DiffusionStyle]:
    """Read the styles, in the file's order.

    Raises:
        Internal: the file is missing or not valid; the message names the line or the field.
    """
    hint = f"Correct {path}, then: multiplane retry ID."
    try:
        with open(path, encoding="utf-8") as file:
            found = _FILE.validate_python(yaml.safe_load(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise Internal(f"The list of styles {path} cannot be read: {reason}.", hint=hint) from reason
    except ValidationError as reason:
        wrong = reason.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"] if part not in ("strokes", "diffusion")) or "the file"
        raise Internal(f"The list of styles {path} is not valid: {where}: {wrong['msg']}.", hint=hint) from reason
    if not found:
        raise Internal(f"The list of styles {path} is empty.", hint=hint)
    return found


def named(name: str | None, path: str = STYLES) -> tuple[str, StrokesStyle | DiffusionStyle]:
    """A style and its name.

    Args:
        name: from the spec; None means the first style in the file.
        path: of the file.

    Raises:
        SpecInvalid: there is no such style.
        Internal: as for `styles`.
    """
    found = styles(path)
    if name is None:
        return next(iter(found.items()))
    if name not in found:
        raise SpecInvalid(f"There is no style {name!r}; there are {', '.join(found)}.")
    return name, found[name]
