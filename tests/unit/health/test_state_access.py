"""The state folder commands the daemon, so it must be the daemon's own: nobody else may own it, write to it or replace it."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from daemon.doctor.facts import examine
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.fs.removable import user_named
from daemon.health.state_access import others_can_replace, others_can_write, refuse_what_others_wrote
from daemon.service.assembly import assemble
from daemon.settings import Settings, load

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
NOBODY = 65534


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that has its folders."""
    home = tmp_path / "home"
    for name in ("inbox", "outbox", ".state/journal", ".state/requests"):
        (home / name).mkdir(parents=True, mode=0o755)
    for folder in (home, home / ".state", home / ".state/journal", home / ".state/requests"):
        folder.chmod(0o755)
    return load(home, {}, is_network=lambda path: False)


def run(code: str) -> None:
    """Run a command that a hint shows, as it is shown."""
    subprocess.run(shlex.split(code.partition("`")[2].partition("`")[0]), check=True)


def test_a_home_of_ones_own_is_right(settings: Settings) -> None:
    refuse_what_others_wrote(settings.paths)
    assert others_can_replace(settings.paths.state_bytes) is None


def test_what_does_not_exist_yet_is_right(tmp_path: Path) -> None:
    refuse_what_others_wrote(load(tmp_path / "none", {}, is_network=lambda path: False).paths)


@pytest.mark.parametrize("name", [".", "journal", "requests"])
def test_the_daemon_refuses_a_state_folder_that_others_can_write_to(settings: Settings, name: str) -> None:
    folder = settings.paths.state / name
    folder.chmod(0o757)
    with pytest.raises(Refusal, match="can write to") as refused:
        assemble(settings, LocalFiles())
    assert refused.value.exit_status == 77
    assert str(folder.resolve()) in refused.value.message
    run(refused.value.hint)
    refuse_what_others_wrote(settings.paths)


@AS_ROOT
@pytest.mark.parametrize("name", [".", "journal", "requests"])
def test_the_daemon_refuses_a_state_folder_of_somebody_else(settings: Settings, name: str) -> None:
    os.chown(settings.paths.state / name, NOBODY, NOBODY)
    with pytest.raises(Refusal, match=f"belongs to {user_named(NOBODY)}, who could give the daemon commands") as refused:
        assemble(settings, LocalFiles())
    run(refused.value.hint)
    refuse_what_others_wrote(settings.paths)


@AS_ROOT
def test_a_group_with_other_members_counts_as_others(settings: Settings) -> None:
    state = settings.paths.state
    os.chown(state, -1, NOBODY)
    state.chmod(0o2775)
    assert others_can_write(settings.paths.state_bytes) is not None
    os.chown(state, -1, 0)  # root's own group
    assert others_can_write(settings.paths.state_bytes) is None


def test_a_home_in_which_others_can_rename_the_state_folder_is_told(settings: Settings) -> None:
    home = settings.paths.home
    home.chmod(0o757)
    access = others_can_replace(settings.paths.state_bytes)
    assert access is not None
    assert f"write to {home.resolve()}, and so rename the .state in it" in access.message
    home.chmod(0o1757)  # with the sticky bit, they can rename only what is theirs
    assert others_can_replace(settings.paths.state_bytes) is None
    home.chmod(0o757)
    run(access.hint)
    assert others_can_replace(settings.paths.state_bytes) is None


def test_the_doctor_tells_both(settings: Settings) -> None:
    settings.paths.home.chmod(0o757)
    settings.paths.state.chmod(0o757)
    findings = {(each.grade, each.sentence) for each in examine(lambda: settings, LocalFiles()).findings}
    home, state = settings.paths.home, settings.paths.state
    said = [(grade, sentence) for grade, sentence in findings if " can write to " in sentence]
    assert {grade for grade, _sentence in said} == {"problem", "note"}
    assert all(str(state if grade == "problem" else home) in sentence for grade, sentence in said)
