"""Decides in which order the test files run, and which of them share a process.

The longest begin first, so that none of them is left to run alone at the end. `durations.json` has the seconds that files took;
`make test OPTIONS=--record-durations` writes it anew. Files that are not in it are short.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

RECORDED = Path(__file__).with_name("durations.json")
SHORT = 5
"""Files that take less than these seconds are not recorded: they end soon wherever they begin."""
SHARED = {
    "test_paintings.py": "models",
    "test_models_used.py": "models",
    "test_diffusion.py": "models",
    "test_hidden.py": "models",
    "test_template_kinds.py": "models",
    "test_matting.py": "models",
    "test_depth_model.py": "models",
    "test_depth_choose.py": "models",
    "test_preparation.py": "models",
}
"""File → group, for files that load transformers or diffusers, which takes longer than most of their tests. One process runs all
files of a group, one after the other."""


def process_of(file: str) -> str:
    """The group of a file (a path relative to the checkout), or the file itself. Files with the same answer share a process."""
    return SHARED.get(PurePosixPath(file).name, file)


def in_order(files: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Put test files in order.

    Args:
        files: paths relative to the checkout, in any order.
        seconds: file → how long it takes, for files that are not short.

    Returns:
        The longest first, and those of one process together. Then the short files: those that mostly wait for processes alternate
        with those that compute, so that no core is idle.
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
    """File, relative to the checkout → the seconds that it took."""
    found: dict[str, int] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def record(seconds: Mapping[str, float]) -> None:
    """Write down how many seconds files took. What is recorded for other files stays, if they still exist."""
    checkout = RECORDED.parents[1]
    known = {file: took for file, took in recorded().items() if file not in seconds and (checkout / file).is_file()}
    known |= {file: round(took) for file, took in seconds.items() if took >= SHORT}
    longest_first = dict(sorted(known.items(), key=lambda entry: (-entry[1], entry[0])))
    RECORDED.write_text(json.dumps(longest_first, indent=1) + "\n", encoding="utf-8")
