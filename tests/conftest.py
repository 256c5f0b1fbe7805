"""Settings, hooks and fixtures for all tests. Generated examples are the same in every run, and have no time limit.

`make soak` generates new examples in every run, and so finds more.
"""

import fcntl
import gc
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import running_order

# Nothing of what is imported and collected is garbage, and looking for some takes a fifth of that time.
gc.disable()
#: How many objects are made between two searches for garbage. Python's 700 costs a tenth of the time of tests that make many.
_OBJECTS = 10_000

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("SOAK_TESTS") else "repeatable")

#: Each home of a test has its own models folder. Otherwise tests would use the models that this machine has installed.
os.environ["MULTIPLANE_FOLDERS__MODELS"] = ".state/models"

# `make test` passes its own options to the programs that it starts, so a `make` in a test would run as a part of the first one.
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
    os.environ.pop(name, None)

# A shell makes programs that it starts in the background ignore Ctrl-C, and their children inherit this. Some tests send Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to write `durations.json` anew."""
    parser.addoption("--record-durations", action="store_true", help="write down how long each test file takes")


def pytest_configure(config: pytest.Config) -> None:
    """Record durations if the option is given, in the process that receives the reports of all tests."""
    if config.getoption("--record-durations") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder())


class _Recorder:
    """Records how long each test file takes, and writes it down at the end."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of the setup, the call or the teardown of a test."""
        self.seconds[report.nodeid.split("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        running_order.record(self.seconds)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in the order of `running_order`."""
    files = [item.nodeid.split("::")[0] for item in items]
    place = {file: number for number, file in enumerate(running_order.in_order(files, running_order.recorded()))}
    items.sort(key=lambda item: place[item.nodeid.split("::")[0]])


def pytest_collection_finish() -> None:
    """Search for garbage from now on, but never again in what was imported and collected."""
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    gc.enable()


class _ByFile(LoadFileScheduling):
    """Runs the tests of a file in one process, together with files that load the same libraries."""

    def _split_scope(self, nodeid: str) -> str:
        return running_order.process_of(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Distribute tests by files, whatever `--dist` says."""
    return _ByFile(config, log)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short, plain path, whatever TMPDIR is, because the address of a socket has only about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as made:
        yield Path(made)


def _made_once(factory: pytest.TempPathFactory, config: pytest.Config, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all processes of one run share. The first process that needs it makes it, so no other loads torch for it."""
    base = factory.getbasetemp()
    if hasattr(config, "workerinput"):
        base = base.parent
    folder, part = base / name, base / f"{name}.part"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A saved Stable Diffusion 1.5 that is as small as possible; tests that change it must change a copy."""

    def make(folder: Path) -> None:
        from tests import diffusion_models

        diffusion_models.save_pipeline(folder)

    return _made_once(tmp_path_factory, pytestconfig, "tiny-diffusion", make)


@pytest.fixture(scope="session")
def tiny_depth(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> dict[str, bytes]:
    """The files of a Depth Anything that is as small as possible, by their names in its repository."""
    from tests import depth_models

    folder = _made_once(tmp_path_factory, pytestconfig, "tiny-depth", depth_models.save)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
