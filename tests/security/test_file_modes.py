"""Who may read and change what the daemon makes: as the umask and the folder say. Nobody else ever writes its state."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.home import HotFolder
from tests.acceptance.quick import quick_folder

UNDER = "import os, sys; os.umask(int(sys.argv[1], 8)); os.execv(sys.argv[2], sys.argv[2:])"
#: A user and a group that own nothing here.
STRANGER = 65534


@pytest.fixture(scope="module", params=["077", "022", "002"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HotFolder, int]]:
    """A stopped home in which a job was done under a umask. Root makes it for a group that shares it."""
    home = tmp_path_factory.mktemp("shared") / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, -1, STRANGER)
    home.chmod(0o2775)
    with quick_folder(home) as folder:
        folder.inbox.rmdir()  # so that the daemon makes it, with the presets
        folder.start([sys.executable, "-c", UNDER, request.param])
        folder.pair("photo.jpg")
        folder.done("photo.jpg", 30)
        folder.stop()
        yield folder, int(request.param, 8)


def test_what_people_share_follows_the_umask_and_nobody_else_may_write_the_state(made: tuple[HotFolder, int]) -> None:
    folder, umask = made
    (source,) = folder.outbox.glob("*/source")
    presets = [path for path in folder.inbox.rglob("*") if path.name != ".multiplane"]
    assert presets
    for path in (*folder.outbox.rglob("*"), *presets):
        if path.parent != source:  # originals keep their own rights
            assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path
    state = list((folder.home / ".state").rglob("*"))
    assert state
    assert not [path for path in state if path.stat().st_mode & 0o022]
    if umask == 0o077:
        assert not [path for path in state if path.stat().st_mode & 0o077]


@pytest.mark.skipif(sys.platform != "linux", reason="on macOS, folders inherit their group without a bit")
def test_folders_in_a_shared_folder_pass_its_group_on(made: tuple[HotFolder, int]) -> None:
    folder, _ = made
    for path in (folder.inbox, folder.outbox, *folder.outbox.rglob("*")):
        if path.is_dir():
            assert path.stat().st_mode & stat.S_ISGID, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_colleague_of_the_shared_group_may_do_what_the_umask_allows(made: tuple[HotFolder, int]) -> None:
    folder, umask = made
    (job,) = folder.outbox.glob("*/source")
    with colleague(folder):
        assert can(lambda: os.scandir(f"outbox/{job.parent.name}/result").close()) is (umask != 0o077)
        assert can(lambda: open(f"outbox/{job.parent.name}/status.json", "rb").close()) is (umask != 0o077)
        assert can(lambda: open("inbox/photo in 4 layers/mine.jpg", "xb").close()) is (umask == 0o002)
        assert can(lambda: open("inbox/photo in 4 layers/_preset.yaml", "ab").close()) is (umask == 0o002)
        assert can(lambda: os.rename(f"outbox/{job.parent.name}", "outbox/thrown away")) is (umask == 0o002)
        assert not can(lambda: open(".state/requests/mine.json", "xb").close())


@contextlib.contextmanager
def colleague(folder: HotFolder) -> Iterator[None]:
    """Be another user, in the home, whose group is the home's. The folders above the home are not entered."""
    here, groups = os.getcwd(), os.getgroups()
    os.chdir(folder.home)
    try:
        os.setgroups([])
        os.setegid(STRANGER)
        os.seteuid(STRANGER)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.chdir(here)


def can(what) -> bool:
    try:
        what()
    except PermissionError:
        return False
    return True
