"""Files are written completely or not at all, and only regular files are opened."""

import errno
import hashlib
import os
import stat
import sys
from functools import partial

import pytest

from daemon.fs import LocalFiles, Wanted, held, make_folders, remove_tree, syncing_tree, write_atomic, write_new
from daemon.fs.compose import write_all


class Files(LocalFiles):
    """The real disk; logs changes, writes short, or fails."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.most = 1 << 30
        self.failing: dict[str, int] = {}

    def _may(self, name: str) -> None:
        self.log.append(name)
        if name in self.failing:
            raise OSError(self.failing[name], "told to fail")

    def create(self, path):
        self._may("create")
        return super().create(path)

    def write(self, fd, data):
        self._may("write")
        return super().write(fd, data[: self.most])

    def sync(self, fd):
        self._may("sync")
        super().sync(fd)

    def rename(self, source, target):
        self._may("rename")
        super().rename(source, target)

    def sync_dir(self, path):
        self._may("sync_dir")
        super().sync_dir(path)


@pytest.fixture
def fs():
    return Files()


@pytest.fixture
def folder(tmp_path):
    return os.fsencode(tmp_path)


def content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_a_durable_file_is_synced_before_it_is_renamed_and_its_folder_after(fs, folder):
    write_atomic(fs, folder + b"/a", b"new", durable=True)
    assert fs.log == ["create", "write", "sync", "rename", "sync_dir"]
    fs.log.clear()
    write_atomic(fs, folder + b"/a", b"newer", durable=False)
    assert fs.log == ["create", "write", "rename"]
    assert content(folder + b"/a") == b"newer"


@pytest.mark.parametrize("call", ["create", "write", "sync", "rename"])
def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(fs, folder, call):
    write_atomic(fs, folder + b"/a", b"old", durable=True)
    fs.failing[call] = errno.ENOSPC
    with pytest.raises(OSError, match="told to fail"):
        write_atomic(fs, folder + b"/a", b"new", durable=True)
    assert os.listdir(folder) == [b"a"]
    assert content(folder + b"/a") == b"old"


def test_what_a_crash_left_under_the_temporary_name_is_replaced(fs, folder):
    write_new(fs, folder + b"/.tmp-a", b"half", durable=False)
    write_atomic(fs, folder + b"/a", b"new", durable=False)
    assert os.listdir(folder) == [b"a"]
    assert content(folder + b"/a") == b"new"


@pytest.mark.parametrize("name", [b"n" * 255, b"n" * 251, "ü".encode() * 127, b"\xff" * 255, b"-"])
def test_a_name_may_be_as_long_as_the_disk_allows(fs, folder, name):
    write_atomic(fs, folder + b"/" + name, b"new", durable=True)
    assert os.listdir(folder) == [name]


def test_short_writes_are_continued_and_a_full_file_is_told(fs, folder):
    fs.most = 3
    write_new(fs, folder + b"/a", b"0123456789", durable=False)
    assert content(folder + b"/a") == b"0123456789"
    fs.most = 0
    fd = fs.create(folder + b"/b")
    with pytest.raises(OSError, match="no more bytes"):
        write_all(fs, fd, b"x")
    os.close(fd)


def test_a_new_file_never_replaces_one(folder):
    write_new(LocalFiles(), folder + b"/a", b"old", durable=True)
    os.symlink(folder + b"/nowhere", folder + b"/link")
    for name in (b"/a", b"/link"):
        with pytest.raises(FileExistsError):
            LocalFiles().create(folder + name)
    assert not os.path.exists(folder + b"/nowhere")


@pytest.mark.parametrize("operation", ["read", "digest", "sync_file", "append", "copy"])
@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_nothing_but_a_plain_file_is_opened(folder, operation, kind):
    """And it does not wait for the writer of a FIFO."""
    path = folder + b"/x"
    write_new(LocalFiles(), folder + b"/target", b"secret", durable=False)
    {"symlink": lambda: os.symlink(folder + b"/target", path), "fifo": lambda: os.mkfifo(path), "folder": lambda: os.mkdir(path)}[
        kind
    ]()
    more = {"read": (100,), "copy": (folder + b"/copy",)}.get(operation, ())
    with pytest.raises(OSError, match=r".*"):
        getattr(LocalFiles(), operation)(path, *more)


def test_a_copy_has_the_bytes_and_times_and_says_what_it_read(folder):
    data = os.urandom(3 << 20)
    write_new(LocalFiles(), folder + b"/a", data, durable=False)
    os.utime(folder + b"/a", ns=(1_000_000_007, 2_000_000_009))
    assert LocalFiles().copy(folder + b"/a", folder + b"/b") == hashlib.sha256(data).hexdigest()
    assert content(folder + b"/b") == data
    assert os.stat(folder + b"/b").st_mtime_ns == 2_000_000_009
    assert LocalFiles().digest(folder + b"/b") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [100, 9 << 20])
@pytest.mark.parametrize("can_clone", [True, False])
def test_a_copy_in_the_background_is_whole_and_has_the_times(folder, size, can_clone, monkeypatch):
    # This disk may be unable to clone, so a disk that can is imitated by a copy at the place of the system call.
    def clone(source, to, name, mode):
        if not can_clone:
            return False
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=to)
        os.write(fd, os.pread(source, size, 0))
        os.close(fd)
        return True

    monkeypatch.setattr(held, "clone", clone)
    data = os.urandom(size)
    write_new(LocalFiles(), folder + b"/a", data, durable=False)
    os.utime(folder + b"/a", ns=(1_000_000_007, 2_000_000_009))
    open_before = set(os.listdir("/dev/fd"))
    with LocalFiles().hold(folder) as there:
        for _ in there.copy_in_background(b"a", there, b"b", Wanted(size, 2_000_000_009)):
            pass
        with pytest.raises(FileExistsError):
            list(there.copy_in_background(b"a", there, b"b", Wanted(size, 2_000_000_009)))
        with pytest.raises(OSError, match="no longer the file"):
            list(there.copy_in_background(b"a", there, b"c", Wanted(size + 1, 2_000_000_009)))
    assert content(folder + b"/b") == data
    assert os.stat(folder + b"/b").st_mtime_ns == 2_000_000_009
    assert sorted(os.listdir(folder)) == [b"a", b"b"]
    assert len(os.listdir("/dev/fd")) == len(open_before)


def test_a_disk_that_cannot_clone_is_told_and_leaves_nothing(folder):
    write_new(LocalFiles(), folder + b"/a", b"data", durable=False)
    with LocalFiles().hold(folder) as there, open(folder + b"/a", "rb") as file:
        if there.clone(file.fileno(), b"b"):
            assert content(folder + b"/b") == b"data"
        else:
            assert os.listdir(folder) == [b"a"]


def test_what_is_at_a_name_is_told_without_following_links(folder):
    fs = LocalFiles()
    os.mkdir(folder + b"/d")
    os.symlink(folder + b"/d", folder + b"/l")
    os.mkfifo(folder + b"/p")
    write_new(fs, folder + b"/f", b"12", durable=False)
    kinds = {entry.name: entry.kind for entry in fs.scan(folder)}
    assert kinds == {b"d": "directory", b"l": "symlink", b"p": "other", b"f": "file"}
    assert {name: fs.lstat(folder + b"/" + name).kind for name in kinds} == kinds
    assert fs.lstat(folder + b"/f").size == 2


def test_folders_are_made_with_their_parents_and_each_is_durable(fs, folder):
    make_folders(fs, folder + b"/a/b/c")
    assert os.path.isdir(folder + b"/a/b/c")
    assert fs.log.count("sync_dir") == 3
    make_folders(fs, folder + b"/a/b/c")
    write_new(fs, folder + b"/file", b"", durable=False)
    with pytest.raises(FileExistsError):
        make_folders(fs, folder + b"/file")


def test_a_tree_is_made_durable_file_by_file_and_folder_by_folder(fs, folder):
    make_folders(fs, folder + b"/t/u")
    for name in (b"/t/a", b"/t/u/b"):
        write_new(fs, folder + name, b"x", durable=False)
    fs.log.clear()
    assert len(list(syncing_tree(fs, folder + b"/t"))) == 2
    assert fs.log.count("sync_dir") == 2
    os.mkfifo(folder + b"/t/pipe")
    with pytest.raises(OSError, match="regular"):
        list(syncing_tree(fs, folder + b"/t"))


def test_a_tree_is_removed_and_what_its_links_lead_to_is_not(fs, folder):
    make_folders(fs, folder + b"/keep")
    write_new(fs, folder + b"/keep/file", b"x", durable=False)
    make_folders(fs, folder + b"/t/u")
    os.symlink(folder + b"/keep", folder + b"/t/link")
    os.symlink(folder + b"/keep/file", folder + b"/t/u/link")
    os.mkfifo(folder + b"/t/u/pipe")
    remove_tree(fs, folder + b"/t")
    remove_tree(fs, folder + b"/t")
    assert os.listdir(folder) == [b"keep"]
    assert content(folder + b"/keep/file") == b"x"


def test_a_tree_deeper_than_the_stack_is_removed(fs, folder):
    path = folder + b"/t"
    os.mkdir(path)
    for _ in range(1500):
        path += b"/d"
        os.mkdir(path)
    remove_tree(fs, folder + b"/t")
    assert os.listdir(folder) == []


def test_a_lock_is_held_until_it_is_closed(folder):
    fs = LocalFiles()
    fd = fs.lock(folder + b"/lock")
    assert fs.lock(folder + b"/lock") is None
    fs.close(fd)
    again = fs.lock(folder + b"/lock")
    assert again is not None
    fs.close(again)


def test_many_are_synced_as_one(folder):
    names = [folder + b"/%d" % number for number in range(20)]
    for name in names:
        write_new(LocalFiles(), name, b"x", durable=False)
    LocalFiles().sync_many([*names, folder])
    with pytest.raises(FileNotFoundError):
        LocalFiles().sync_many([folder + b"/nowhere"])


def test_changes_side_by_side_each_report_their_own_error_and_leave_the_umask_alone(folder):
    fs = LocalFiles()
    fs.publish_below(folder)
    before = os.umask(0o077)
    try:
        names = [folder + (b"/missing/%d" if number == 7 else b"/%d") % number for number in range(40)]
        errors = fs.side_by_side([partial(write_new, fs, name, b"x", durable=True) for name in names])
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert [number for number, error in enumerate(errors) if error] == [7]
    assert isinstance(errors[7], FileNotFoundError)
    assert {os.stat(name).st_mode & 0o777 for name in names if name != names[7]} == {0o600}


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_what_is_made_follows_the_umask_and_the_folder_and_state_is_never_writable_for_others(folder, umask):
    fs = LocalFiles()
    fs.own_below(folder + b"/state")
    os.chmod(folder, 0o2755)  # setgid: on Linux, subfolders inherit it
    before = os.umask(umask)
    try:
        for name in (b"/shared", b"/state"):
            fs.mkdir(folder + name)
            write_new(fs, folder + name + b"/file", b"x", durable=False)
            with fs.hold(folder + name) as held:
                held.mkdir(b"inner")
                held.close(held.create(b"held"))
    finally:
        os.umask(before)

    def mode(name):
        return os.stat(folder + name).st_mode & 0o777

    assert {mode(b"/shared"), mode(b"/shared/inner")} == {0o777 & ~umask}
    assert {mode(b"/shared/file"), mode(b"/shared/held")} == {0o666 & ~umask}
    assert {mode(b"/state"), mode(b"/state/inner")} == {0o755 & ~umask}
    assert {mode(b"/state/file"), mode(b"/state/held")} == {0o644 & ~umask}
    assert sys.platform != "linux" or os.stat(folder + b"/shared/inner").st_mode & stat.S_ISGID


@pytest.mark.parametrize("read", ["read", "ends", "copy"])
def test_a_file_that_is_not_the_one_that_was_looked_at_is_not_read(tmp_path, read):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"the picture")
    found = path.stat()
    wanted = Wanted(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
    with LocalFiles().hold(os.fsencode(tmp_path)) as folder:
        do = {
            "read": lambda: folder.read(b"a.jpg", 100, wanted),
            "ends": lambda: folder.ends(b"a.jpg", 100, wanted)[0],
            "copy": lambda: bool(folder.copy(b"a.jpg", folder, b"b.jpg", wanted)) and (tmp_path / "b.jpg").read_bytes(),
        }[read]
        assert do() == b"the picture"
        path.rename(tmp_path / "kept.jpg")
        path.write_bytes(b"the mixture")
        os.utime(path, ns=(0, found.st_mtime_ns))
        with pytest.raises(OSError, match="no longer the file that was checked"):
            do()
