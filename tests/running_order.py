"""In which order the test files run, and which of them share a process.

The longest begin first, so that none of them is left to run alone at the end. `durations.json` has the seconds that a file took;
`make test OPTIONS=--record-durations` writes it anew. Files that are not in it are short.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

RECORDED = Path(__file__).with_name("durations.json")
SHORT = 5
"""Seconds below which a file is not recorded: it ends soon wherever it begins."""
SHARED = {
    "test_paintings.py": "diffusion",
    "test_models_used.py": "diffusion",
    "test_diffusion.py": "diffusion",
    "test_depth_model.py": "depth models",
    "test_depth_choose.py": "depth models",
    "test_preparation.py": "depth models",
}
"""Files that load transformers or diffusers, which takes longer than most of their tests: one process runs all that have the same
name here, one after the other."""


def process_of(file: str) -> str:
    """Files for which this is the same run in one process; `file` is a path below the checkout."""
    return SHARED.get(PurePosixPath(file).name, file)


def in_order(files: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Put test files in order.

    Args:
        files: paths below the checkout, in any order.
        seconds: what those that are not short took.

    Returns:
        The longest first, and those of one process together. Then, by turns, the short ones that wait for processes and the short
        ones that compute, so that no core is idle.
    """
    files = list(dict.fromkeys(files))
    took: dict[str, float] = defaultdict(float)
    for file in files:
        took[process_of(file)] += seconds.get(file, 0.0)
    short = [file for file in files if not took[process_of(file)]]
    longest = [file for file in files if took[process_of(file)]]
    longest.sort(key=lambda file: (-took[process_of(file)], process_of(file)))
    waiting = [file for file in short if PurePosixPath(file).parts[1] in ("acceptance", "process")]
    computing = [file for file in short if file not in waiting]
    turn = {file: number / len(kind) for kind in (waiting, computing) for number, file in enumerate(kind)}
    return longest + sorted([*waiting, *computing], key=lambda file: turn[file])


def recorded() -> dict[str, int]:
    """The seconds that files took, by their paths below the checkout."""
    found: dict[str, int] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def record(seconds: Mapping[str, float]) -> None:
    """Write down what files took; what is known of others that are still there stays."""
    checkout = RECORDED.parents[1]
    known = {file: took for file, took in recorded().items() if file not in seconds and (checkout / file).is_file()}
    known |= {file: round(took) for file, took in seconds.items() if took >= SHORT}
    longest_first = dict(sorted(known.items(), key=lambda entry: (-entry[1], entry[0])))
    RECORDED.write_text(json.dumps(longest_first, indent=1) + "\n", encoding="utf-8")
