"""The verbs that only look import little: a person waits for every import, and notices a quarter of a second."""

import json
import os
import subprocess
import sys

import pytest
from job_records import accepted, publishing

from daemon.contract.records import Claimed, Ended, Started
from daemon.fs import LocalFiles
from daemon.journal import Journal
from daemon.outbox import Outbox

#: The program, which at its end prints a line with the names of all modules that it imported.
ASK = """
import atexit, json, sys
atexit.register(lambda: print("\\n" + json.dumps(list(sys.modules))))
from daemon.cli import main
main()
"""
#: What only the daemon and the verbs that change something need.
HEAVY = {
    *("loguru", "asyncio", "ssl", "multiprocessing", "watchdog", "concurrent.futures"),
    *("importlib.metadata", "email.message", "daemon.cluster"),
    *("daemon.service", "daemon.supervisor", "daemon.running", "daemon.views", "daemon.doctor", "daemon.journal.journal"),
    *("daemon.outbox.publish", "daemon.contract.manifest", "daemon.contract.messages"),
}
if sys.platform == "linux":
    HEAVY.add("psutil")
#: What a line that names no verb does not need either.
WORK = {
    "yaml",
    "psutil",
    "daemon.errors",
    "daemon.settings.model",
    "daemon.fs",
    "daemon.journal",
    "daemon.cli.common",
}
JOB = "20260131T120000-photo-0123abcd"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one job that ended and one that waits, and no daemon."""
    home = tmp_path_factory.mktemp("home")
    journal = Journal(
        LocalFiles(), os.fsencode(home / ".state/journal"), clock=lambda: "2026-01-31T12:00:00.000Z", version="1", boot_id="b"
    )
    journal.recover()
    journal.begin(1, 1, [])
    made = publishing(JOB)
    journal.append([accepted(JOB), Claimed(job=JOB), Started(job=JOB, attempt="x"), made])
    journal.append([Ended(job=JOB, state="completed", source=made.source, processing_seconds=1.5)])
    journal.append([accepted(JOB[:-1] + "e"), Claimed(job=JOB[:-1] + "e")])
    journal.close()
    Outbox(LocalFiles(), os.fsencode(home / "outbox")).prepare()
    (home / "outbox" / JOB).mkdir()
    (home / "inbox").mkdir()
    (home / "inbox" / "lonely.jpg").touch()
    return home


def imported(home, *arguments: str, **environment: str) -> tuple[str, set[str]]:
    """What the program prints with these arguments, and the modules that it imported."""
    given = {**os.environ, "MULTIPLANE_HOME": str(home), "MULTIPLANE_CONFIG": "", "COLUMNS": "200", **environment}
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK, *arguments], env=given, capture_output=True, text=True, check=True, timeout=60
    )
    said, _, modules = done.stdout.rstrip("\n").rpartition("\n")
    return said, set(json.loads(modules))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("jobs",), JOB), (("show", JOB), "completed"), (("waiting",), "lonely.jpg"), (("jobs", "--json"), JOB)],
)
def test_a_verb_that_only_looks_imports_nothing_of_the_daemon_at_work(home, arguments, told) -> None:
    said, modules = imported(home, *arguments)
    assert told in said
    assert modules & HEAVY == set()
    assert "daemon.cli.common" in modules


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (("--version",), {}, "multiplane "),
        (("--help",), {}, "Show the history of one job"),
        ((), {"_MULTIPLANE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "multiplane wai"}, "waiting"),
    ],
)
def test_a_line_that_names_no_verb_imports_no_verb(home, arguments, environment, told) -> None:
    said, modules = imported(home, *arguments, **environment)
    assert told in said
    assert modules & (HEAVY | WORK) == set()
    # Typer itself imports pydantic when it completes a line.
    assert "pydantic" not in modules or environment
    assert not [name for name in modules if name.startswith("daemon.cli.verbs")]


def test_completing_an_id_reads_no_journal(home) -> None:
    line = {"_MULTIPLANE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"multiplane show {JOB[:10]}"}
    said, modules = imported(home, **line)
    assert JOB in said
    assert modules & HEAVY == set()
