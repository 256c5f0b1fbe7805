"""Runs the tests against each seeded mistake of `mutations`, in a copy of the program.

Usage: python -m tests.crash.seeded.mutants [NAME…]. Prints which are caught, by what and how fast. The exit
status is 1 if one is not.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from edits import NoPlaceError, edited
from mutations import MUTATIONS, Mutation

from tests.programs import copy_program

ROOT = Path(__file__).resolve().parents[3]
#: A mutant that fails with one of these is itself broken: it would be caught whatever the tests look for.
_BROKEN = re.compile(
    r"^E +(?:NameError|UnboundLocalError|ImportError|ModuleNotFoundError|SyntaxError|AttributeError): .*", re.MULTILINE
)


def source_of(mutation: Mutation) -> str:
    """The module with the mistake in it.

    Raises:
        NoPlaceError: the mutation does not fit the program any more; says what to do.
    """
    try:
        return edited(_read(mutation.file), mutation.where, *mutation.edits)
    except (FileNotFoundError, NoPlaceError) as error:
        raise NoPlaceError(
            f"the mutation {mutation.name!r} of {mutation.file} does not fit any more: {error}. If the step has moved, name its "
            "new place in tests/crash/seeded/mutations.py; if it is done in another way, write the mistake that can be made "
            "there now."
        ) from error


def _read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def try_one(mutation: Mutation) -> str | None:
    """The test that noticed a mutation; None if none did."""
    return run(mutation.suite, {mutation.file: source_of(mutation)}, mutation.name)


def run(suite: Sequence[str], changed: dict[str, str], name: str) -> str | None:
    """Run tests on a copy of the program in which some files are changed; the first that failed, none if all passed.

    Raises:
        SystemExit: they could not be run, or failed because the change is no valid program.
    """
    with tempfile.TemporaryDirectory(prefix="multiplane-mutation-") as made:
        folder = copy_program(Path(made), "tests", "pyproject.toml", "README.md", "ARCHITECTURE.md")
        for file, text in changed.items():
            (folder / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "600", *suite]
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if told.returncode == 0:
        return None
    if told.returncode != 1 or "during collection" in told.stdout:
        raise SystemExit(f"{name}: the suite could not run:\n{told.stdout[-2000:]}{told.stderr[-2000:]}")
    if broken := _BROKEN.search(told.stdout):
        raise SystemExit(f"{name}: the mutation is no valid program, so that it is caught proves nothing: {broken[0]}")
    failed = [line.split()[1] for line in told.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0] if failed else "the suite"


def main(names: list[str] | None = None) -> int:
    """Try the mutations; 1 if one was not noticed or could not be tried, or if a test fails without any."""
    chosen = [mutation for mutation in MUTATIONS if not names or any(name in mutation.name for name in names)]
    begin = time.monotonic()
    wrong = 0

    def timed(mutation: Mutation) -> tuple[str | None, float]:
        start = time.monotonic()
        return try_one(mutation), time.monotonic() - start

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # The program as `ast` writes it, without a mistake: if its tests fail, no catch means anything.
        files = {mutation.file for mutation in chosen}
        same = {file: edited(_read(file), "") for file in files}
        suites = sorted({test for mutation in chosen for test in mutation.suite})
        control = pool.submit(run, suites, same, "no mutation")
        tried = {pool.submit(timed, mutation): mutation for mutation in chosen}
        for done in as_completed(tried):
            try:
                told, seconds = done.result()
            except (NoPlaceError, SystemExit) as error:
                wrong += 1
                print(f"BROKEN  {error}", flush=True)
                continue
            wrong += told is None
            print(
                f"{'caught' if told else 'MISSED'} {seconds:4.0f} s  {tried[done].name}" + (f"  ({told})" if told else ""),
                flush=True,
            )
        if broken := control.result():
            print(f"FAILED  without any mutation: {broken}")
    print(f"{len(chosen) - wrong} of {len(chosen)} seeded mistakes were caught in {time.monotonic() - begin:.0f} s")
    return 1 if wrong or broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
