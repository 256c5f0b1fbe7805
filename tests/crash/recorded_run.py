"""A life of the daemon in which everything happens once, recorded before each of its operations on the disk."""

from dataclasses import dataclass

from simdisk import SimDisk
from simulated_daemon import INBOX, House, World, check_kept, check_visible, new_disk


@dataclass
class Moment:
    """The disk and the world just before an operation."""

    number: int
    name: str
    path: bytes
    disk: SimDisk
    world: World


def live(disk: SimDisk, world: World) -> House:
    """Drop, run, fail, try again, cancel, retry, remove, stop, start, and drop once more."""
    house = House(disk, world)
    house.start()
    house.turn()
    world.drop(disk, b"one.jpg", b"good one")
    world.drop(disk, b"._one.jpg", b"the metadata of one")
    world.drop(disk, b"one.depth.png", b"the depth of one")
    world.drop(disk, b"one.yaml", b"id: order-1\n")
    world.drop(disk, b"two.jpg", b"crash-1 two")
    world.drop(disk, b"two.yaml", b"id: order-2\npriority: 1\n")
    world.drop(disk, b"three.jpg", b"bad three")
    world.drop(disk, b"three.yaml", b"id: order-3\npriority: -2\n")
    world.drop(disk, b"quick/four.jpg", b"good four")
    for _ in range(3):
        house.turn()
    world.drop(disk, b"five.jpg", b"slow five")
    world.drop(disk, b"five.yaml", b"id: order-5\npriority: 9\n")
    world.drop(disk, b"six.jpg", b"good six")
    world.drop(disk, b"six.yaml", b"num_layers: none of your business\nid: order-6\n")
    _until(house, lambda: _state(house, "order-5") == "processing")
    world.ask(disk, "cancel", "order-5")
    _until(house, lambda: not house.ledger.jobs.live)
    world.ask(disk, "retry", "order-3", "order-5", "order-1", "nobody")
    house.turn()
    world.ask(disk, "cancel", "order-5")
    _until(house, lambda: not house.ledger.jobs.live)
    world.ask(disk, "rm", "order-1", "order-3")
    house.turn()
    world.drop(disk, b"one.jpg", b"good one again")
    world.drop(disk, b"one.yaml", b"id: order-1\nnum_layers: 5\n")
    world.drop(disk, b"seven.jpg", b"good seven")
    world.drop(disk, b"seven.yaml", b"id: order-2\n")
    house.turn()
    half, whole = b"torn eight", b"good eight, all of it"
    world.drop(disk, b"eight.jpg", half)
    world.drop(disk, b"eight.depth.png", b"the depth of eight")
    world.drop(disk, b"eight.yaml", b"id: order-8\n")
    world.drop(disk, b"nine.jpg", b"torn nine")
    world.drop(disk, b"nine.yaml", b"id: order-9\n")
    world.drop(disk, b"quick/ten.jpg", b"torn ten")
    if disk.inbox_device is None:
        _until(house, lambda: len(house.ledger.jobs.returned) == 3)
        assert _state(house, "order-8") == "pending"
        world.ask(disk, "cancel", next(job for job in house.ledger.jobs.returned if "ten" in job))
    else:
        _until(house, lambda: house.ledger.jobs.find("order-8") and house.ledger.jobs.find("order-8").back)
    assert disk.write_on(half, whole)
    world.dropped[whole] = world.dropped.pop(half)
    _until(house, lambda: _state(house, "order-8") == "completed")
    house.journal.close()
    house = House(disk, world)
    house.start()
    house.rest()
    if disk.inbox_device is None:
        job = house.ledger.jobs.find("order-9")
        assert job.ended.error.message.endswith("nothing came within 10 minutes."), job.ended
    return house


def _until(house: House, condition) -> None:
    for _ in range(60):
        if condition():
            return
        house.turn()
    raise AssertionError("it does not happen")


def _state(house: House, job_id: str) -> str | None:
    job = house.ledger.jobs.find(job_id)
    return job and job.state


def moments(*, every: int = 1, two_disks: bool = False) -> tuple[list[Moment], House]:
    """The life, seen before each of its operations (or every so many), checked at each as people may look at any time."""
    disk, world = new_disk(), World()
    if two_disks:
        disk.inbox_device = (INBOX, 2)
    seen: list[Moment] = []

    def before(number: int, name: str, path: bytes) -> None:
        if number % every == 0:
            check_visible(disk)
            seen.append(Moment(number, name, path, disk.copy_disk(), world.copy()))

    disk.before = before
    house = live(disk, world)
    check_kept(disk, world)
    return seen, house
