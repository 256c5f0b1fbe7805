"""`make demo` in a fresh clone, whatever the hub, the disk or the person at the keyboard does.

A clone of this checkout is set up with an empty environment. Then its demo runs against a hub on this machine that has the
default model's real file names, with random weights of its true architecture and size. The shipped list of models pins the true
hashes, so these weights are refused by it; where they are to be taken, `folders.catalogue` names a list with their hashes.

Run: python -m tests.acceptance.terminal.fresh_clone [CHECKOUT], as part of `make soak`. CHECKOUT is a clone whose `make setup` is
done. Prints a row for each case; exits 1 if one went wrong. The cases with a full disk need root (Linux).
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.settings.layout import PROGRAM
from tests import depth_models
from tests.acceptance.home import until
from tests.acceptance.terminal.newcomer import COMMIT, NAME, REPO, SHIPPED, closed_address
from tests.process.models.hub import Hub

#: How much longer than without a model the demo may take where the hub cannot be reached or does not answer, in seconds.
_PATIENCE = 10.0
_WEIGHTS = "model.safetensors"
_MODELS = ".local/share/multiplane/models"
#: What the lines about the model, and about an interruption, have.
_TOLD = ("Fetching", "No depth model", "is installed in", "nterrupted", "kept")
#: Bytes at a time, and seconds in between: ten seconds for all of the weights.
_DRIP = (1_000_000, 0.1)


@dataclass(frozen=True)
class Ended:
    """A run of `make demo`: its exit status, what it said, and the manifest's depth of the bare photo (None: no result)."""

    status: int
    seconds: float
    said: str
    depth: dict | None

    @property
    def source(self) -> str | None:
        """Where the bare photo's depth came from."""
        return self.depth and self.depth["source"]


class FreshClone:
    """A clone that is set up, and its newcomer, who gets a new home for each case."""

    def __init__(self, checkout: Path, folder: Path, listed: Path) -> None:
        self.checkout, self.folder, self.listed = checkout, folder, listed
        self.homes = 0
        self.user = folder

    def newcomer(self) -> Path:
        """A new user without a model, in a checkout without jobs. Returns the user's home."""
        self.homes += 1
        self.user = self.folder / f"user-{self.homes}"
        self.user.mkdir()
        subprocess.run(["git", "clean", "-xdfq", "-e", ".venv", "-e", "*.egg-info"], cwd=self.checkout, check=True)
        return self.user

    def start(self, address: str | None, *arguments: str, pinned: bool = False) -> subprocess.Popen[str]:
        """Start `make demo` with nothing in its environment but what is needed. `pinned`: with the shipped list of models."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.user)}
        if address is not None:
            environ["HF_ENDPOINT"] = address
        if not pinned:
            environ["MULTIPLANE_FOLDERS__CATALOGUE"] = str(self.listed)
        return subprocess.Popen(
            ["make", "demo", *arguments], cwd=self.checkout, env=environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def demo(self, address: str | None, *arguments: str, pinned: bool = False) -> Ended:
        """`make demo` to its end."""
        begun = time.monotonic()
        process = self.start(address, *arguments, pinned=pinned)
        said, _ = process.communicate(timeout=600)
        return self.ended(process.returncode, time.monotonic() - begun, said)

    def ended(self, status: int, seconds: float, said: str) -> Ended:
        """What a run left behind."""
        made = sorted(self.checkout.glob("outbox/*coffee*/result/layer_manifest.json"), key=os.path.getmtime)
        return Ended(status, seconds, said, json.loads(made[-1].read_text())["depth"] if made else None)

    @property
    def installed(self) -> bool:
        """Whether the user's model is there, byte for byte."""
        words = [self.checkout / ".venv/bin/multiplane", "models", "verify", NAME, "--home", self.checkout]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.user), "MULTIPLANE_FOLDERS__CATALOGUE": str(self.listed)}
        return subprocess.run(words, env=environ, capture_output=True, check=False).returncode == 0


class Table:
    """The rows, and what went wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def row(self, case: str, ended: Ended, **expected: bool) -> None:
        """Print a case, and remember each expectation that was not met."""
        missed = [name.replace("_", " ") for name, met in expected.items() if not met]
        self.wrong += [f"{case}: not {name}" for name in missed]
        told = [line for line in ended.said.splitlines() if any(word in line for word in _TOLD)]
        print(f"\n{case:44s} exit {ended.status:3d} {ended.seconds:6.1f} s   depth: {ended.source}", flush=True)
        for line in told or ["(nothing about the model)"]:
            print(f"    {line}", flush=True)
        if missed:
            print(f"    WRONG: not {', '.join(missed)}\n{ended.said}", flush=True)


def cases(clone: FreshClone, hub: Hub, table: Table) -> None:
    """All cases, one after the other."""
    clone.newcomer()
    without = clone.demo(hub.address, "MODEL=none")
    estimated = without.source == "heuristic"
    table.row("MODEL=none", without, ends_well=without.status == 0, estimated=estimated, asks_nobody=not hub.asked)

    clone.newcomer()
    first = clone.demo(hub.address)
    named = first.depth and [first.depth.get(key) for key in ("source", "model", "revision")]
    used = named == ["model", REPO, COMMIT]
    table.row("first run", first, ends_well=first.status == 0, used=used, verified=clone.installed)
    hub.asked.clear()
    second = clone.demo(hub.address)
    table.row("second run", second, ends_well=second.status == 0, used=second.source == "model", asks_nobody=not hub.asked)

    def estimates(case: str, address: str, why: str, *, soon: bool = True, pinned: bool = False) -> None:
        clone.newcomer()
        ended = clone.demo(address, pinned=pinned)
        (line,) = [line for line in ended.said.splitlines() if "No depth model yet" in line] or [""]
        table.row(
            case, ended, ends_well=ended.status == 0, estimated=ended.source == "heuristic", said_in_one_line=why in line,
            soon=not soon or ended.seconds <= without.seconds + _PATIENCE,
        )  # fmt: skip

    estimates("nobody listens", closed_address(), "cannot be reached")
    estimates("no such host", "http://hub.invalid", "cannot be reached")
    estimates("an address that never answers", "http://192.0.2.1", "")
    estimates("the shipped hashes, other weights", hub.address, "it should have 950", pinned=True)
    hub.broken = 500
    estimates("the hub answers 500", hub.address, "HTTP 500")
    hub.broken = None
    hub.stalls["api"] = 0
    estimates("the hub says nothing", hub.address, "did not answer within 5 s")
    del hub.stalls["api"]
    hub.drips["api"] = (1, 1.0)
    estimates("the hub takes minutes to answer", hub.address, "did not answer within 5 s")
    del hub.drips["api"]
    hub.drips[_WEIGHTS] = (20_000, 0.5)
    estimates("the weights come at 40 kB/s", hub.address, "too slow", soon=False)
    hub.drips[_WEIGHTS] = _DRIP
    clone.newcomer()
    slow = clone.demo(hub.address)
    table.row("the weights come at 10 MB/s", slow, ends_well=slow.status == 0, used=slow.source == "model")
    interrupted(clone, hub, table)
    hub.drips.clear()


def interrupted(clone: FreshClone, hub: Hub, table: Table) -> None:
    """Ctrl-C in the middle of the fetch, and the run after it."""
    clone.newcomer()
    begun = time.monotonic()
    process = clone.start(hub.address)
    until(lambda: _arrived(clone.user) > 20_000_000, 120)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=300)
    ended = clone.ended(process.returncode, time.monotonic() - begun, said)
    kept = _arrived(clone.user)
    table.row("Ctrl-C in the fetch", ended, ends=ended.status != 0, nothing_cut=ended.depth is None, keeps_what_came=kept > 0)
    hub.asked.clear()
    hub.drips.clear()
    again = clone.demo(hub.address)
    resumed = any(each.range for each in hub.downloads(_WEIGHTS))
    well, used = again.status == 0, again.source == "model"
    table.row("the run after it", again, ends_well=well, used=used, resumed=resumed, verified=clone.installed)


def _arrived(user: Path) -> int:
    """How many bytes of an unfinished fetch are on the disk."""
    return sum(path.stat().st_size for path in (user / _MODELS).rglob("*.part"))


def full_disks(clone: FreshClone, hub: Hub, table: Table) -> None:
    """A disk that is too small from the start, and one that fills up in the middle of the fetch."""
    clone.newcomer()
    with small_disk(clone.user, "60m"):
        ended = clone.demo(hub.address)
        left = _arrived(clone.user)
    full(table, "60 MB free", ended, "not enough space", untouched=left == 0)

    clone.newcomer()
    hub.drips[_WEIGHTS] = _DRIP
    with small_disk(clone.user, "130m"):
        begun = time.monotonic()
        process = clone.start(hub.address)
        until(lambda: _arrived(clone.user) > 20_000_000, 120)
        (clone.user / "film").write_bytes(bytes(60_000_000))
        said, _ = process.communicate(timeout=300)
        ended = clone.ended(process.returncode, time.monotonic() - begun, said)
        full(table, "the disk fills up in the fetch", ended, "is full", keeps_what_came=_arrived(clone.user) > 0)
        hub.drips.clear()
        (clone.user / "film").unlink()
        again = clone.demo(hub.address)
        table.row("the run after it", again, ends_well=again.status == 0, used=again.source == "model", verified=clone.installed)


def full(table: Table, case: str, ended: Ended, why: str, **expected: bool) -> None:
    """A row of a full disk: the demo ends well, by an estimate."""
    told = [line for line in ended.said.splitlines() if "No depth model yet" in line and why in line]
    well, estimated = ended.status == 0, ended.source == "heuristic"
    table.row(case, ended, ends_well=well, estimated=estimated, said_in_one_line=len(told) == 1, **expected)


@contextlib.contextmanager
def small_disk(at: Path, size: str) -> Iterator[None]:
    """A disk of its own at a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def set_up(folder: Path) -> Path:
    """Clone this checkout, and run its `make setup` with an empty environment."""
    checkout = folder / "multiplane"
    subprocess.run(["git", "clone", "-q", PROGRAM, checkout], check=True)
    (folder / "builder").mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "builder")}
    subprocess.run(["make", "setup"], cwd=checkout, env=environ, check=True)
    return checkout


def list_with(files: dict[str, bytes], path: Path) -> Path:
    """Write a list of models whose default model has these files."""
    entry = SHIPPED.model_dump(exclude_none=True) | {
        "bytes": sum(map(len, files.values())),
        "sizes": {name: len(data) for name, data in files.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    path.write_text(json.dumps({"default_depth": NAME, "models": {NAME: entry}}))
    return path


def made(save: Callable[[Path], None], folder: Path) -> dict[str, bytes]:
    """The files of a model: name → content."""
    folder.mkdir()
    save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> int:
    """Run the cases; returns the exit status."""
    # Whoever runs this in the background of a shell has Ctrl-C ignored, and so would the demo.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="fresh-clone-"))
    try:
        checkout = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else set_up(folder)
        files = made(depth_models.save_small, folder / "weights")
        table = Table()
        print(f"{REPO}: " + ", ".join(f"{name} {len(data):,} bytes" for name, data in sorted(files.items())), flush=True)
        with Hub({REPO: files}, commit=COMMIT) as hub:
            clone = FreshClone(checkout, folder, list_with(files, folder / "models.yaml"))
            cases(clone, hub, table)
            if sys.platform == "linux" and os.geteuid() == 0:
                full_disks(clone, hub, table)
            else:
                print("\nfull disks: skipped, since only root on Linux can make a small one")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + ("\n".join(table.wrong) or "fresh clone: every case as expected"))
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
