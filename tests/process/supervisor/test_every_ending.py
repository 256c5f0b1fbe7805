"""One daemon with only misbehaving workers: every job ends with its code, the next one runs, and nothing is left."""

import os
import re
import sys
import time

import pytest
from loguru import logger
from supervised import members
from workers.driver import ACTOR

from daemon.contract.records import Started
from daemon.contract.status import Status
from daemon.fs import LocalFiles
from daemon.jobs import decide
from daemon.journal import History
from daemon.service import assemble
from daemon.settings import load
from tests.waiting import SLOWEST

#: What a worker may have, bytes: much more than Python, and soon eaten.
MEMORY = 256 << 20
#: What a worker does → how its job ends, how often it is tried, and what the person is told.
ENDINGS = {
    "hang": ("timeout", 1, "0.5 seconds"),
    "hang_in_c": ("timeout", 1, "0.5 seconds"),
    "ignore_sigterm": ("timeout", 1, "0.5 seconds"),
    "close_stdin_and_hang": ("timeout", 1, "0.5 seconds"),
    "fork_50_and_hang": ("worker_crashed", 1, "more than 32 processes"),
    "eat_memory": ("out_of_memory", 1, "the limit is 268 MB"),
    "segfault": ("worker_crashed", 3, "SIGSEGV"),
    "vanish": ("worker_crashed", 3, "ended without a result"),
    "lie": ("worker_crashed", 3, "its checksum differs"),
    "print_100_mb": (None, 1, ""),
    "close_stdin": (None, 1, ""),
    "good": (None, 1, ""),
}
#: The grace is also what an orderly end may take on a machine with other work.
LIMIT, GRACE = 0.5, 5.0
#: Beyond limit and grace a kill takes milliseconds; the rest is for machines with other work.
PATIENCE = 10.0 * SLOWEST


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The statuses of one job for each behaviour, and the process groups in which they ran."""
    home = tmp_path_factory.mktemp("home")
    settings = load(
        home,
        {
            "MULTIPLANE_CONFIG": "",
            "MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5",
            "MULTIPLANE_QUEUE__MAX_CONCURRENT_JOBS": "4",
            "MULTIPLANE_WORKER__GRACE_SECONDS": str(GRACE),
            "MULTIPLANE_WORKER__MAX_MEMORY_SHARE": str((MEMORY + 0.5) / os.sysconf("SC_PAGESIZE") / os.sysconf("SC_PHYS_PAGES")),
        },
    )
    inbox = home / "inbox"
    inbox.mkdir()
    then = time.time() - 3600
    for name, (code, _attempts, _words) in ENDINGS.items():
        seconds = LIMIT if code == "timeout" else 30 * SLOWEST
        for path, text in (
            (f"{name}.png", name),
            (f"{name}.png.yaml", f"id: {name.replace('_', '-')}\ntimeout_seconds: {seconds}\n"),
        ):
            (inbox / path).write_text(text)
            os.utime(inbox / path, (then, then))
    logger.disable("daemon")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "PAUSES", (0.01, 0.01))
        service = assemble(settings, LocalFiles(), argv=(sys.executable, "-I", "-S", ACTOR, "by_picture"))
        assert service.run(once=True) == 1
    logger.enable("daemon")
    statuses = {path.parent.name: Status.model_validate_json(path.read_bytes()) for path in home.glob("outbox/*/status.json")}
    records = [entry.record for entry in History(LocalFiles(), settings.paths.journal_bytes).entries()]
    groups = {record.process.group for record in records if isinstance(record, Started) and record.process}
    return statuses, groups


@pytest.mark.parametrize("behaviour", ENDINGS)
def test_every_job_ends_with_its_code_within_its_limit(day, behaviour):
    code, attempts, words = ENDINGS[behaviour]
    status = day[0][behaviour.replace("_", "-")]
    assert status.attempts == attempts
    if code is None:
        assert (status.state, status.error) == ("completed", None)
    else:
        assert status.error.code == code
        assert words in status.error.message
        assert status.error.hint
    if code == "timeout":
        assert LIMIT <= status.processing_seconds < LIMIT + GRACE + PATIENCE


def test_the_peak_of_memory_is_named_beside_the_limit(day):
    told = day[0]["eat-memory"].error.message
    peak, limit = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) MB", told))
    assert limit == 268  # 256 MiB
    assert 268 < peak < 4096


def test_nothing_is_left_of_any_of_them(day):
    statuses, groups = day
    assert set(statuses) == {behaviour.replace("_", "-") for behaviour in ENDINGS}
    assert len(groups) == sum(attempts for _code, attempts, _words in ENDINGS.values())
    assert [group for group in groups if members(group)] == []
