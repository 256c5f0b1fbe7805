"""A disk error at any operation is handled, or stops the daemon with a clear message; afterwards work continues.

A shorter life (`trouble`) meets one error at one operation, once or from then on. The daemon may stop with a JournalError, or it
goes on; nothing else may come out of its parts. Then the disk works again, the daemon starts (after a stop in half of the cases
on what a power loss leaves), and all the promises are checked.
"""

import errno
import os
from collections import Counter

import pytest
from simdisk import SimDisk, error
from simulated_daemon import SimulatedDaemon, Users, check_ended, check_kept, check_visible, new_disk

from daemon.journal import JournalError

soak = pytest.mark.skipif("SOAK_TESTS" not in os.environ, reason="part of make soak")
NUMBERS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR}


def trouble(disk: SimDisk, users: Users) -> None:
    """A run that continues whatever happens at each step."""
    simulated = SimulatedDaemon(disk, users)
    users.drop(disk, b"one.jpg", b"good one")
    users.drop(disk, b"one.yaml", b"id: order-1\n")
    users.drop(disk, b"two.jpg", b"crash-1 two")
    users.drop(disk, b"two.yaml", b"id: order-2\npriority: 1\n")
    users.drop(disk, b"quick/four.jpg", b"bad four")
    try:
        simulated.start()
    except OSError as failure:
        raise JournalError("it could not start") from failure
    for _ in range(5):
        simulated.turn()
    users.drop(disk, b"five.jpg", b"slow five")
    users.drop(disk, b"five.yaml", b"id: order-5\npriority: 9\n")
    for _ in range(3):
        simulated.turn()
    users.ask(disk, "cancel", "order-5", "order-2")
    for _ in range(4):
        simulated.turn()
    if (job := simulated.ledger.jobs.find("order-1")) and job.ended:
        users.ask(disk, "rm", "order-1")
    for _ in range(3):
        simulated.turn()


def counts() -> tuple[int, int]:
    """How many operations of the run change something, and how many only read."""
    disk = new_disk()
    trouble(disk, Users())
    return disk.operations, disk.looks


def inject_fault(at: int, kind: str, *, lasting: bool, looks: bool = False) -> str:
    """Inject one error into the run; returns how the daemon handled it."""
    disk, users = new_disk(), Users()

    def fail(number: int, _name: str, path: bytes) -> None:
        if number == at or (lasting and number > at):
            raise error(NUMBERS[kind], path)

    def shorten(number: int, data: bytes) -> bytes:
        return data[: len(data) // 2] if number == at or (lasting and number > at) else data

    if kind == "short":
        disk.shorten = shorten
    elif looks:
        disk.before_look = fail
    else:
        disk.before = fail
    end = "handled"
    try:
        trouble(disk, users)
    except JournalError:
        end = "stopped"
    after = disk.after_power_loss() if end == "stopped" and at % 2 else disk.after_kill()
    check_visible(after, statuses=not (end == "stopped" and at % 2))
    check_kept(after, users, places=2)
    simulated = SimulatedDaemon(after, users)
    simulated.start()
    simulated.rest()
    check_ended(simulated)
    return end


def strike_everywhere(kinds: tuple[str, ...], step: int, *, lasting: bool, looks: bool = False) -> Counter:
    ends: Counter = Counter()
    for kind in kinds:
        for at in range(1, counts()[looks] + 1, step):
            try:
                ends[inject_fault(at, kind, lasting=lasting, looks=looks)] += 1
            except Exception as failure:
                which = "look" if looks else "operation"
                failure.add_note(f"{kind} at {which} {at}{' and ever after' if lasting else ''}")
                raise
    return ends


STEP = 1 if "SOAK_TESTS" in os.environ else 11


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "EINTR"])
def test_an_error_at_any_operation_is_handled_or_stops_the_daemon(kind, lasting):
    ends = strike_everywhere((kind,), STEP, lasting=lasting)
    assert ends["stopped"], "no operation of the journal was struck"
    assert lasting or ends["handled"], "nothing else was struck"


def test_a_short_write_anywhere_is_continued():
    ends = strike_everywhere(("short",), STEP, lasting=False)
    assert set(ends) == {"handled"}


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for ever"])
def test_a_look_that_fails_is_handled_or_stops_the_daemon(lasting):
    assert strike_everywhere(("EIO",), 2 * STEP, lasting=lasting, looks=True)["handled"]
