"""Whatever producers do, in any order: nothing unfinished is taken, nothing twice, and nothing is lost from view."""

import unicodedata
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.intake import Entry, Folder, Hint, Memory, Ready, Scan, put_back, step, taken

STEMS = ["a", "A", unicodedata.normalize("NFC", "ü"), unicodedata.normalize("NFD", "ü")]
NAMES = [
    (stem + ending).encode() for stem in STEMS for ending in (".jpg", ".png", ".yaml", ".jpg.yaml", ".depth.png", ".nef", ".mov")
]
IGNORED = [b"._a.jpg", b".DS_Store", b"a.tmp"]
SILENT = (".mov", ".tmp")
SETTLE, CLOSED = 2.0, 0.5


def key(name: bytes) -> str:
    return unicodedata.normalize("NFC", name.decode().casefold())


class Producers(RuleBasedStateMachine):
    """Several people and programs at one inbox, and the service that takes what is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.clock = 0
        self.memory = Memory()
        self.disk: dict[bytes, Entry] = {}
        self.shown: dict[bytes, Entry] = {}
        self.changed: dict[bytes, float] = {}
        self.reported: dict[bytes, str] = {}
        self.reported_at: dict[bytes, float] = {}
        self.closed = 0
        self.hints: list[Hint] = []
        self.open: set[bytes] = set()
        self.taken: set[tuple[int, int]] = set()
        self.decision = step(self.memory, Scan((Folder(b"", self.shown),), False, self.now))
        self.memory = self.decision.memory

    def _write(self, name: bytes, *, fresh: bool, size: int) -> None:
        self.clock += 1
        old = self.disk.get(name)
        ino = self.clock if fresh or old is None else old.ino
        self.disk[name] = Entry(name, "file", 1, ino, size, self.clock)
        self.changed[name] = self.now
        self.reported.pop(name, None)

    def _hint(self, name: bytes, how: str) -> None:
        self.clock += 1
        at = self.now + self.clock * 1e-9
        self.hints.append(Hint(b"", name, how, at))
        if self.reported.get(name) != "renamed_in" or how == "renamed_in":
            self.reported[name], self.reported_at[name] = how, at

    @rule(name=st.sampled_from(NAMES + IGNORED), size=st.integers(1, 9))
    def somebody_writes_and_goes_on(self, name: bytes, size: int) -> None:
        self._write(name, fresh=False, size=size)
        self.open.add(name)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def somebody_closes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        self.open.remove(name)
        self._hint(name, "closed")

    @rule(name=st.sampled_from(NAMES), size=st.integers(1, 9))
    def somebody_writes_and_closes(self, name: bytes, size: int) -> None:
        self._write(name, fresh=False, size=size)
        self.open.discard(name)
        self._hint(name, "closed")

    @rule(name=st.sampled_from(NAMES), size=st.integers(1, 9))
    def somebody_renames_in(self, name: bytes, size: int) -> None:
        self._write(name, fresh=True, size=size)
        self.open.discard(name)
        self._hint(name, "renamed_in")

    @rule(stem=st.sampled_from(STEMS), ending=st.sampled_from([".jpg", ".png"]))
    def somebody_submits_the_safe_way(self, stem: str, ending: str) -> None:
        for name in ((stem + ending).encode(), (stem + ending + ".yaml").encode()):
            self.somebody_renames_in(name, 5)

    @precondition(lambda self: self.disk)
    @rule(data=st.data())
    def somebody_takes_a_file_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.disk)))
        del self.disk[name]
        self.open.discard(name)
        self.reported.pop(name, None)

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        """The service wakes whenever intake asked for it."""
        end = self.now + seconds
        while (due := self.decision.check_again_at) is not None and due <= end:
            assert due > self.now
            self.now = due
            self._look(self.decision.due_names.get(b"", frozenset()))
        self.now = end

    @rule()
    def the_service_looks_at_everything(self) -> None:
        self._look(None)

    @rule()
    def the_service_is_woken(self) -> None:
        self._look(frozenset())

    def _look(self, names: frozenset[bytes] | None) -> None:
        """Scan everything, or these names and the hinted ones."""
        if names is None:
            self.shown = dict(self.disk)
        else:
            names |= {hint.name for hint in self.hints}
            new = {n: e for n, e in self.shown.items() if n not in names or n in self.disk}
            new |= {n: self.disk[n] for n in names if n in self.disk}
            self.shown = new if new != self.shown else self.shown
        self.decision = step(self.memory, Scan((Folder(b"", self.shown, names),), False, self.now), self.hints)
        self.memory, self.hints = self.decision.memory, []
        self._claim()

    def _claim(self) -> None:
        """Take what is ready, unless the last check finds it changed or still open."""
        for ready in self.decision.ready:
            if any(self.disk.get(e.name) != e or e.name in self.open for e in ready.entries):
                self.memory = put_back(self.memory, ready, self.now, "it changed while it was being taken")
                continue
            self._check(ready)
            self.closed += self.reported.get(ready.image.name) == "closed"
            for entry in ready.entries:
                assert (entry.ino, entry.mtime_ns) not in self.taken
                self.taken.add((entry.ino, entry.mtime_ns))
                del self.disk[entry.name]
                self.reported.pop(entry.name, None)
            self.memory = taken(self.memory, [ready], self.now)
        if self.decision.ready:
            self.decision = step(self.memory, Scan((Folder(b"", self.shown, frozenset()),), False, self.now))
            self.memory = self.decision.memory
            assert all(r.image.name in self.disk for r in self.decision.ready)

    def _check(self, ready: Ready) -> None:
        assert ready.sidecar is not None
        assert key(ready.sidecar.name).startswith(key(ready.image.name).rpartition(".")[0])
        go = self.reported.get(ready.sidecar.name) == "renamed_in"
        once = self.closed >= 5
        for entry in (ready.image, ready.sidecar, ready.depth):
            if entry is None:
                continue
            still = self.now - self.changed[entry.name] + 1e-6
            how = self.reported.get(entry.name)
            told = how == "renamed_in" or (how == "closed" and once)
            before = told and self.reported_at[entry.name] <= self.reported_at[ready.sidecar.name]
            assert still >= SETTLE or (told and still >= CLOSED) or (go and before), (entry.name, still, how)

    @invariant()
    def nothing_drops_out_of_sight(self) -> None:
        there = [name for name, entry in self.shown.items() if self.disk.get(name) == entry]
        seen = {e.name for r in self.decision.ready for e in r.entries} | {w.name for w in self.decision.waiting}
        for name in there:
            if key(name).endswith(".mov"):
                continue  # listed only while its photo is away
            silent = name.startswith(b".") or key(name).endswith(SILENT)
            assert (name in seen) != silent, name

    def teardown(self) -> None:
        """When all producers are done, every unambiguous pair is taken."""
        for name in sorted(self.open):
            self._hint(name, "closed")  # whoever lets go of a file that was written to is told of
        self.open.clear()
        self._look(None)
        for _ in range(3):
            self.time_passes(200)
        self._look(None)
        keys = [key(n) for n in self.disk]
        for name in self.disk:
            stem, _, ending = key(name).rpartition(".")
            same = [k for k in keys if k.startswith(stem + ".")]
            assert not (ending == "jpg" and sorted(same) == [f"{stem}.jpg", f"{stem}.yaml"]), self.decision.waiting


TestProducers = Producers.TestCase
TestProducers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_machine_notices_an_intake_that_takes_too_early() -> None:
    """The invariants can fail: taking a file that was written this moment breaks them."""
    machine = Producers()
    machine._write(b"a.jpg", fresh=True, size=3)
    machine._write(b"a.yaml", fresh=True, size=3)
    early = Ready(b"", machine.disk[b"a.jpg"], machine.disk[b"a.yaml"], None, (), None, (), 0.0)
    machine.decision = replace(machine.decision, ready=(early,))
    try:
        machine._claim()
    except AssertionError:
        return
    raise AssertionError("taking an unsettled pair went unnoticed")
