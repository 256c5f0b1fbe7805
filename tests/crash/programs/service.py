"""The real daemon of a home with the fast worker: what `multiplane run` does, without a terminal.

Usage: service.py HOME [--once] [--record FILE]. With `--record` every operation that changes something is written to the file
as the name of the operation and its path, as they go through `daemon.fs`.
"""

import argparse
import os
import sys
from pathlib import Path

from loguru import logger

from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.journal import JournalError
from daemon.service import assemble
from daemon.settings import load
from tests.path_based_folder import ByPath

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fast_worker.py")
EXIT_JOURNAL = 74


class RecordedFiles(LocalFiles):
    """The real disk, with a record of every operation."""

    def __init__(self, record: str) -> None:
        self._record = open(record, "ab", buffering=0)  # noqa: SIM115 - for the life of the process

    def _note(self, name: str, *paths: bytes) -> None:
        self._record.write(name.encode() + b" " + b" ".join(paths) + b"\n")

    def hold(self, path):
        return ByPath(self, path)

    def create(self, path):
        self._note("open", path)
        return super().create(path)

    def append(self, path):
        self._note("open", path)
        return super().append(path)

    def lock(self, path):
        self._note("open", path)
        return super().lock(path)

    def rename(self, source, target):
        self._note("rename", source, target)
        super().rename(source, target)

    def unlink(self, path):
        self._note("unlink", path)
        super().unlink(path)

    def mkdir(self, path):
        self._note("mkdir", path)
        super().mkdir(path)

    def rmdir(self, path):
        self._note("rmdir", path)
        super().rmdir(path)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--record")
    chosen = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{time:HH:mm:ss.SSS} {level: <7} {message}")
    settings = load(chosen.home, os.environ)
    fs = RecordedFiles(chosen.record) if chosen.record else LocalFiles()
    try:
        return assemble(settings, fs, argv=(sys.executable, "-I", "-S", WORKER)).run(once=chosen.once)
    except Refusal as refusal:
        print(f"refused: {refusal.message}", file=sys.stderr)
        return refusal.exit_status
    except JournalError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return EXIT_JOURNAL
    except OSError as error:
        print(f"could not start or go on: {error}", file=sys.stderr)
        return EXIT_JOURNAL + 1


if __name__ == "__main__":
    raise SystemExit(main())
