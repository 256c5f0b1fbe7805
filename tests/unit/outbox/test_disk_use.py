"""The space that the outbox takes: in all, and for the largest jobs."""

import os

from daemon.fs import LocalFiles
from daemon.outbox import measure_outbox


def test_every_file_counts_once_and_the_largest_jobs_are_named(tmp_path):
    for name, size in {"a/result/x": 700, "a/source/y": 50, "b/status.json": 10, ".work/1/tmp/z": 5, "index.html": 3}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"." * size)
    for number in range(8):
        (tmp_path / f"small-{number}").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = measure_outbox(LocalFiles(), os.fsencode(tmp_path))
    assert (found.bytes, found.jobs) == (768, 10)
    assert [(job.job_id, job.bytes) for job in found.largest[:2]] == [("a", 750), ("b", 10)]
    assert len(found.largest) == 5


def test_of_very_many_files_only_some_are_looked_at_but_every_job_is_counted(tmp_path):
    for number in range(6):
        (tmp_path / f"job-{number}").mkdir()
        for name in range(3):
            (tmp_path / f"job-{number}" / str(name)).write_bytes(b"." * 10)
    found = measure_outbox(LocalFiles(), os.fsencode(tmp_path), most=7)
    assert (found.jobs, found.bytes, found.complete, found.largest) == (6, 70, False, ())
    assert measure_outbox(LocalFiles(), os.fsencode(tmp_path), most=18).complete
