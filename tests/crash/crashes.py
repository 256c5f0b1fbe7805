"""Crash at a moment, restart, and check that every promise still holds."""

import random
from collections.abc import Callable
from functools import partial

from recorded_run import Moment
from simdisk import PowerLossError, SimDisk
from simulated_daemon import SimulatedDaemon, Users, check_ended, check_kept, check_visible

#: How much of what was not synced survives a power loss, besides nothing and everything.
SHARES = (0.3, 0.7, 0.9)


def choices(moment: Moment, seeds: int) -> list[tuple[str, Callable[[], SimDisk]]]:
    """The disks that a crash at this moment may leave, each made on demand."""
    disk = moment.disk
    left: list[tuple[str, Callable[[], SimDisk]]] = [
        ("killed", disk.after_kill),
        ("nothing unsynced stays", disk.after_power_loss),
    ]
    for seed in range(seeds):
        share = SHARES[(moment.number + seed) % len(SHARES)]
        chance = random.Random(moment.number * 1000 + seed)
        left.append((f"seed {seed}: {share:.0%} stays", partial(disk.after_power_loss, chance, keep=share)))
    return left


def recover(disk: SimDisk, users: Users, *, killed: bool, cancel: bool = False) -> SimulatedDaemon:
    """Start on what a crash left, finish all work, and check.

    Args:
        disk: what the crash left.
        users: as they were at the crash.
        killed: whether only the process died, so that no status may be damaged.
        cancel: whether somebody cancels all that was under way: what the life before had begun must not show then.
    """
    check_visible(disk, statuses=killed)
    check_kept(disk, users, places=2)
    simulated = SimulatedDaemon(disk, users)
    simulated.start()
    if cancel and (live := list(simulated.ledger.jobs.live)):
        users.ask(disk, "cancel", *live)
    simulated.rest()
    check_ended(simulated)
    # What is said to have ended must be so for good.
    later = disk.after_power_loss()
    check_visible(later)
    check_kept(later, users)
    return simulated


def crash_again(disk: SimDisk, users: Users, at: int) -> SimDisk | None:
    """Start on what a crash left, and lose the power before the operation with this number; none if it had fewer."""

    def before(number: int, _name: str, _path: bytes) -> None:
        if number == at:
            disk.dead = True
            raise PowerLossError

    disk.before = before
    simulated = SimulatedDaemon(disk, users)
    try:
        simulated.start()
        simulated.rest()
    except PowerLossError:
        return disk.copy_disk()
    return None
