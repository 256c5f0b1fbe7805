"""`make bench`: every benchmark, one table after the other. `python -m tests.benchmarks NAME…` runs some."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all of them."""
    known = {path.stem.removeprefix("bench_"): path.parent.name for path in sorted(HERE.glob("*/bench_*.py"))}
    unknown = set(names) - known.keys()
    if unknown:
        print(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        print(f"\n== {name} ==", flush=True)
        importlib.import_module(f"tests.benchmarks.{known[name]}.bench_{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
