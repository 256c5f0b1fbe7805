"""Pictures that are opened, written and closed several times, by path: each is taken complete, or waits.

Scanners and converters do so, with pauses of 0.2 to 40 s. The sidecar comes before, between or after the parts, by rename or not.
"""

import io
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.quick import QuickFolder, quick_folder
from tests.waiting import SLOWEST

#: Endings of names, and what Pillow calls the kind.
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF"}


def encoded(kind: str) -> bytes:
    """A picture of noise, some kilobytes long."""
    file = io.BytesIO()
    Image.effect_noise((96, 64), 90).convert("RGB").save(file, kind)
    return file.getvalue()


PICTURES = {ending: encoded(kind) for ending, kind in KINDS.items()}
ORDERS = list(itertools.product(("before", "between", "after"), ("renamed", "plain")))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("parts") / "home", MULTIPLANE_INTAKE__SETTLE_SECONDS="2") as made:
        made.options = ("--real-settling",)
        made.start()
        yield made


def content(name: str, parts: int) -> list[bytes]:
    """The parts of a picture."""
    whole = PICTURES[name.rpartition(".")[2]]
    step = len(whole) // parts + 1
    return [whole[at : at + step] for at in range(0, len(whole), step)]


def write(running: QuickFolder, name: str, parts: int, pause: float, order: str, how: str) -> None:
    """Act as a scanner, and as whoever adds the sidecar."""
    for number, part in enumerate(content(name, parts)):
        if (order, number) == ("before", 0):
            bring_sidecar(running, name, how)
        with open(running.at(name), "ab") as file:
            file.write(part)
        if number < parts - 1:
            time.sleep(pause / 10)
            if (order, number) == ("between", 0):
                bring_sidecar(running, name, how)
            time.sleep(pause * 9 / 10)
    if order == "after":
        bring_sidecar(running, name, how)


def bring_sidecar(running: QuickFolder, name: str, how: str) -> None:
    if how == "plain":
        running.write(f"{name}.yaml")
    else:
        os.rename(running.write(f".{name}.yaml.part"), running.at(f"{name}.yaml"))


def write_all(running: QuickFolder, cases: list[tuple[str, int, float, str, str]]) -> None:
    """Write them in parallel."""
    writers = [threading.Thread(target=write, args=(running, *case)) for case in cases]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def halves(running: QuickFolder, cases: list[tuple[str, int, float, str, str]], seconds: float) -> list[str]:
    """The pictures that did not become one complete job each within that many seconds."""
    wrong = ["not looked yet"]
    deadline = time.monotonic() + seconds * SLOWEST
    while wrong and time.monotonic() < deadline:
        time.sleep(0.5)
        statuses = running.statuses()
        wrong = [problem for case in cases if (problem := what_is_wrong(running, statuses, *case[:2]))]
    return wrong


def what_is_wrong(running: QuickFolder, statuses: list[dict], name: str, parts: int) -> str | None:
    """Why a picture is not exactly one complete job; None if it is."""
    jobs = [status for status in statuses if status["source"]["image"] == name]
    states = [job["state"] for job in jobs]
    if states != ["completed"] or os.path.exists(running.at(name)):
        return f"{name}: {states}, {running.waiting().get(name)}"
    whole = (running.job(jobs[0]) / "source" / name).read_bytes() == b"".join(content(name, parts))
    return None if whole else f"{name}: half of it"


def cases(label: str, pauses: tuple[float, ...], parts: tuple[int, ...]) -> list[tuple[str, int, float, str, str]]:
    """Every order with every pause and number of parts; the file formats alternate. Names begin with `label`."""
    table = zip(itertools.product(parts, pauses, ORDERS), itertools.cycle(KINDS), strict=False)
    return [
        (f"{label}-{order}-{how}-{number}x{pause}.{kind}", number, pause, order, how)
        for (number, pause, (order, how)), kind in table
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_without_its_end_is_not_taken_until_it_comes(running: QuickFolder, kind: str) -> None:
    name = f"paused.{kind}"
    first, second = content(name, 2)
    with open(running.at(name), "wb") as file:
        file.write(first)
    running.write(f"{name}.yaml")
    running.waits(name, "its end is missing; the rest may still arrive")
    assert running.of(name) == []
    with open(running.at(name), "ab") as file:
        file.write(second)
    assert halves(running, [(name, 2, 0.0, "before", "plain")], 30) == []


#: Runs the daemon's program in this process with the wall clock set wrong, before anything reads it.
SET_WRONG = """
import datetime, runpy, sys, time
from daemon import clock
seconds, moment, wrong = time.time, clock.now, float(sys.argv[1])
time.time = lambda: seconds() + wrong
clock.now = lambda: clock.rfc3339(datetime.datetime.fromisoformat(moment()) + datetime.timedelta(seconds=wrong))
sys.argv = sys.argv[4:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("wrong", [-300, 300])
def test_a_share_whose_clock_differs_from_ours_takes_no_end_away(tmp_path: Path, wrong: int) -> None:
    """The daemon's clock is set wrong, and so is that of the files, as it sees them."""
    whole = PICTURES["jpg"]
    unknown = b"torn begin", b" end"
    with quick_folder(tmp_path / "home", MULTIPLANE_INTAKE__SETTLE_SECONDS="2") as folder:
        folder.options = ("--real-settling",)
        folder.start((sys.executable, "-c", SET_WRONG, str(wrong)))
        for name, first in (("known.jpg", whole[: len(whole) // 2]), ("unknown.jpg", unknown[0])):
            folder.write(name, first)
            folder.write(f"{name}.yaml")
        for name, second in (("known.jpg", whole[len(whole) // 2 :]), ("unknown.jpg", unknown[1])):
            folder.waits(name, "its end is missing; the rest may still arrive", 40)
            with open(folder.at(name), "ab") as file:
                file.write(second)
        for name, data in (("known.jpg", whole), ("unknown.jpg", b"".join(unknown))):
            status = folder.done(name, 60)
            assert (folder.job(status) / "source" / name).read_bytes() == data


@pytest.mark.skipif("SOAK_TESTS" not in os.environ, reason="part of make soak")
@pytest.mark.timeout(1000)
def test_pauses_of_any_length_leave_every_picture_whole(running: QuickFolder) -> None:
    written = cases("any", (0.2, 1.0, 4.0, 15.0, 40.0), (2, 3, 6))
    write_all(running, written)
    assert halves(running, written, 300) == []


def test_pauses_of_scanners_leave_every_picture_whole(running: QuickFolder) -> None:
    written = [*cases("scanner", (0.2,), (2, 3, 6)), *cases("scanner", (1.0,), (2, 3, 5))]
    write_all(running, written)
    assert halves(running, written, 60) == []
