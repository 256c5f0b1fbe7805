"""Reads values that older versions wrote into records. Leaves out what is out of today's bounds."""

from typing import Annotated, Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from daemon.contract.bounds import MAX_OF_A_WORD, MAX_SECONDS, Timings
from daemon.contract.status import Source


def _sane_source(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - validators get and return any type
    """Leave out values of the source that are out of bounds, so that records from before the bounds can still be read."""
    try:
        return read(value)
    except ValidationError as error:
        broken = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False) if problem["loc"]}
        if not isinstance(value, dict) or not broken <= Source.model_fields.keys():
            raise
        return read({"image": "unknown", "bytes": 0} | {key: part for key, part in value.items() if key not in broken})


def _sane_timings(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - as above
    """Leave out timings that are out of bounds. JSON has no NaN, so older versions wrote null for it."""
    try:
        return read(value)
    except ValidationError:
        if not isinstance(value, dict):
            raise
        return {
            stage: seconds
            for stage, seconds in value.items()
            if isinstance(seconds, int | float) and 0.0 <= seconds <= MAX_SECONDS and len(stage) <= MAX_OF_A_WORD
        }


LenientSource = Annotated[Source, WrapValidator(_sane_source)]
LenientTimings = Annotated[Timings, WrapValidator(_sane_timings)]
