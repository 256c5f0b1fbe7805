"""What a person waits for after typing a verb, in a home with a short history; each is a process of its own.

Run: python -m tests.benchmarks verbs. Bars: the verbs that only look ≤ 0.25 s, `doctor` ≤ 1.5 s. Machines differ, so each is also
compared with an empty interpreter.
"""

import os
import tempfile
from pathlib import Path

from tests.benchmarks.daemon.bench_journal import OLDEST, write_history
from tests.benchmarks.daemon.fresh_process import EMPTY, MULTIPLANE, cost, row

LIGHT, DOCTOR = 0.25, 1.5
JOBS = 20
VERBS = (("--version",), ("--help",), ("jobs",), ("waiting",), OLDEST)
ROUNDS = 9


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        write_history(home, JOBS + 1)
        environment = {**os.environ, "MULTIPLANE_HOME": str(home), "MULTIPLANE_CONFIG": os.devnull}
        empty = cost(EMPTY, environment, ROUNDS)
        print(f"an empty interpreter: {empty.wall:.3f} s, spread {empty.spread:.3f}, processor {empty.processor:.3f} s")
        for arguments in VERBS:
            print(row(" ".join(arguments), cost((MULTIPLANE, *arguments), environment, ROUNDS), empty, LIGHT), flush=True)
        for line in ("multiplane ", "multiplane show 2026", "multiplane jobs --st"):
            asked = {**environment, "_MULTIPLANE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
            print(row(f"completing '{line}'", cost((MULTIPLANE,), asked, ROUNDS), empty, LIGHT), flush=True)
        print(row("doctor", cost((MULTIPLANE, "doctor"), environment), empty, DOCTOR), flush=True)


if __name__ == "__main__":
    main()
