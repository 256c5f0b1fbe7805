"""Whatever people do and whenever the power fails: nothing dropped is lost, nothing is done twice, every job ends.

And: whatever a crash leaves of the last write to a segment, the records before it are read and nothing else.
"""

import contextlib
import os
import random
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

from simdisk import PowerLossError
from simulated_daemon import INBOX, OUTBOX, SimulatedDaemon, Users, check_ended, check_kept, check_visible, new_disk

from daemon.contract.records import Claimed
from daemon.contract.segment_records import SegmentStart
from daemon.journal import Entry
from daemon.journal.line import encode
from daemon.journal.segment import DamageError, Segment

SOAK = "SOAK_TESTS" in os.environ
NAMES = ("a", "b", "ü")
WORDS = ("good", "good", "crash-1", "crash-9", "bad", "slow")


class PowerFailures(RuleBasedStateMachine):
    """People at the inbox and the command line, a daemon that is killed, and an unreliable power supply."""

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.users = new_disk(), Users()
        self.simulated: SimulatedDaemon | None = None
        self.number = 0
        #: Files whose writer is not done: their bytes so far, and the whole.
        self.unfinished: dict[bytes, bytes] = {}
        #: Whether every status is whole: a power loss may damage some, the recovery mends them.
        self.sound = True

    # -- people -----------------------------------------------------------------------------------------------------------

    def put(self, name: str, data: bytes) -> None:
        """Put a file into the inbox, replacing one of the same name."""
        path = os.path.join(INBOX, name.encode())
        with contextlib.suppress(FileNotFoundError):
            self.users.removed.add(self.disk.read_file(path))
        self.number += 1
        self.users.drop(self.disk, name.encode(), data + b" %d" % self.number)

    @rule(name=st.sampled_from(NAMES), word=st.sampled_from(WORDS), named=st.booleans(), priority=st.integers(-2, 2))
    def drop_a_pair(self, name, word, named, priority):
        self.put(f"{name}.jpg", word.encode())
        wish = f"id: order-{len(name.encode())}{name[0] if name.isascii() else ''}\n" if named else ""
        self.put(f"{name}.yaml", f"{wish}priority: {priority} #".encode())

    @rule(name=st.sampled_from(NAMES))
    def drop_a_picture_without_sidecar(self, name):
        self.put(f"{name}.jpg", b"good")

    @rule(name=st.sampled_from(NAMES))
    def drop_a_broken_sidecar(self, name):
        self.put(f"{name}.yaml", b"num_layers: [ #")

    @rule(name=st.sampled_from(NAMES))
    def drop_in_the_preset_folder(self, name):
        self.put(f"quick/{name}.jpg", b"good")

    @rule(name=st.sampled_from(NAMES), end=st.sampled_from((".jpg", ".yaml")), word=st.sampled_from((b"half", b"torn")))
    def begin_to_write(self, name, end, word):
        """Write the first half of a file and keep the handle open; `torn` returns to the inbox if it was taken."""
        half, whole = (word, b"good") if end == ".jpg" else (b"num_lay", b"num_layers: 3 #")
        self.put(name + end, half)
        self.unfinished[half + b" %d" % self.number] = whole + b" %d" % self.number

    @precondition(lambda self: self.unfinished)
    @rule(which=st.integers(0, 9))
    def write_the_rest(self, which):
        """Write the rest through the handle, even if the file is in a source folder by now."""
        half = list(self.unfinished)[which % len(self.unfinished)]
        whole = self.unfinished.pop(half)
        if self.disk.write_on(half, whole):
            self.users.dropped[whole] = self.users.dropped.pop(half)
            if half in self.users.removed:
                self.users.removed.add(whole)

    @precondition(lambda self: self.ids(ended=True))
    @rule(which=st.integers(0, 9), name=st.sampled_from(NAMES))
    def drag_the_picture_of_an_ended_job_back(self, which, name):
        ids = self.ids(ended=True)
        source = os.path.join(OUTBOX, ids[which % len(ids)].encode(), b"source")
        target = os.path.join(INBOX, f"{name}.jpg".encode())
        pictures = [path for path, _node in self.disk.walk(source) if path.endswith(b".jpg")] if self.has(source) else []
        if pictures and not self.has(target):
            self.disk.carry(pictures[0], target)

    def has(self, path: bytes) -> bool:
        return any(entry.name == os.path.basename(path) for entry in self.disk.scan(os.path.dirname(path)))

    @rule(name=st.sampled_from(NAMES), end=st.sampled_from((".jpg", ".yaml")))
    def take_back(self, name, end):
        path = os.path.join(INBOX, (name + end).encode())
        try:
            self.users.removed.add(self.disk.read_file(path))
        except FileNotFoundError:
            return
        self.disk.take(path)

    def ids(self, *, ended: bool) -> list[str]:
        if self.simulated is None:
            return []
        jobs = self.simulated.ledger.jobs.ended if ended else self.simulated.ledger.jobs.live
        # By arrival: ids have chance in them, and the same choices must lead to the same life.
        return sorted(jobs, key=lambda job_id: jobs[job_id].sequence)

    @precondition(lambda self: self.ids(ended=False))
    @rule(which=st.integers(0, 9))
    def cancel(self, which):
        ids = self.ids(ended=False)
        self.users.ask(self.disk, "cancel", ids[which % len(ids)])

    @precondition(lambda self: self.ids(ended=True))
    @rule(which=st.integers(0, 9), verb=st.sampled_from(("retry", "rm")))
    def ask_for_an_ended_one(self, which, verb):
        ids = self.ids(ended=True)
        self.users.ask(self.disk, verb, ids[which % len(ids)])

    # -- the daemon and the mains ------------------------------------------------------------------------------------------

    @initialize()
    def begin(self):
        self.start()

    @precondition(lambda self: self.simulated is None)
    @rule()
    def start(self):
        self.simulated = SimulatedDaemon(self.disk, self.users)
        self.simulated.start()

    @precondition(lambda self: self.simulated is not None)
    @rule(turns=st.integers(1, 6))
    def work(self, turns):
        for _ in range(turns):
            self.simulated.turn()

    @rule(seconds=st.sampled_from((1.0, 12.0, 90.0)))
    def time_passes(self, seconds):
        self.users.seconds += seconds

    @precondition(lambda self: self.simulated is not None)
    @rule()
    def restart(self):
        """Stop and start, as for an update: no attempt is lost, nothing is left to recover."""
        attempts = {job.job_id: job.attempts for job in self.simulated.ledger.jobs.live.values()}
        running = set(self.simulated.ledger.jobs.processing)
        in_order = self.simulated.recovered
        self.simulated.stop()
        self.start()
        after = self.simulated.ledger.jobs
        # What a crash left is only mended with the first round.
        assert not (in_order and after.processing)
        for job in after.live.values() if in_order else ():
            assert job.attempts + (job.job_id in running) == attempts[job.job_id]

    @precondition(lambda self: self.simulated is not None)
    @rule(after=st.integers(1, 60), kind=st.sampled_from(("kill", "nothing", "some")), seed=st.integers(0, 99))
    def crash(self, after, kind, seed):
        """Crash after this many operations, or after a few passes if there are fewer."""
        last = self.disk.operations + after

        def before(number: int, _name: str, _path: bytes) -> None:
            if number >= last:
                self.disk.dead = True
                raise PowerLossError

        self.disk.before = before
        with contextlib.suppress(PowerLossError):
            for _ in range(4):
                self.simulated.turn()
        self.sound = kind == "kill" and (self.sound or self.simulated.recovered)
        self.simulated = None
        left = self.disk
        if kind == "kill":
            self.disk = left.after_kill()
        elif kind == "nothing":
            self.disk = left.after_power_loss()
        else:
            self.disk = left.after_power_loss(random.Random(seed), keep=0.6)

    @invariant()
    def nothing_is_lost(self):
        check_kept(self.disk, self.users, places=2)

    @invariant()
    def nothing_half_done_is_seen(self):
        check_visible(self.disk, statuses=self.sound or (self.simulated is not None and self.simulated.recovered))

    def teardown(self):
        if self.simulated is None:
            self.start()
        self.simulated.rest()
        check_ended(self.simulated, everything=False)


TestStudio = PowerFailures.TestCase
TestStudio.settings = settings(
    max_examples=1000 if SOAK else 40,
    stateful_step_count=60 if SOAK else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def read_segment(data: bytes):
    found = Segment(data)
    return list(found.entries()), found.torn


def lines_of(sizes: list[int]) -> list[list[bytes]]:
    """The groups of a segment: its start, then so many records each."""
    groups, seq = [], 1
    for size in (1, *sizes):
        made = [
            SegmentStart(version="1", boot_id="b", live=0) if seq == 1 else Claimed(job=f"job-{seq + i}") for i in range(size)
        ]
        groups.append([encode(Entry(seq + i, seq, "2026-01-31T12:00:00.000Z", record)) for i, record in enumerate(made)])
        seq += size
    return groups


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_any_loss_of_pages_in_the_last_group_leaves_what_was_before_it(sizes, data):
    groups = lines_of(sizes)
    head, last = b"".join(b"".join(group) for group in groups[:-1]), b"".join(groups[-1])
    page = data.draw(st.sampled_from((16, 64, 200)))
    kept = data.draw(st.lists(st.booleans(), min_size=1 + len(last) // page, max_size=1 + len(last) // page))
    length = data.draw(st.integers(0, len(last)))
    left = b"".join(last[i * page : (i + 1) * page] if keep else bytes(page) for i, keep in enumerate(kept))[:length]
    entries, torn = read_segment(head + left)
    before = sum(sizes[:-1]) + 1
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert before <= len(entries) <= before + sizes[-1]
    assert (torn is None) == (left == b"".join(groups[-1][: len(entries) - before]))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data())
def test_any_change_before_the_last_group_is_damage_and_never_a_guess(sizes, data):
    groups = lines_of(sizes)
    head, last = b"".join(b"".join(group) for group in groups[:-1]), b"".join(groups[-1])
    at = data.draw(st.integers(0, len(head) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = head[:at] + bytes([head[at] ^ flip]) + head[at + 1 :] + last
    with pytest.raises(DamageError) as damage:
        read_segment(changed)
    assert damage.value.offset <= at
