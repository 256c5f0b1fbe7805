"""Where everything is. Checks that the folders neither overlap nor lie inside the program."""

import hashlib
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from daemon.catalogues.reading import SHIPPED, Kind
from daemon.errors import Refusal

PROGRAM = Path(__file__).resolve().parents[2]
"""The folder with the program's packages: the checkout, or the folder of installed packages (site-packages)."""
PROGRAM_FOLDERS = ("daemon", "pipeline", "config", "tests", "docs", "launchd", "build", ".git", ".ci", ".venv")
"""Folders in which nothing may be dropped and no result may appear."""


def in_checkout(program: Path = PROGRAM) -> bool:
    """Whether the program runs from a checkout. An installed package has neither a Makefile nor the tests."""
    return (program / "pyproject.toml").is_file()


def default_home(program: Path = PROGRAM) -> Path:
    """The home if none is named: the checkout or, for an installed package, ``~/Multiplane`` (not expanded)."""
    return program if in_checkout(program) else Path("~/Multiplane")


def make(target: str, program: Path = PROGRAM) -> str:
    """The shell command that runs a target of the checkout's Makefile from any folder."""
    return shlex.join(["make", "-C", str(program), target])


def set_up_again(program: Path = PROGRAM) -> str:
    """The shell command that installs the program and its libraries again."""
    return make("setup", program) if in_checkout(program) else "pipx reinstall multiplane"


@dataclass(frozen=True)
class Layout:
    """The folders and files of one home, as absolute paths. Names on disk are bytes, so each path is available as bytes, too."""

    home: Path
    inbox: Path
    outbox: Path
    state: Path
    models: Path
    #: The lists of models and of styles: the program's, then the user's if it exists. The user's adds to the program's.
    model_lists: tuple[str, ...]
    style_lists: tuple[str, ...]
    #: The path of the user's list, even if it does not exist; empty if there is no user's settings file.
    own_models: tuple[str, ...]
    own_styles: tuple[str, ...]
    #: Where finished results are copied to; None if they are not.
    deliveries: Path | None = None

    @property
    def work(self) -> Path:
        """The folder that contains a folder for each attempt. It is in the outbox, so that publishing is a rename."""
        return self.outbox / ".work"

    @property
    def journal(self) -> Path:
        """The journal's folder."""
        return self.state / "journal"

    @property
    def requests(self) -> Path:
        """Where the command line writes its requests."""
        return self.state / "requests"

    @property
    def lock(self) -> Path:
        """The lock file, which lets only one daemon run per home."""
        return self.state / "lock"

    @property
    def inbox_bytes(self) -> bytes:
        """`inbox` as bytes."""
        return os.fsencode(self.inbox)

    @property
    def outbox_bytes(self) -> bytes:
        """`outbox` as bytes."""
        return os.fsencode(self.outbox)

    @property
    def state_bytes(self) -> bytes:
        """`state` as bytes."""
        return os.fsencode(self.state)

    @property
    def work_bytes(self) -> bytes:
        """`work` as bytes."""
        return os.fsencode(self.work)

    @property
    def journal_bytes(self) -> bytes:
        """`journal` as bytes."""
        return os.fsencode(self.journal)

    @property
    def requests_bytes(self) -> bytes:
        """`requests` as bytes."""
        return os.fsencode(self.requests)

    @property
    def lock_bytes(self) -> bytes:
        """`lock` as bytes."""
        return os.fsencode(self.lock)


def lay_out(
    home: Path,
    *,
    inbox: Path | None,
    outbox: Path | None,
    models: Path | None,
    catalogue: Path | None = None,
    beside: Path | None = None,
    deliveries: Path | None = None,
    is_network: Callable[[Path], bool],
) -> Layout:
    """Work out where everything in this home is. Nothing is created.

    The state folder contains the journal, which must reach the disk, and the lock, which must work. A network file system
    guarantees neither. So the state of a home on a network file system is in the user's own state folder. There, its folder is
    named after the home and a hash of the home's real path.

    In the arguments below, relative paths are relative to the home, and ``~`` is expanded.

    Args:
        home: the home folder, absolute.
        inbox: where pictures are dropped; None: `inbox` in the home.
        outbox: where results appear; None: `outbox` in the home.
        models: where the weights are; None: a folder that all homes of this user share, or `models` in the state folder if an
            earlier version put weights there.
        catalogue: the list of models that the user's list extends. None: the program's own list.
        beside: the user's settings file, absolute. Lists called `models.yaml` and `styles.yaml` in its folder are used. None: no
            settings file, and no such lists.
        deliveries: where finished results are copied to; None: nowhere.
        is_network: whether a path is on a network file system.

    Raises:
        Refusal: two of inbox, outbox and state overlap, or one of them overlaps the program.
    """
    state = _state_of_share(home) if is_network(home) else home / ".state"
    own_models, own_styles = (_own_list(beside, kind) for kind in ("models", "styles"))
    layout = Layout(
        home=home,
        inbox=_absolute(home, inbox or Path("inbox")),
        outbox=_absolute(home, outbox or Path("outbox")),
        state=state,
        models=_absolute(home, models) if models else _models_of_user(state),
        model_lists=(str(_absolute(home, catalogue)) if catalogue else SHIPPED["models"], *_there(own_models)),
        style_lists=(SHIPPED["styles"], *_there(own_styles)),
        own_models=own_models,
        own_styles=own_styles,
        deliveries=_absolute(home, deliveries) if deliveries else None,
    )
    _check(layout)
    return layout


def _own_list(beside: Path | None, kind: Kind) -> tuple[str, ...]:
    """The path of the user's list, even if it does not exist; empty if `beside` is None or the path is the program's own list."""
    path = beside.with_name(f"{kind}.yaml") if beside else None
    return () if path is None or os.path.realpath(path) == SHIPPED[kind] else (str(path),)


def _there(own: tuple[str, ...]) -> tuple[str, ...]:
    # A broken link counts as existing: reading it then fails, which tells the user about it.
    return tuple(path for path in own if os.path.lexists(path))


def _absolute(home: Path, path: Path) -> Path:
    return Path(os.path.abspath(home / path.expanduser()))


def _models_of_user(state: Path) -> Path:
    """The default folder for models: one per user, because weights are large and the same for every home.

    If a home already has weights in its state folder, it goes on using them.
    """
    own = state / "models"
    return own if _holds_something(own) else Path(platformdirs.user_data_dir("multiplane")) / "models"


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:  # the folder does not exist or cannot be read, so there is nothing to use
        return False


def _state_of_share(home: Path) -> Path:
    real = os.path.realpath(home)
    mark = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return Path(platformdirs.user_state_dir("multiplane")) / "homes" / f"{Path(real).name or 'home'}-{mark}"


def _check(layout: Layout) -> None:
    mine = {"inbox": layout.inbox, "outbox": layout.outbox, "state folder": layout.state}
    names = list(mine)
    for first, second in ((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
        if _within(mine[first], mine[second]) or _within(mine[second], mine[first]):
            raise Refusal(
                f"The {first} ({mine[first]}) and the {second} ({mine[second]}) overlap; they must be apart.",
                hint="Set folders.inbox and folders.outbox to two separate folders, neither inside the other.",
            )
    if (target := layout.deliveries) is not None:
        for name, path in mine.items():
            if _within(target, path) or _within(path, target):
                raise Refusal(
                    f"The delivery folder ({target}) and the {name} ({path}) overlap; they must be apart.",
                    hint="Set deliver.folder to a folder that neither is inside inbox or outbox nor contains one of them.",
                )
    for name, path in mine.items():
        for part in (PROGRAM / folder for folder in PROGRAM_FOLDERS):
            if _within(path, part) or _within(part, path):
                raise Refusal(
                    f"The {name} ({path}) overlaps the program's folder ({part}).",
                    hint="Set folders.inbox and folders.outbox (or --home) to folders outside the program's own.",
                )


def _within(inner: Path, outer: Path) -> bool:
    """Whether `inner` is `outer` or is inside it. Compares device and inode, because on some disks `Inbox` is also `inbox`."""
    real = Path(os.path.realpath(inner))
    return _identity(Path(os.path.realpath(outer))) in (_identity(part) for part in (real, *real.parents))


def _identity(path: Path) -> tuple[int, int] | Path:
    """Device and inode; the path itself if nothing exists there yet."""
    try:
        found = path.stat()
    except OSError:
        return path
    return found.st_dev, found.st_ino
