"""How many layers of a result hold something, in words. Empty layers have files, too, so a number alone would puzzle."""

from daemon.contract.registry import ESTIMATES
from daemon.contract.status import Status


def layers_in_words(count: int, filled: int | None, *, source: str | None, thresholds_given: bool) -> str:
    """Such as `4 layers`, or `2 of 4 layers: the estimate saw no more`.

    Args:
        count: how many layers the result has.
        filled: how many of them are not empty; None if this is unknown.
        source: where the depth came from, as the manifest names it; None if this is unknown.
        thresholds_given: whether the job said where to split the depth.
    """
    if filled is None or filled >= count:
        return "1 layer" if count == 1 else f"{count} layers"
    estimated = source in ESTIMATES and not thresholds_given
    return f"{filled} of {count} layers: {'the estimate saw no more' if estimated else 'the others are empty'}"


def layers_of(status: Status) -> str | None:
    """The same for a job; None if it has no result, or its result was removed."""
    count = sum(output.kind == "layer" for output in status.outputs)
    if not count:
        return None
    given = status.spec is not None and isinstance(status.spec.split, tuple)
    return layers_in_words(count, status.filled_layers, source=status.depth_source, thresholds_given=given)
