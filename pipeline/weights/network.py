"""Uses transformers to load a network from a checked folder, completely or not at all. Imports torch only when called."""

import contextlib
import warnings as python_warnings
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.weights.store import Weights


def load(found: Weights, kind: Any, what: str, never_used: Callable[[str, str], bool] = lambda _family, _part: False) -> Any:  # noqa: ANN401
    """Load a network in float32 on the CPU, ready for inference.

    Half-precision files are upcast: on a CPU, half precision is four times slower.

    Args:
        found: checked weights.
        kind: the class in transformers whose `from_pretrained` loads the network.
        what: what the network is, for the error message: "a matting model".
        never_used: called with the network's model type and the name of a missing weight; True if the network never uses this
            weight, so that it may be missing.

    Raises:
        WeightsCorrupt: the folder does not contain such a network, or a part of it is missing.
    """
    import torch
    from safetensors import SafetensorError

    try:
        with quiet():
            network, loading = kind.from_pretrained(
                found.folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as reason:
        raise found.corrupt(f"The weights of {found.name} cannot be loaded as {what}.", reason) from reason
    # transformers would fill these with random numbers and continue.
    missing = sorted(part for part in loading["missing_keys"] if not never_used(network.config.model_type, part))
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise found.corrupt(f"The weights of {found.name} lack {missing[0]}{others}.", ", ".join(missing))
    return network.eval()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress libraries' deprecation warnings, which mean nothing to a person who dropped a photo."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore", DeprecationWarning)
        python_warnings.simplefilter("ignore", FutureWarning)
        yield
