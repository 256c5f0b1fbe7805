"""For how long the rest of a picture may still come, when somebody saw it being written and when only its date is known."""

import os
from datetime import UTC, datetime

import pytest
from service_scene import Scene

from daemon.claiming.claims import Claims
from daemon.fs import LocalFiles
from daemon.intake.model import Entry, Ready
from daemon.intake.settle import END_MISSING

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
#: The first bytes of a JPEG, without its end.
CUT_OFF = b"\xff\xd8\xff\xe0\0\x04\0\0\xff\xda\0\x04\0\0" + bytes(range(200))


class Desk(Scene):
    """A home with a pair whose picture lacks its end; both clocks are passed in."""

    def __init__(self, home) -> None:
        super().__init__(home, LocalFiles())
        self.now = 5000.0
        parts = (self.fs, self.settings, self.ledger, self.outbox, self.mover, self.batches, self.history.job)
        self.claims = Claims(*parts, clock=lambda: NOW, monotonic=lambda: self.now)
        (self.inbox / "a.jpg").write_bytes(CUT_OFF)
        (self.inbox / "a.yaml").write_bytes(b"num_layers: 3\n")

    def seconds(self, age: float, written: float | None) -> float | None:
        """For how long the picture waits for its rest, if its date is so old; none if it is taken."""
        at = NOW.timestamp() - age
        os.utime(self.inbox / "a.jpg", (at, at))
        image, sidecar = (seen(self.inbox / name) for name in ("a.jpg", "a.yaml"))
        came = self.claims.claim([Ready(b"", image, sidecar, None, (), None, (), 0.0, image_written=written)])
        if came.done:
            return None
        (dropped,) = came.dropped
        assert (dropped.reason, dropped.unfinished) == (END_MISSING, image)
        return dropped.seconds


def seen(path) -> Entry:
    found = path.stat()
    return Entry(os.fsencode(path.name), "file", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@pytest.mark.parametrize("age", [0.0, 300.0, -300.0, 1e6, -1e6])
@pytest.mark.parametrize(("ago", "left"), [(3.0, 597.0), (599.0, 1.0), (600.0, None), (1e4, None)])
def test_one_that_was_seen_to_be_written_has_ten_minutes_whatever_its_date_says(tmp_path, age, ago, left):
    """Also in a folder whose writers pause for so long that its files settle for a minute."""
    desk = Desk(tmp_path)
    assert desk.seconds(age, desk.now - ago) == left


@pytest.mark.parametrize(("age", "left"), [(3.0, 597.0), (59.0, 541.0), (61.0, None), (-30.0, 600.0), (-3600.0, None)])
def test_of_one_that_nobody_saw_being_written_the_date_decides(tmp_path, age, left):
    assert Desk(tmp_path).seconds(age, None) == left


@pytest.mark.parametrize(("ago", "remembered"), [(3.0, True), (599.0, True), (600.0, False), (None, False)])
def test_the_job_remembers_that_its_picture_was_seen_to_be_written_lately(tmp_path, ago, remembered):
    """One that has waited ten minutes for its end does not go back to wait for another ten."""
    desk = Desk(tmp_path)
    (desk.inbox / "a.jpg").write_bytes(CUT_OFF + b"\xff\xd9")
    assert desk.seconds(1e6, None if ago is None else desk.now - ago) is None
    (job,) = desk.jobs.live.values()
    assert job.accepted.written is remembered
