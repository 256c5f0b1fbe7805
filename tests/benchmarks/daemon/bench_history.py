"""A long history: what the verbs that look back cost, with the indexes of the journal and without them.

Run: python -m tests.benchmarks history, or this file with the number of jobs. Bars with 100,000 ended jobs: `jobs` and `show`
≤ 0.5 s, the last page of `jobs` and `stats` over everything ≤ 2 s, each ≤ 100 MB. The verbs that find no index also write it.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.daemon.bench_journal import OLDEST, write_history
from tests.benchmarks.daemon.fresh_process import EMPTY, MULTIPLANE, cost, row


def main() -> None:
    """Print the table."""
    jobs = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 100_000
    last_page = str(max(1, jobs // 50))
    verbs = ((("jobs",), 0.5), (OLDEST, 0.5), (("jobs", "--page", last_page), 2.0), (("stats", "--days", "36500"), 2.0))
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        write_history(home, jobs)
        environment = {**os.environ, "MULTIPLANE_HOME": str(home), "MULTIPLANE_CONFIG": os.devnull}
        empty = cost(EMPTY, environment)
        indexes = list((home / ".state" / "journal").glob("*.index"))
        print(
            f"{jobs:,} ended jobs, {len(indexes)} indexes of {sum(path.stat().st_size for path in indexes) / 1e6:.0f} MB in all"
        )
        for arguments, bar in verbs:
            print(row(" ".join(arguments), cost((MULTIPLANE, *arguments), environment), empty, bar), flush=True)
        for arguments, bar in verbs:
            for path in indexes:
                path.unlink(missing_ok=True)
            print(row(" ".join(arguments) + ", no index", cost((MULTIPLANE, *arguments), environment, 1), empty, bar), flush=True)


if __name__ == "__main__":
    main()
