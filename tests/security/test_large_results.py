"""What a worker leaves may be very large; the daemon hears and does everything else meanwhile."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from daemon.fs import LocalFiles
from daemon.outbox import Outbox
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture
def checking(tmp_path: Path):
    """A daemon whose worker has left 18 GB, and is gone."""
    with quick_folder(tmp_path / "home") as folder:
        folder.start()
        folder.pair("huge.jpg", b"huge")
        until(lambda: [status for status in folder.of("huge.jpg") if (status["progress"] or {}).get("stage") == "checking"], 30)
        yield folder


def the_huge_one(folder: QuickFolder) -> dict:
    (status,) = folder.of("huge.jpg")
    return status


def test_while_a_large_result_is_checked_others_are_done_and_it_can_be_cancelled(checking: QuickFolder) -> None:
    checking.pair("other.jpg", b"good")
    checking.done("other.jpg", 30)
    before = checking.health()["alive_at"]
    until(lambda: checking.health()["alive_at"] != before, 10)
    assert the_huge_one(checking)["state"] == "processing", "else this test needs a larger file"
    began = time.monotonic()
    assert checking.run("cancel", the_huge_one(checking)["job_id"]).returncode == 0
    until(lambda: the_huge_one(checking)["state"] == "cancelled", 10)
    print(f"cancelled after {time.monotonic() - began:.2f} s, with the start of the verb")
    until(lambda: not list(checking.outbox.glob(".work/*/result/huge.psd")))


def test_a_stop_does_not_wait_for_the_check_of_a_large_result_and_that_is_no_attempt(checking: QuickFolder) -> None:
    assert checking.stop(signal.SIGTERM) == 0
    status = the_huge_one(checking)
    assert (status["state"], status["attempts"]) == ("pending", 0), json.dumps(status)


def test_a_great_many_files_are_removed_a_few_milliseconds_at_a_time(tmp_path: Path) -> None:
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    attempt = outbox.new_attempt()
    for number in range(20_000):
        os.close(os.open(os.path.join(outbox.attempt(attempt), b"%d" % number), os.O_CREAT | os.O_WRONLY))
    outbox.discard_attempt(attempt)
    assert os.path.exists(outbox.attempt(attempt)), "the rest is left to later rounds"
    rounds = 0
    while outbox.remove_more():
        rounds += 1
    assert rounds > 1
    assert os.listdir(outbox.work) == []
