"""What the platform layer reports about files and mounts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.intake.settle import copy_under_way
from daemon.platform import files, mounts
from daemon.watch.scan import sentence


@pytest.mark.skipif(sys.platform != "linux", reason="leases exist on Linux only")
def test_a_file_open_for_writing_elsewhere_is_known_and_a_closed_one_not(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert not files.open_for_writing_elsewhere(fd)
        writer = subprocess.Popen(
            [sys.executable, "-c", "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout.readline()
        assert files.open_for_writing_elsewhere(fd)
        writer.communicate()
        assert not files.open_for_writing_elsewhere(fd)
        # The lease is given back, so that the next writer is not held up.
        with open(path, "ab") as again:
            assert again.writable()
    finally:
        os.close(fd)


def test_the_canonical_path_has_no_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert files.canonical(os.fsencode(tmp_path / "link")) == os.path.realpath(os.fsencode(tmp_path / "real"))


def test_the_three_birth_times_are_the_dates_they_stand_for():
    import datetime

    dates = [(datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=s)).date().isoformat() for s in (443779200, -2082844800)]
    assert dates == ["1984-01-24", "1904-01-01"]
    assert all(copy_under_way(t) for t in (443779200.0, 443779200.25, -2082844800.0, -753578704.0))
    assert not any(copy_under_way(t) for t in (None, 0.0, 443779201.0, 1.7e9))


@pytest.mark.parametrize(
    ("kind", "network"),
    [("ext4", False), ("apfs", False), ("fuseblk", False), ("overlay", False), ("exfat", False), ("smbfs", True), ("cifs", True),
     ("nfs4", True), ("afpfs", True), ("webdav", True), ("9p", True), ("fuse.sshfs", True), ("macfuse", True)],
)  # fmt: skip
def test_network_file_systems_are_told_from_local_ones(kind, network):
    assert mounts.Mount(b"/", kind, "x").network is network


def test_a_path_belongs_to_the_innermost_mount_and_there_to_the_last_one():
    server = mounts.Mount(b"/srv/x", "cifs", "//srv/y")
    table = [mounts.Mount(b"/", "ext4", "/dev/a"), mounts.Mount(b"/srv/x", "nfs4", "srv:/x"), server,
             mounts.Mount(b"/srv/xx", "xfs", "/dev/b")]  # fmt: skip
    assert mounts.innermost(b"/srv/x/not there/inbox", table) == mounts.innermost(b"/srv/x", table) == server
    assert mounts.innermost(b"/srv", table).kind == "ext4"


def test_the_real_mount_table_knows_where_this_file_lies():
    found = mounts.mount_of(os.fsencode(__file__))
    assert os.path.realpath(os.fsencode(__file__)).startswith(found.point)
    assert found.kind != "unknown"


_MOUNTING = """
import os, subprocess, sys
from daemon.platform.mounts import MountTable, is_mount_point, mount_of

folder, other = map(os.fsencode, sys.argv[1:])
table = MountTable()


def found():
    return is_mount_point(folder), mount_of(folder).point == folder, folder in [mount.point for mount in table.mounts()]


def run(*argv):
    subprocess.run(argv, check=True)


for _ in range(2):
    assert found() == (False, False, False)
    run("mount", "-t", "tmpfs", "none", folder)
    assert found() == (True, True, True) and mount_of(folder).kind == "tmpfs"
    run("umount", folder)
    assert found() == (False, False, False)
    run("mount", "--bind", other, folder)
    assert found() == (True, True, True)
    assert found() == (True, True, True)
    run("umount", folder)
assert found() == (False, False, False)
assert table.mounts() is table.mounts()
"""


def test_every_change_of_the_mount_table_is_noticed_and_an_unchanged_one_is_not_read_again(tmp_path):
    space = ("unshare", "--user", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*space, "true"], capture_output=True).returncode != 0:
        pytest.skip("this system does not let this user mount anything")
    folder, other = tmp_path / "a folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    argv = [*space, sys.executable, "-c", _MOUNTING, os.path.realpath(folder), str(other)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=110)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "may not be read"),
        (13, "may not be read"),
        (2, "is not there"),
        (20, "is not a folder"),
        (116, "Stale"),
        (5, "Input/output"),
    ],
)
def test_errors_of_the_disk_are_told_in_words(number, said):
    text = sentence(OSError(number, os.strerror(number)), b"/home/x/inbox")
    assert said in text
    assert text.startswith("/home/x/inbox ")
