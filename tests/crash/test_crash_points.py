"""A crash before any operation loses nothing, does nothing twice, shows nothing half-done, and every job still ends.

The daemon's parts live on a simulated disk (`simdisk`) through everything that can happen to a job (`life`); before each
operation the disk is copied, and each copy is crashed in several ways and started again.
"""

import os
import random
from collections import Counter

import pytest
from crashes import choices, crash_again, recover
from recorded_run import moments
from simulated_daemon import check_ended, check_kept, check_visible

soak = pytest.mark.skipif("SOAK_TESTS" not in os.environ, reason="part of make soak")


@pytest.fixture(scope="module")
def life():
    return moments()


@pytest.fixture(scope="module")
def life_on_two_disks():
    return moments(two_disks=True)


def crash_everywhere(seen, seeds: int, only=lambda _number, _place: True) -> Counter:
    """Crash at all of these moments; returns how many states were started from."""
    states: Counter = Counter()
    for moment in seen:
        for place, (what, left) in enumerate(choices(moment, seeds)):
            if not only(moment.number, place):
                continue
            states[what.split()[0]] += 1
            try:
                recover(left(), moment.users.copy(), killed=what == "killed", cancel=moment.number % 4 < 2)
            except Exception as error:
                error.add_note(f"crashed before operation {moment.number} ({moment.name} {moment.path!r}); {what}")
                raise
    return states


def test_the_life_goes_through_every_operation_and_ends_well(life):
    seen, simulated = life
    check_ended(simulated)
    assert {moment.name for moment in seen} == {
        "create", "append", "write", "sync", "rename", "link", "unlink", "mkdir", "rmdir", "sync_dir", "sync_file", "copy",
    }  # fmt: skip
    states = {job.state for job in simulated.history.backwards()}
    assert states == {"completed", "failed", "cancelled"}
    assert simulated.journal.segment > 4, "no new segment began by itself"


def test_what_was_said_to_have_ended_stays_so_after_a_power_loss(life):
    _seen, simulated = life
    disk = simulated.disk.after_power_loss()
    check_visible(disk)
    check_kept(disk, simulated.users)


def test_a_crash_before_any_operation_loses_nothing(life):
    """Alternates between a kill, a power loss that loses everything unsynced, and one that loses part of it."""
    seen, _simulated = life
    states = crash_everywhere(seen, 1, lambda number, place: place == number % 3)
    assert sum(states.values()) == len(seen) > 600
    assert set(states) == {"killed", "nothing", "seed"}


def test_a_crash_before_any_operation_of_a_claim_across_disks_loses_nothing(life_on_two_disks):
    seen, simulated = life_on_two_disks
    check_ended(simulated)
    copying = [moment for moment in seen if moment.name == "copy" or b"/source" in moment.path or b"/inbox" in moment.path]
    states = crash_everywhere(copying, 1, lambda number, place: place == number % 3)
    assert sum(states.values()) > 100


def test_a_crash_while_jobs_start_and_end_together_loses_nothing():
    seen, simulated = moments(together=True)
    groups = [entry.group for entry in simulated.history.entries() if entry.record.event == "publishing"]
    assert len(groups) == 4
    assert len(set(groups)) < 4, "no results were published together"
    begin = next(moment.number for moment in seen if b"/.work/" in moment.path and moment.name == "create")
    late = [moment for moment in seen if moment.number >= begin and b"status" not in moment.path]
    states = crash_everywhere(late[::2], 1, lambda number, place: place == number % 3)
    assert sum(states.values()) > 40


def test_a_crash_during_the_recovery_from_a_crash_loses_nothing(life):
    seen, _simulated = life
    again = 0
    for moment in seen[::9]:
        chance = random.Random(moment.number)
        disk = choices(moment, 1)[moment.number % 3][1]()
        users = moment.users.copy()
        number = chance.randrange(1, 40)
        left = crash_again(disk, users, number)
        if left is None:
            continue
        again += 1
        disk = left.after_power_loss(chance, keep=0.6) if moment.number % 2 else left.after_power_loss()
        try:
            recover(disk, users, killed=False)
        except Exception as error:
            error.add_note(
                f"crashed before operation {moment.number} of the life, then before operation {number} of the recovery"
            )
            raise
    assert again > 50


@soak
def test_many_more_crash_states(life):
    seen, _simulated = life
    states = crash_everywhere(seen, 8)
    assert sum(states.values()) == 10 * len(seen)


@soak
def test_a_crash_before_any_operation_of_any_recovery(life):
    """Two crashes in a row, the second before each operation of what follows the first."""
    seen, _simulated = life
    for moment in seen[::5]:
        for number in range(1, 200, 3):
            disk = choices(moment, 1)[number % 3][1]()
            users = moment.users.copy()
            left = crash_again(disk, users, number)
            if left is None:
                break
            chance = random.Random(number)
            try:
                recover(left.after_power_loss(chance, keep=chance.choice((0.0, 0.3, 0.8))), users, killed=False)
            except Exception as error:
                error.add_note(f"crashed before operation {moment.number} of the life, then before operation {number} after it")
                raise
