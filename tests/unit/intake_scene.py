"""An in-memory inbox and a clock, to test intake's rules without files or waiting."""

from collections.abc import Callable
from dataclasses import replace

from daemon.intake import INBOX, Control, Decision, Entry, Folder, Hint, Memory, Ready, Rules, Scan, step, taken

MONDAY = 1_700_000_000 * 10**9


class Scene:
    """Producers, and the loop of the service: scans when something happened and when intake asked for it."""

    def __init__(self, *, network: bool = False, rules: Rules | None = None) -> None:
        self.now = 1000.0
        self.network = network
        self.memory = Memory(rules=rules or Rules())
        self.files: dict[bytes, dict[bytes, Entry]] = {INBOX: {}}
        self.births: dict[bytes, float] = {}
        self.controls: dict[bytes, dict[bytes, Control]] = {}
        self.problems: dict[bytes, str] = {}
        self.mtimes: dict[bytes, int] = {}
        self.hints: list[Hint] = []
        self.inodes = 0
        self.decision: Decision
        self.log: list[Ready] = []
        self.look()

    def put(self, name: str | bytes, *, folder: bytes = INBOX, how: str | None = None, **fields: object) -> Entry:
        """Add a file, or rewrite an existing one in place (same inode); the next scan sees it."""
        raw = name.encode() if isinstance(name, str) else name
        held = self.files.setdefault(folder, {})
        old = held.get(raw)
        self.inodes += 1
        entry = old or Entry(raw, "file", 1, self.inodes, 10, MONDAY)
        entry = replace(entry, mtime_ns=MONDAY + self.inodes, **fields)
        self.files[folder] = {**held, raw: entry}
        if how:
            # One after the other, however fast.
            self.hints.append(Hint(folder, raw, how, self.now + self.inodes * 1e-9))
        return entry

    def folder(self, name: bytes) -> None:
        """A folder in the inbox."""
        self.inodes += 1
        self.files.setdefault(name, {})
        self.files[INBOX] = {**self.files[INBOX], name: Entry(name, "directory", 1, self.inodes, 0, 0)}

    def control(
        self, kind: str, *, folder: bytes = INBOX, images: tuple[str, ...] | None = None, problem: str | None = None
    ) -> None:
        """A preset or batch file as the shell passes it."""
        name = b"_preset.yaml" if kind == "preset" else b"job.yaml"
        entry = self.put(name, folder=folder)
        self.controls.setdefault(folder, {})[name] = Control(kind, entry, images, problem)

    def remove(self, name: str | bytes, folder: bytes = INBOX) -> None:
        raw = name.encode() if isinstance(name, str) else name
        self.files[folder] = {n: e for n, e in self.files[folder].items() if n != raw}

    def look(self, looked: dict[bytes, frozenset[bytes]] | None = None) -> Decision:
        """One scan (full, or of these names) and the decision that follows."""
        folders = tuple(
            Folder(
                name,
                entries,
                None if looked is None else looked.get(name, frozenset()),
                self.births.get(name),
                tuple(self.controls.get(name, {}).values()),
                self.problems.get(name),
                mtime_ns=self.mtimes.get(name),
            )
            for name, entries in self.files.items()
        )
        self.decision = step(self.memory, Scan(folders, self.network, self.now), self.hints)
        self.memory, self.hints = self.decision.memory, []
        return self.decision

    def take(self) -> list[Ready]:
        """Claim all that is ready, as the service does."""
        ready = list(self.decision.ready)
        for one in ready:
            for entry in one.entries:
                self.remove(entry.name, one.folder)
        self.memory = taken(self.memory, ready, self.now)
        self.log += ready
        self.look({})
        return ready

    def pass_time(self, seconds: float, until: Callable[[Decision], bool] = lambda _: False) -> float:
        """Let time pass, scanning whenever intake asked for it. Returns the seconds until `until` held, or all of them."""
        start, end = self.now, self.now + seconds
        while True:
            self.look({}) if self.hints else None
            due = self.decision.check_again_at
            if until(self.decision):
                return self.now - start
            if due is None or due > end:
                self.now = end
                self.look(dict(self.decision.due_names))
                return seconds if not until(self.decision) else self.now - start
            assert due > self.now, "a look that was asked for must lie ahead"
            self.now = due
            self.look(dict(self.decision.due_names))

    def settle(self, seconds: float = 3.0) -> list[bytes]:
        """Let everything settle; returns the pictures that are ready then."""
        self.look()
        self.pass_time(seconds)
        return self.ready

    def until_ready(self, seconds: float = 4000.0) -> float:
        """How long it takes until something is ready."""
        self.look()
        return self.pass_time(seconds, lambda d: bool(d.ready))

    @property
    def ready(self) -> list[bytes]:
        return [r.image.name for r in self.decision.ready]

    def reason(self, name: str | bytes, folder: bytes = INBOX) -> str | None:
        """Why something waits."""
        raw = name.encode() if isinstance(name, str) else name
        found = [w.reason for w in self.decision.waiting if (w.folder, w.name) == (folder, raw)]
        assert len(found) <= 1, found
        return found[0] if found else None
