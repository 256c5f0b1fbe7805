"""`python -m pipeline devices`: where models could run on this machine, as JSON. Loads PyTorch, and nothing of the pipeline."""

import json
import sys


def main() -> int:
    """Print what there is: true, false, or a sentence for a device that is there but fails at a small sum."""
    try:
        import torch
    except (ImportError, OSError) as error:
        found: dict[str, object] = {"torch": None, "error": f"{type(error).__name__}: {error}"}
    else:
        found = {
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.is_available() and _works("cuda"),
            "mps": torch.backends.mps.is_available() and _works("mps"),
        }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _works(device: str) -> bool | str:
    """Whether a device adds up, or what it says instead."""
    import torch

    try:
        total = float(torch.ones(8, device=device).sum())
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return total == 8.0 or f"eight ones add up to {total:g}"
