"""What applies to all tests: generated examples are the same in every run, and have no time limit.

`make soak` looks further, with examples of its own at every run.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("MULTIPLANE_SOAK") else "repeatable")

#: Each home of a test has models of its own: whoever runs the tests may have installed some, which a picture would be cut by.
os.environ["MULTIPLANE_FOLDERS__MODELS"] = ".state/models"

# `make test` hands its own options to what it starts, so a test that runs `make` would run it as a part of the first one.
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
    os.environ.pop(name, None)

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start as well; some tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: These files load torch, transformers and diffusers, which takes longer than most of their tests: one process runs them all,
#: one after the other.
_NETWORKS = (
    "test_wheel.py",
    "test_paintings.py",
    "test_models_used.py",
    "test_diffusion.py",
    "test_depth_model.py",
    "test_depth_choose.py",
    "test_default_model.py",
)
#: These files take longest. They begin first, so that none of them is left to run alone at the end.
_LONGEST = (
    *_NETWORKS,
    "test_interruptions.py",
    "test_crash_points.py",
    "test_offline.py",
    "test_gallery_page.py",
    "test_terminal.py",
    "test_batches.py",
    "test_real_daemon.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; then by turns those that wait for processes and those that compute, so that no core is idle."""
    files = list(dict.fromkeys(item.path for item in items))
    place = {path: _LONGEST.index(path.name) - len(_LONGEST) for path in files if path.name in _LONGEST}
    waiting = [path for path in files if path not in place and path.parent.name in ("acceptance", "process")]
    computing = [path for path in files if path not in place and path not in waiting]
    for kind in (waiting, computing):
        place |= {path: number / len(kind) for number, path in enumerate(kind)}
    items.sort(key=lambda item: place[item.path])


class _ByFile(LoadFileScheduling):
    """All tests of a file run in one process, and so do those of all files in `_NETWORKS`."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return "networks" if Path(path).name in _NETWORKS else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Whatever `--dist` says: by files."""
    return _ByFile(config, log)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short, plain path, whatever TMPDIR is: the address of a socket has some 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Stable Diffusion 1.5 that is as small as possible; tests that change it must change a copy."""
    import torch

    from tests import diffusion_models

    torch.set_num_threads(1)  # in networks of this size threads wait for each other: two take ten times one's processor time
    return diffusion_models.save_pipeline(tmp_path_factory.mktemp("diffusion") / "tiny")
