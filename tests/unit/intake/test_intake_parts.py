"""Pictures written in several parts by path, with a clock passed in: taken complete, or waiting."""

import pytest
from intake_scene import Scene

from daemon.intake import awaits_rest, lacks_end

MISSING = "its end is missing; the rest may still arrive"
#: From the claim until the worker has found that the end is missing and the picture is back, in seconds.
WORK = 0.9


class ScannerScene(Scene):
    """A scene with a scanner and a worker: a picture that is taken incomplete is back a moment later."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.whole = 10 * parts
        self.back_at: float | None = None
        self.written = self.now
        self.taken_sizes: list[int] = []

    def work(self, until: float) -> None:
        """Let time pass; take everything that is ready, and return what is incomplete."""
        while True:
            end = until if self.back_at is None else min(until, self.back_at)
            self.pass_time(end - self.now, lambda decision: bool(decision.ready))
            if self.decision.ready:
                (ready,) = self.take()
                self.taken_sizes.append(ready.image.size)
                if ready.image.size < self.whole:
                    self.back_at, self.pair = self.now + WORK, ready
            elif self.back_at is not None and self.now >= self.back_at:
                self.bring_back()
            elif self.now >= until:
                return

    def bring_back(self) -> None:
        self.back_at = None
        self.files[b""] = {**self.files[b""], **{entry.name: entry for entry in self.pair.entries}}
        self.memory = awaits_rest(self.memory, b"", self.pair.image.name, self.written + 600, self.now)
        self.look()


class EndCheckScene(ScannerScene):
    """A scene in which the end of a ready picture is checked before it is taken, as for known file formats."""

    def work(self, until: float) -> None:
        while True:
            self.pass_time(until - self.now, lambda decision: bool(decision.ready))
            if not self.decision.ready:
                return
            (ready,) = self.decision.ready
            if ready.image.size < self.whole:
                self.memory = lacks_end(self.memory, ready, ready.image, self.written + 600, self.now)
                self.look({})
            else:
                self.taken_sizes += [one.image.size for one in self.take()]


def write(desk: ScannerScene, parts: int, pause: float, order: str, how: str, share: float = 0.1) -> None:
    for part in range(parts):
        if (order, part) == ("before", 0):
            desk.put("scan.yaml", how=how)
        assert desk.back_at is None, "the picture was away when its writer went on"
        desk.put("scan.jpg", size=10 * (part + 1), how="closed")
        desk.written = desk.now
        desk.look()
        if part < parts - 1:
            desk.work(desk.now + pause * share)
            if (order, part) == ("between", 0):
                desk.put("scan.yaml", how=how)
                desk.look()
            desk.work(desk.now + pause * (1 - share))
    if order == "after":
        desk.put("scan.yaml", how=how)
        desk.look()


@pytest.mark.parametrize("parts", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("pause", [0.2, 1.0, 4.0, 15.0, 40.0])
@pytest.mark.parametrize("order", ["before", "between", "after"])
@pytest.mark.parametrize("how", ["renamed_in", "closed"])
def test_a_picture_in_parts_is_one_whole_picture_in_the_end(parts, pause, order, how):
    desk = ScannerScene(parts)
    write(desk, parts, pause, order, how)
    last = desk.now
    desk.work(last + 100)
    assert desk.taken_sizes[-1] == desk.whole
    # Whoever went on after a pause is given twice as long, so that it is looked at once in vain, not after each part.
    assert len(desk.taken_sizes) <= 2
    assert b"scan.jpg" not in desk.files[b""]


@pytest.mark.parametrize("parts", [2, 3, 6])
@pytest.mark.parametrize("pause", [0.2, 1.0, 4.0, 15.0, 40.0])
@pytest.mark.parametrize("order", ["before", "between", "after"])
@pytest.mark.parametrize("how", ["renamed_in", "closed"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_picture_whose_end_is_looked_for_is_taken_once_and_soon(parts, pause, order, how, share):
    desk = EndCheckScene(parts)
    write(desk, parts, pause, order, how, share)
    last = desk.now
    # Pauses before the end say nothing about a picture that has its end. Without a sidecar it is not looked into, and what grows
    # then makes its folder more patient.
    desk.work(last + (61 if order == "after" else 2.5))
    assert desk.taken_sizes == [desk.whole]


def test_a_picture_without_its_end_waits_for_ten_minutes_and_is_then_taken():
    desk = EndCheckScene(2)
    desk.put("scan.jpg", size=10, how="closed")
    desk.put("scan.yaml", how="closed")
    desk.look()
    desk.work(desk.now + 5)
    assert (desk.reason("scan.jpg"), desk.reason("scan.yaml")) == (MISSING, f"waiting for scan.jpg: {MISSING}")
    assert desk.until_ready() == pytest.approx(595, abs=1)
    assert desk.ready == [b"scan.jpg"]


def test_a_picture_that_came_back_says_so_and_waits_ten_minutes():
    desk = ScannerScene(3)
    desk.put("scan.jpg", size=10, how="renamed_in")
    desk.put("scan.yaml", how="renamed_in")
    desk.look()
    desk.work(desk.now + 5)
    assert (desk.reason("scan.jpg"), desk.reason("scan.yaml")) == (MISSING, f"waiting for scan.jpg: {MISSING}")
    assert desk.until_ready() == pytest.approx(600, abs=5)


def test_no_go_hurries_a_picture_whose_end_was_missing():
    desk = ScannerScene(3)
    desk.put("scan.jpg", size=10, how="renamed_in")
    desk.put("scan.yaml", how="renamed_in")
    desk.look()
    desk.work(desk.now + 5)
    desk.put("scan.yaml", how="renamed_in")
    desk.look()
    assert desk.ready == []
    desk.put("scan.jpg", size=20, how="closed")
    desk.put("scan.yaml", how="renamed_in")
    assert desk.until_ready() == pytest.approx(10, abs=0.1)


def test_another_picture_under_the_name_is_an_ordinary_one():
    desk = ScannerScene(3)
    desk.put("scan.jpg", size=10, how="renamed_in")
    desk.put("scan.yaml", how="renamed_in")
    desk.look()
    desk.work(desk.now + 5)
    desk.put("scan.jpg", size=30, ino=4711, how="renamed_in")
    desk.put("scan.yaml", how="renamed_in")
    desk.look()
    assert desk.ready == [b"scan.jpg"]
