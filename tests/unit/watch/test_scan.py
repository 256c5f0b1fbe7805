"""What the scanner sees, and that it disturbs nothing."""

import contextlib
import errno
import os
import socket
import stat

import pytest

from daemon.intake import Control, Entry
from daemon.watch.scan import Scanner


@pytest.fixture
def inbox(tmp_path):
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def scanner(inbox, read=None) -> Scanner:
    return Scanner(os.fsencode(inbox), network=False, read_control=read or (lambda path, entry, kind: Control(kind, entry)))


def kinds(folder) -> dict[bytes, str]:
    return {name: entry.kind for name, entry in folder.entries.items()}


def test_every_kind_of_file_is_seen_as_what_it_is(inbox):
    (inbox / "file").write_bytes(b"123")
    (inbox / "sub").mkdir()
    (inbox / "link").symlink_to("/etc/passwd")
    (inbox / "loop").symlink_to("loop")
    os.mkfifo(inbox / "pipe")
    os.link(inbox / "file", inbox / "twin")
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.open(inbox, os.O_RDONLY)
        try:
            sock.bind(f"/proc/self/fd/{here}/socket" if os.path.exists("/proc/self/fd") else str(inbox / "socket"))
        finally:
            os.close(here)
        (root, sub) = scanner(inbox).scan(1.0).folders
    assert kinds(root) == {
        b"file": "file",
        b"sub": "directory", b"link": "symlink", b"loop": "symlink", b"pipe": "fifo", b"twin": "file", b"socket": "socket",
    }  # fmt: skip
    assert (sub.name, sub.entries) == (b"sub", {})
    st = (inbox / "file").stat()
    assert root.entries[b"file"] == Entry(b"file", "file", st.st_dev, st.st_ino, 3, st.st_mtime_ns, 2)


def test_when_a_name_came_or_went_is_seen_by_the_file_systems_own_clock(inbox):
    inbox_scanner = scanner(inbox)
    (first,) = inbox_scanner.scan(1.0).folders
    assert first.mtime_ns == inbox.stat().st_mtime_ns
    (inbox / "a.jpg").write_bytes(b"x")
    os.utime(inbox, ns=(0, 67890))
    (glanced,) = inbox_scanner.scan_names(2.0, {b"": {b"a.jpg"}}).folders
    assert glanced.mtime_ns == 67890
    (inbox / "a.jpg").unlink()
    os.utime(inbox, ns=(0, 99999))
    (looked,) = inbox_scanner.scan(3.0).folders
    assert looked.mtime_ns == 99999


def test_names_are_the_bytes_on_disk(inbox):
    raw = b"\xff\xfe\n.jpg"
    with open(os.fsencode(inbox) + b"/" + raw, "wb"):
        pass
    assert raw in scanner(inbox).scan(1.0).folders[0].entries


def test_what_did_not_change_is_the_same_object(inbox):
    (inbox / "sub").mkdir()
    for path in (inbox / "a.jpg", inbox / "b.jpg", inbox / "sub" / "c.jpg"):
        path.write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    before = inbox_scanner.scan(1.0)
    again = inbox_scanner.scan(2.0)
    assert all(a.entries is b.entries for a, b in zip(before.folders, again.folders, strict=True))
    (inbox / "b.jpg").write_bytes(b"xy")
    after = inbox_scanner.scan(3.0)
    assert after.folders[0].entries[b"a.jpg"] is before.folders[0].entries[b"a.jpg"]
    assert after.folders[0].entries[b"b.jpg"].size == 2
    assert before.folders[0].entries[b"b.jpg"].size == 1
    assert after.folders[1].entries is before.folders[1].entries


def test_a_touched_mode_is_no_change_but_a_new_link_is(inbox):
    (inbox / "a.jpg").write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    before = inbox_scanner.scan(1.0).folders[0].entries
    (inbox / "a.jpg").chmod(0o600)
    assert inbox_scanner.scan(2.0).folders[0].entries is before
    os.link(inbox / "a.jpg", inbox.parent / "elsewhere")
    assert inbox_scanner.scan(3.0).folders[0].entries[b"a.jpg"].nlink == 2


def test_a_file_in_whose_place_another_was_between_two_full_looks_is_seen_to_be_back(inbox):
    for name in ("a.jpg", "b.jpg"):
        (inbox / name).write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    for now in (1.0, 2.0, 3.0):
        before = inbox_scanner.scan(now).folders[0].entries
    (inbox / "a.jpg").rename(inbox.parent / "aside")
    (inbox / "a.jpg").write_bytes(b"another")
    assert inbox_scanner.scan_names(4.0, {b"": {b"a.jpg"}}).folders[0].entries[b"a.jpg"].size == 7
    (inbox.parent / "aside").rename(inbox / "a.jpg")
    assert inbox_scanner.scan(5.0).folders[0].entries == before


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_one_change_among_many_is_seen_and_all_others_stay_the_same_objects(inbox, count):
    for number in range(count):
        (inbox / f"{number}.jpg").write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    for now in (1.0, 2.0):
        before = inbox_scanner.scan(now).folders[0].entries
    assert len(before) == count
    (inbox / "0.jpg").write_bytes(b"xy")
    after = inbox_scanner.scan(3.0).folders[0].entries
    assert [name for name in before if after[name] is not before[name]] == [b"0.jpg"]
    (inbox / "0.jpg").unlink()
    (inbox / "new.jpg").write_bytes(b"x")
    assert inbox_scanner.scan(4.0).folders[0].entries.keys() == before.keys() - {b"0.jpg"} | {b"new.jpg"}
    assert inbox_scanner.scan(5.0).folders[0].entries.keys() == before.keys() - {b"0.jpg"} | {b"new.jpg"}


def test_a_file_exchanged_for_a_link_is_seen(inbox):
    (inbox / "a.jpg").write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    inbox_scanner.scan(1.0)
    (inbox / "a.jpg").unlink()
    (inbox / "a.jpg").symlink_to("/")
    assert inbox_scanner.scan(2.0).folders[0].entries[b"a.jpg"].kind == "symlink"


class Refusing:
    """A name in a listing whose lstat fails with an error of the system."""

    def __init__(self, item: os.DirEntry[bytes], code: int) -> None:
        self.name, self._code = item.name, code

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        raise OSError(self._code, os.strerror(self._code), self.name)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EBUSY, errno.EACCES], ids=errno.errorcode.get)
def test_a_name_that_cannot_be_looked_at_is_unreadable_until_it_can_and_hides_no_other(inbox, monkeypatch, code):
    for name in ("a.jpg", "b.jpg"):
        (inbox / name).write_bytes(b"x")
    inbox_scanner, bare, lstat = scanner(inbox), os.scandir, os.stat
    before = inbox_scanner.scan(1.0).folders[0].entries

    def refused(path, **how):
        if path == b"a.jpg":
            raise OSError(code, os.strerror(code), path)
        return lstat(path, **how)

    @contextlib.contextmanager
    def listing(path):
        with bare(path) as items:
            yield (Refusing(item, code) if item.name == "a.jpg" else item for item in items)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", listing)
        patch.setattr(os, "stat", refused)
        for look in (inbox_scanner.scan(2.0), inbox_scanner.scan_names(3.0, {b"": {b"a.jpg"}})):
            (root,) = look.folders
            assert (root.problem, kinds(root)) == (None, {b"a.jpg": "unreadable", b"b.jpg": "file"})
    assert inbox_scanner.scan(4.0).folders[0].entries == before


def test_a_file_locked_in_finder_is_seen_as_locked_and_unlocked(inbox, monkeypatch):
    """Uses the write permission instead of the Mac's flag; both arrive with lstat."""
    monkeypatch.setattr("daemon.watch.entries.is_locked", lambda st: not st.st_mode & 0o200)
    (inbox / "a.jpg").write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    open_ = inbox_scanner.scan(1.0).folders[0].entries
    (inbox / "a.jpg").chmod(0o400)
    locked = inbox_scanner.scan(2.0).folders[0].entries
    assert (open_[b"a.jpg"].kind, locked[b"a.jpg"].kind) == ("file", "locked")
    assert inbox_scanner.scan(3.0).folders[0].entries is locked
    (inbox / "a.jpg").chmod(0o600)
    assert inbox_scanner.scan(4.0).folders[0].entries == open_


def test_a_glance_sees_the_names_it_looks_at_and_leaves_the_rest_as_last_seen(inbox):
    for name in ("a.jpg", "b.jpg", "gone.jpg"):
        (inbox / name).write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    inbox_scanner.scan(1.0)
    (inbox / "a.jpg").write_bytes(b"xyz")
    (inbox / "b.jpg").write_bytes(b"xyz")
    (inbox / "gone.jpg").unlink()
    (inbox / "new.jpg").write_bytes(b"x")
    (root,) = inbox_scanner.scan_names(2.0, {b"": {b"a.jpg", b"gone.jpg", b"never.jpg"}}).folders
    assert {n: e.size for n, e in root.entries.items()} == {b"a.jpg": 3, b"b.jpg": 1}
    assert root.scanned == {b"a.jpg", b"gone.jpg", b"never.jpg"}
    assert {n: e.size for n, e in inbox_scanner.scan(3.0).folders[0].entries.items()} == {b"a.jpg": 3, b"b.jpg": 3, b"new.jpg": 1}


def test_a_glance_at_a_new_folder_sees_all_of_it(inbox):
    inbox_scanner = scanner(inbox)
    inbox_scanner.scan(1.0)
    (inbox / "holiday").mkdir()
    (inbox / "holiday" / "a.jpg").write_bytes(b"x")
    (_, holiday) = inbox_scanner.scan_names(2.0, {b"": {b"holiday"}}).folders
    assert (list(holiday.entries), holiday.scanned) == ([b"a.jpg"], None)
    (inbox / "holiday" / "a.jpg").unlink()
    (_, holiday) = inbox_scanner.scan_names(3.0, {b"holiday": {b"a.jpg"}}).folders
    assert (holiday.entries, holiday.scanned) == ({}, {b"a.jpg"})
    (inbox / "holiday").rmdir()
    assert len(inbox_scanner.scan_names(4.0, {}, {b"holiday"}).folders) == 1


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "#recycle", ".sb-123", "x.download", ".hidden"])
def test_folders_of_other_programs_are_not_looked_into(inbox, name):
    (inbox / name).mkdir()
    assert len(scanner(inbox).scan(1.0).folders) == 1


def test_a_preset_is_read_when_it_is_new_or_changed_and_only_then(inbox):
    reads = []

    def read(folder, entry, kind):
        where = b"" if os.fstat(folder).st_ino == inbox.stat().st_ino else b"holiday/"
        reads.append((where + entry.name, kind, entry.size))
        return Control(kind, entry)

    (inbox / "holiday").mkdir()
    for path in (inbox / "_preset.yaml", inbox / "job.yaml", inbox / "holiday" / "job.yaml", inbox / "holiday" / "_Preset.YAML"):
        path.write_bytes(b"x")
    inbox_scanner = scanner(inbox, read)
    (root, holiday) = inbox_scanner.scan(1.0).folders
    inbox_scanner.scan(2.0)
    assert sorted(reads) == [
        (b"_preset.yaml", "preset", 1),
        (b"holiday/_Preset.YAML", "preset", 1),
        (b"holiday/job.yaml", "batch", 1),
    ]
    assert [c.kind for c in root.controls] == ["preset"]
    assert {c.kind for c in holiday.controls} == {"preset", "batch"}
    (inbox / "_preset.yaml").write_bytes(b"xy")
    (root, _) = inbox_scanner.scan(3.0).folders
    assert reads[3:] == [(b"_preset.yaml", "preset", 2)]
    (inbox / "_preset.yaml").unlink()
    assert inbox_scanner.scan_names(4.0, {b"": {b"_preset.yaml"}}).folders[0].controls == ()


def test_a_preset_that_is_a_link_is_refused_unread(inbox):
    (inbox / "_preset.yaml").symlink_to("/etc/passwd")

    def read(path, entry, kind):
        raise AssertionError("a link was followed")

    (control,) = scanner(inbox, read).scan(1.0).folders[0].controls
    assert "refused" in control.problem


def test_no_file_is_opened_or_touched(inbox):
    path = inbox / "a.jpg"
    path.write_bytes(b"x")
    os.utime(path, ns=(0, 10**18))
    path.chmod(0)
    before = path.stat()
    inbox_scanner = scanner(inbox)
    inbox_scanner.scan(1.0)
    inbox_scanner.scan_names(2.0, {b"": {b"a.jpg"}})
    after = path.stat()
    assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (0, 10**18, before.st_ctime_ns)
    assert stat.S_IMODE(after.st_mode) == 0


def test_an_inbox_that_is_not_there_is_reported_and_what_was_seen_is_kept(inbox):
    (inbox / "a.jpg").write_bytes(b"x")
    inbox_scanner = scanner(inbox)
    before = inbox_scanner.scan(1.0).folders[0].entries
    inbox.rename(inbox.parent / "moved")
    (root,) = inbox_scanner.scan(2.0).folders
    assert "is not there" in root.problem
    assert root.entries is before
    inbox.write_bytes(b"a file instead")
    assert "is not a folder" in inbox_scanner.scan(3.0).folders[0].problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_rights_is_reported_as_such(inbox):
    inbox.chmod(0)
    try:
        assert "may not be read" in scanner(inbox).scan(1.0).folders[0].problem
    finally:
        inbox.chmod(0o700)


def test_folders_inside_one_with_a_preset_are_scanned_and_no_deeper_ones(tmp_path):
    inbox = tmp_path / "inbox"
    for path in ("in 4/holiday/deep", "in 4/job-1/source", "in 4/job-1/result", "plain/inside", "in 4/.hidden"):
        (inbox / path).mkdir(parents=True)
    for path in ("in 4/_preset.yaml", "in 4/holiday/a.jpg", "in 4/job-1/status.json", "in 4/job-1/source/job.yaml"):
        (inbox / path).write_bytes(b"x")
    scan = scanner(inbox)
    folders = {folder.name: folder for folder in scan.scan(1.0).folders}
    assert sorted(folders) == [b"", b"in 4", b"in 4/holiday", b"in 4/job-1", b"in 4/job-1/source", b"plain"]
    assert folders[b"in 4/job-1/source"].controls == ()
    (inbox / "in 4" / "job-1").rename(inbox / "in 4" / "job-2")
    (inbox / "in 4" / "holiday" / "b.jpg").write_bytes(b"x")
    names = {b"in 4": {b"job-1", b"job-2"}, b"in 4/holiday": {b"b.jpg"}}
    folders = {folder.name: folder for folder in scan.scan_names(2.0, names, {b"in 4/job-2", b"in 4/job-1"}).folders}
    assert sorted(folders) == [b"", b"in 4", b"in 4/holiday", b"in 4/job-2", b"in 4/job-2/source", b"plain"]
    assert sorted(folders[b"in 4/holiday"].entries) == [b"a.jpg", b"b.jpg", b"deep"]
    assert b"in 4/job-2" not in folders[b""].entries
    (inbox / "in 4" / "_preset.yaml").unlink()
    assert [folder.name for folder in scan.scan(3.0).folders] == [b"", b"in 4", b"plain"]


def test_no_link_inside_a_folder_is_followed(tmp_path):
    inbox = tmp_path / "inbox"
    (inbox / "in 4").mkdir(parents=True)
    (inbox / "in 4" / "_preset.yaml").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"x")
    (inbox / "in 4" / "link").symlink_to(tmp_path / "elsewhere")
    scan = scanner(inbox)
    assert [folder.name for folder in scan.scan(1.0).folders] == [b"", b"in 4"]
    (inbox / "in 4" / "link").unlink()
    (inbox / "in 4" / "link").mkdir()
    scan.scan(2.0)
    (inbox / "in 4" / "link").rmdir()
    (inbox / "in 4" / "link").symlink_to(tmp_path / "elsewhere")
    swapped = scan.scan_names(3.0, {b"in 4/link": {b"a.jpg"}}).folders
    assert not any(b"a.jpg" in folder.entries for folder in swapped)
