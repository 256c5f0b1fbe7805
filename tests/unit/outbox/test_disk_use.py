"""The space that the outbox takes: in all, and for the largest jobs."""

import os
from pathlib import Path

from daemon.fs import LocalFiles
from daemon.fs.protocol import TreeEntry
from daemon.outbox import measure_outbox


def taken(folder: Path) -> int:
    """What the disk says that a folder and everything in it takes, without links."""
    found = [path.lstat() for path in folder.rglob("*") if not path.is_symlink()]
    return sum(512 * each.st_blocks for each in found)


def test_every_file_counts_once_as_the_disk_counts_it_and_the_largest_jobs_are_named(tmp_path):
    files = {"a/result/x": 70_000, "a/source/y": 50, "b/status.json": 10_000, ".work/1/tmp/z": 5, "index.html": 3}
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with open(tmp_path / name, "wb") as file:
            file.write(b"." * size)
            os.fsync(file.fileno())
    for number in range(8):
        (tmp_path / f"small-{number}").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = measure_outbox(LocalFiles(), os.fsencode(tmp_path))
    assert found.jobs == 10
    assert abs(found.bytes - taken(tmp_path)) <= 512 * (tmp_path / "link").lstat().st_blocks
    assert [job.job_id for job in found.largest[:2]] == ["a", "b"]
    assert len(found.largest) == 5


def test_a_disk_that_does_not_count_what_a_file_takes_is_believed_about_its_length():
    kept = {"name": b"x", "trail": ()}
    assert TreeEntry(kind="file", size=700, used=0, **kept).taken == 700
    assert TreeEntry(kind="file", size=700, used=4096, **kept).taken == 4096
    assert TreeEntry(kind="directory", size=60, used=0, **kept).taken == 0


def test_of_very_many_files_only_some_are_looked_at_but_every_job_is_counted(tmp_path):
    for number in range(6):
        (tmp_path / f"job-{number}").mkdir()
        for name in range(3):
            (tmp_path / f"job-{number}" / str(name)).write_bytes(b"." * 10)
    found = measure_outbox(LocalFiles(), os.fsencode(tmp_path), most=7)
    assert (found.jobs, found.complete, found.largest) == (6, False, ())
    assert measure_outbox(LocalFiles(), os.fsencode(tmp_path), most=18).complete
