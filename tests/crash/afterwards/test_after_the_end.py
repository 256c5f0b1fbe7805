"""A crash before any operation of what follows a job: each result is delivered once and whole, each job told, old ones removed.

It is tried on the simulated disk, as for the jobs themselves (`test_crash_points`), in a shorter life of its own.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from crashes import choices, recover
from recorded_run import Moment
from simdisk import SimDisk
from simulated_daemon import PATHS, SimulatedDaemon, Users, check_ended, check_visible, new_disk

from daemon.settings import load

TARGET = b"/studio/delivered"
SETTINGS = load(
    Path("/studio"),
    {
        "MULTIPLANE_CONFIG": os.devnull,
        "MULTIPLANE_DELIVER__FOLDER": os.fsdecode(TARGET),
        "MULTIPLANE_HOOKS__ON_COMPLETED": "[tell]",
        "MULTIPLANE_HOOKS__ON_FAILED": "[tell]",
    },
)
#: What a crash can interrupt here. Claims have tests of their own.
PLACES = (TARGET, PATHS.outbox_bytes, PATHS.journal_bytes)
SOAK = "SOAK_TESTS" in os.environ


def live(disk: SimDisk, users: Users) -> SimulatedDaemon:
    """Two jobs that complete, one of a batch folder's name already taken, one that fails; then all are old and are removed."""
    simulated = SimulatedDaemon(disk, users)
    simulated.start()
    simulated.turn()
    disk.make(os.path.join(TARGET, b"two"))
    disk.put(os.path.join(TARGET, b"two", b"mine"), b"somebody's")
    for name, picture in (("one", b"good one"), ("two", b"good two"), ("three", b"bad three")):
        users.drop(disk, f"{name}.jpg".encode(), picture)
        users.drop(disk, f"{name}.yaml".encode(), f"id: {name}\n".encode())
    for _ in range(60):
        simulated.turn()
        if not simulated.ledger.jobs.live and simulated.hooks.is_done():
            break
    later = datetime.fromtimestamp(users.seconds + 60, UTC)
    users.ask(disk, "prune", "one", before=later, keep_source=True)
    users.ask(disk, "prune", "three", before=later)
    users.ask(disk, "prune", "two", before=datetime.fromtimestamp(users.seconds - 86_400, UTC))
    simulated.rest()
    return simulated


def check_followed(simulated: SimulatedDaemon) -> None:
    """At rest: each result was delivered once and whole, and the command ran at least once for each job."""
    disk, users = simulated.disk, simulated.users
    delivered = {os.path.relpath(path, TARGET): node.data for path, node in disk.walk(TARGET) if node.kind == "file"}
    wanted = {b"two/mine": b"somebody's"}
    for folder, picture in ((b"one", b"good one"), (b"two 2", b"good two")):
        wanted |= {
            folder + b"/Layer_1_background.png": b"far " + picture,
            folder + b"/Layer_2_foreground.png": b"near " + picture,
            folder + b"/preview/a.js": b"//" + picture,
            folder + b"/layer_manifest.json": delivered.get(folder + b"/layer_manifest.json", b"missing"),
        }
    assert delivered == wanted
    assert set(users.told) == {"one", "two", "three"}


@pytest.fixture(scope="module")
def life() -> tuple[list[Moment], SimulatedDaemon]:
    disk, users = new_disk(), Users(settings=SETTINGS)
    disk.make(TARGET)
    seen: list[Moment] = []

    def before(number: int, name: str, path: bytes) -> None:
        check_visible(disk)
        # From the end of the last claim on; a crash before that is no different here.
        if path.startswith(PLACES) and len(simulated_jobs(disk)) == 3:
            seen.append(Moment(number, name, path, disk.copy_disk(), users.copy()))

    disk.before = before
    return seen, live(disk, users)


def simulated_jobs(disk: SimDisk) -> list[bytes]:
    return [entry.name for entry in disk.scan(PATHS.outbox_bytes) if entry.name in (b"one", b"two", b"three")]


def test_what_follows_a_job_happens_and_old_jobs_go(life):
    seen, simulated = life
    check_ended(simulated)
    check_followed(simulated)
    assert simulated.users.told == {"one": 1, "two": 1, "three": 1}
    outbox = {entry.name for entry in simulated.disk.scan(PATHS.outbox_bytes) if entry.kind == "directory"}
    assert outbox - {b".work", b".gallery"} == {b"one", b"two"}
    assert {moment.name for moment in seen} >= {"copy", "mkdir", "rename", "sync_dir", "unlink"}


def test_a_crash_before_any_of_it_loses_nothing_and_does_nothing_twice(life):
    """Every third operation, in one way each; all of them and in more ways in the heavier form."""
    seen, _simulated = life
    tried = 0
    for moment in seen if SOAK else seen[::3]:
        disks = choices(moment, 3 if SOAK else 1)
        for what, left in disks if SOAK else [disks[(moment.number // 3) % 3]]:
            users = moment.users.copy()
            try:
                simulated = recover(left(), users, killed=what == "killed")
                assert {job.job_id for job in simulated.history.backwards()} == {"one", "two"} or not asked(moment)
                check_followed(simulated)
            except Exception as error:
                error.add_note(f"crashed before operation {moment.number} ({moment.name} {moment.path!r}); {what}")
                raise
            tried += 1
    assert tried > 60


def asked(moment: Moment) -> bool:
    return moment.users.asked == 3
