"""Which home a folder belongs to: two homes never share one, and a moved, copied or restored home finds its own."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from daemon.cli.job_queries import JobQueries
from daemon.doctor.taking_over import take_over
from daemon.errors import Refusal
from daemon.fs import LocalFiles, make_folders
from daemon.health.folder_health import FolderHealth
from daemon.journal import hold_lock
from daemon.outbox import Outbox
from daemon.outbox.ownership import Ownership, refuse_strangers, who
from daemon.platform.mounts import Mount
from daemon.settings import Settings, load
from daemon.watch import Watch
from daemon.watch.folder_watch import FolderWatch

FS = LocalFiles()
NOTHING_SET = {"MULTIPLANE_CONFIG": os.devnull}


def settings_of(home: Path, **folders: Path) -> Settings:
    return load(home, NOTHING_SET | {f"MULTIPLANE_FOLDERS__{name.upper()}": str(path) for name, path in folders.items()})


class Daemon:
    """What a daemon does with its folders: at its start, and at each check."""

    def __init__(self, home: Path, **folders: Path) -> None:
        settings = settings_of(home, **folders)
        paths = settings.paths
        make_folders(FS, paths.state_bytes)
        self.ownership = Ownership(FS, who(FS, paths, new_id=True))
        refuse_strangers(self.ownership, paths)
        self.outbox = Outbox(FS, paths.outbox_bytes, ownership=self.ownership)
        self.health = FolderHealth(FS, settings, self.outbox, lambda: (), self.ownership)
        if not paths.journal.exists():
            self.health.prepare()
            paths.journal.mkdir()
        # On a share nothing is watched, so that no thread of it is left behind.
        share = lambda *_: Mount(b"/", "nfs", "server:/")  # noqa: E731
        self.watch = Watch(paths.inbox_bytes, lambda: None, read_control=lambda *_: None, mount_of=share)

    def absence(self) -> str | None:
        bell = FolderWatch(self.outbox.root, lambda: None)
        try:
            return self.health.absence(self.watch, bell, 0.0)
        finally:
            bell.stop()


@pytest.fixture
def first(tmp_path) -> Path:
    """A home in which a daemon has worked."""
    assert Daemon(tmp_path / "first").absence() is None
    return tmp_path / "first"


@pytest.mark.parametrize("name", ["inbox", "outbox"])
@pytest.mark.parametrize("way", ["setting", "link"])
def test_a_second_home_is_refused_a_folder_of_the_first(tmp_path, first, name, way) -> None:
    marker = first / name / ".multiplane"
    before = marker.read_bytes()
    folder = first / name
    if way == "link":
        folder = tmp_path / "link"
        folder.symlink_to(first / name)
    with pytest.raises(Refusal, match=f"the {name} .* belongs to another home, {first} on {socket.gethostname()}") as refused:
        Daemon(tmp_path / "second", **{name: folder})
    assert "doctor --take-over" in refused.value.hint
    assert marker.read_bytes() == before
    assert Daemon(first).absence() is None


def test_a_moved_home_keeps_its_folders_without_a_question(tmp_path, first) -> None:
    first.rename(tmp_path / "moved")
    assert Daemon(tmp_path / "moved").absence() is None
    assert str(tmp_path / "moved") in (tmp_path / "moved" / "outbox" / ".multiplane").read_text()


def test_a_copy_of_a_home_works_beside_it_but_not_in_its_folders(tmp_path, first) -> None:
    shutil.copytree(first, tmp_path / "copy")
    with pytest.raises(Refusal, match="the outbox"):
        Daemon(tmp_path / "copy", outbox=first / "outbox")
    both = Daemon(tmp_path / "copy"), Daemon(first)
    assert [daemon.absence() for daemon in both] == [None, None]


def test_on_a_share_a_copy_has_to_be_confirmed(tmp_path, first, monkeypatch) -> None:
    shutil.copytree(first, tmp_path / "copy")
    monkeypatch.setattr("daemon.outbox.ownership.mount_of", lambda _path: Mount(b"/", "nfs", "server:/"))
    with pytest.raises(Refusal, match="belongs to another home"):
        Daemon(tmp_path / "copy")


def test_a_home_that_lost_its_state_folder_goes_on(first) -> None:
    shutil.rmtree(first / ".state")
    assert Daemon(first).absence() is None


@pytest.mark.parametrize("content", [b"", b"This marks the outbox of Multiplane.\n", b'{"id": "' + b"\xff" * 9, b"[" * 100_000])
def test_a_marker_that_names_no_home_is_nobodys_and_is_written_again(first, content) -> None:
    for name in ("inbox", "outbox"):
        marker = first / name / ".multiplane"
        good = marker.read_bytes()
        marker.write_bytes(content)
        assert Daemon(first).absence() is None
        assert marker.read_bytes() == good


def test_a_marker_that_is_a_link_is_replaced_and_what_it_points_to_is_not_touched(tmp_path, first) -> None:
    victim = tmp_path / "victim"
    marker = first / "outbox" / ".multiplane"
    marker.rename(victim)
    victim.write_bytes(victim.read_bytes().replace(b"first", b"forged"))
    before = victim.read_bytes()
    marker.symlink_to(victim)
    assert Daemon(first).absence() is None
    assert victim.read_bytes() == before
    assert not marker.is_symlink()


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_a_running_daemon_notices_that_its_folder_was_taken_over_and_touches_nothing(tmp_path, first, name) -> None:
    running = Daemon(first)
    assert running.absence() is None
    lock = hold_lock(FS, settings_of(first).paths.lock_bytes, os.getpid())
    second = settings_of(tmp_path / "second", **{name: first / name})
    with pytest.raises(Refusal, match="a daemon is running in the other home"):
        list(take_over(second, FS))
    lock.release()
    assert any("belonged to" in sentence for sentence in take_over(second, FS))
    assert f"belongs to another home, {tmp_path / 'second'}" in (running.absence() or "")
    assert "folders." in running.health.absence_hint
    assert running.outbox.is_healthy() == (name == "inbox")
    with pytest.raises(Refusal):
        Daemon(first)
    assert Daemon(tmp_path / "second", **{name: first / name}).absence() is None


def test_a_disk_that_comes_back_with_the_outbox_of_another_home_is_not_used(tmp_path, first) -> None:
    second = Daemon(tmp_path / "second")
    outbox = tmp_path / "second" / "outbox"
    outbox.rename(tmp_path / "unmounted")
    assert "is not there" in (second.absence() or "")
    outbox.symlink_to(first / "outbox")
    assert "belongs to another home" in (second.absence() or "")
    outbox.unlink()
    (tmp_path / "unmounted").rename(outbox)
    assert second.absence() is None


def test_verbs_do_not_take_the_report_of_another_home_for_their_own(tmp_path, first) -> None:
    queries = JobQueries(FS, settings_of(tmp_path / "second", outbox=first / "outbox"))
    assert str(first) in str(queries.stranger())
    assert JobQueries(FS, settings_of(first)).stranger() is None


@pytest.mark.parametrize("text", ["\x1b[2J\0`multiplane rm a`\0", "x" * 9000])
def test_what_a_forged_marker_says_is_shown_without_harm(first, text) -> None:
    marker = first / "outbox" / ".multiplane"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"id": "0" * 32, "home": text, "state": "/nowhere"}))
    owner = Ownership(FS, who(FS, settings_of(first).paths)).stranger(os.fsencode(first / "outbox"))
    assert owner is not None
    assert str(owner).isprintable()
    assert len(str(owner)) < 300
