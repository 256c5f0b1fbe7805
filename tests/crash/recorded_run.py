"""A run of the daemon in which everything happens once, recorded before each disk operation."""

from dataclasses import dataclass
from pathlib import Path

from simdisk import SimDisk
from simulated_daemon import INBOX, SimulatedDaemon, Users, check_kept, check_visible, new_disk

from daemon.settings import load


@dataclass
class Moment:
    """The disk and the users just before an operation."""

    number: int
    name: str
    path: bytes
    disk: SimDisk
    users: Users


def live(disk: SimDisk, users: Users) -> SimulatedDaemon:
    """Drop, run, fail, try again, cancel, retry, remove, redo, stop, start, and drop once more."""
    simulated = SimulatedDaemon(disk, users)
    simulated.start()
    simulated.turn()
    users.drop(disk, b"one.jpg", b"good one")
    users.drop(disk, b"._one.jpg", b"the metadata of one")
    users.drop(disk, b"one.depth.png", b"the depth of one")
    users.drop(disk, b"one.yaml", b"id: order-1\n")
    users.drop(disk, b"two.jpg", b"crash-1 two")
    users.drop(disk, b"two.yaml", b"id: order-2\npriority: 1\n")
    users.drop(disk, b"three.jpg", b"bad three")
    users.drop(disk, b"three.yaml", b"id: order-3\npriority: -2\n")
    users.drop(disk, b"quick/four.jpg", b"good four")
    for _ in range(3):
        simulated.turn()
    users.drop(disk, b"five.jpg", b"slow five")
    users.drop(disk, b"five.yaml", b"id: order-5\npriority: 9\n")
    users.drop(disk, b"six.jpg", b"good six")
    users.drop(disk, b"six.yaml", b"num_layers: none of your business\nid: order-6\n")
    _until(simulated, lambda: _state(simulated, "order-5") == "processing")
    users.ask(disk, "cancel", "order-5")
    _until(simulated, lambda: not simulated.ledger.jobs.live)
    users.ask(disk, "retry", "order-3", "order-5", "order-1", "nobody")
    simulated.turn()
    users.ask(disk, "cancel", "order-5")
    _until(simulated, lambda: not simulated.ledger.jobs.live)
    users.ask(disk, "rm", "order-1", "order-3")
    simulated.turn()
    users.drop(disk, b"one.jpg", b"good one again")
    users.drop(disk, b"one.yaml", b"id: order-1\nnum_layers: 5\n")
    users.drop(disk, b"seven.jpg", b"good seven")
    users.drop(disk, b"seven.yaml", b"id: order-2\n")
    simulated.turn()
    half, whole = b"torn eight", b"good eight, all of it"
    users.drop(disk, b"eight.jpg", half)
    users.drop(disk, b"eight.depth.png", b"the depth of eight")
    users.drop(disk, b"eight.yaml", b"id: order-8\n")
    users.drop(disk, b"nine.jpg", b"torn nine")
    users.drop(disk, b"nine.yaml", b"id: order-9\n")
    users.drop(disk, b"quick/ten.jpg", b"torn ten")
    if disk.inbox_device is None:
        _until(simulated, lambda: len(simulated.ledger.jobs.returned) == 3)
        assert _state(simulated, "order-8") == "pending"
        users.ask(disk, "cancel", next(job for job in simulated.ledger.jobs.returned if "ten" in job))
    else:
        _until(simulated, lambda: simulated.ledger.jobs.find("order-8") and simulated.ledger.jobs.find("order-8").back)
    assert disk.write_on(half, whole)
    users.dropped[whole] = users.dropped.pop(half)
    _until(simulated, lambda: _state(simulated, "order-8") == "completed")
    users.ask(disk, "redo", "order-8")
    simulated.turn()
    simulated.journal.close()
    simulated = SimulatedDaemon(disk, users)
    simulated.start()
    simulated.rest()
    if disk.inbox_device is None:
        job = simulated.ledger.jobs.find("order-9")
        assert job.ended.error.message.endswith("nothing came within 10 minutes."), job.ended
    return simulated


def live_together(disk: SimDisk, users: Users) -> SimulatedDaemon:
    """Three jobs at a time: they start, are published and end together; one of them is cancelled."""
    simulated = SimulatedDaemon(disk, users)
    simulated.start()
    for name in (b"one", b"two", b"three", b"four", b"five"):
        users.drop(disk, name + b".jpg", (b"slow " if name == b"two" else b"good ") + name)
        users.drop(disk, name + b".yaml", b"id: " + name + b"\n")
    _until(simulated, lambda: _state(simulated, "five") == "completed")
    users.ask(disk, "cancel", "two")
    simulated.rest()
    return simulated


def _until(simulated: SimulatedDaemon, condition) -> None:
    for _ in range(60):
        if condition():
            return
        simulated.turn()
    raise AssertionError("it does not happen")


def _state(simulated: SimulatedDaemon, job_id: str) -> str | None:
    job = simulated.ledger.jobs.find(job_id)
    return job and job.state


def moments(*, every: int = 1, two_disks: bool = False, together: bool = False) -> tuple[list[Moment], SimulatedDaemon]:
    """The run, captured before each disk operation (or every so many); at each, what people can see is checked.

    `together`: three jobs run at a time.
    """
    disk, users = new_disk(), Users()
    if together:
        users.settings = load(Path("/studio"), {"MULTIPLANE_CONFIG": "/dev/null", "MULTIPLANE_QUEUE__MAX_CONCURRENT_JOBS": "3"})
    if two_disks:
        disk.inbox_device = (INBOX, 2)
    seen: list[Moment] = []

    def before(number: int, name: str, path: bytes) -> None:
        if number % every == 0:
            check_visible(disk)
            seen.append(Moment(number, name, path, disk.copy_disk(), users.copy()))

    disk.before = before
    simulated = (live_together if together else live)(disk, users)
    check_kept(disk, users)
    return seen, simulated
