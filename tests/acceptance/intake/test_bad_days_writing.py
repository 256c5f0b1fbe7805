"""However a writer behaves, a picture becomes one complete job, and shows a reason while it waits."""

import json
import mmap
import os
import time
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("writing") / "home") as made:
        made.start()
        yield made


def kept(running: QuickFolder, name: str, data: bytes) -> dict:
    """The one completed job of a picture whose original has these bytes."""
    status = running.done(name)
    assert (running.job(status) / "source" / name).read_bytes() == data
    return status


def test_slow_chunks_with_pauses_longer_than_the_settle(running: QuickFolder) -> None:
    running.write("slow.jpg.yaml")
    with open(running.at("slow.jpg"), "wb", buffering=0) as file:
        for _ in range(3):
            file.write(b"chunk ")
            time.sleep(0.5)  # longer than a file must rest here
            assert not running.of("slow.jpg"), "taken while it was open for writing"
    kept(running, "slow.jpg", b"chunk " * 3)


def test_full_size_preallocated_then_filled(running: QuickFolder) -> None:
    running.write("full.jpg.yaml")
    with open(running.at("full.jpg"), "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
        time.sleep(0.6)
        assert not running.of("full.jpg")
        file.write(b"f" * 4096)
    kept(running, "full.jpg", b"f" * 4096)


@pytest.mark.parametrize(
    ("name", "when"), [("now.jpg", -3600), ("epoch.jpg", None), ("future.jpg", 10**9)], ids=["restored", "1970", "future"]
)
def test_mtime_restored_at_the_end_or_in_1970_or_in_the_future(running: QuickFolder, name: str, when: int | None) -> None:
    path = running.write(name, b"old picture")
    then = 0 if when is None else time.time() + when
    os.utime(path, (then, then))
    before = os.stat(path).st_mtime_ns
    running.write(f"{name}.yaml")
    status = kept(running, name, b"old picture")
    assert (running.job(status) / "source" / name).stat().st_mtime_ns == before


def within_the_settle(base: str, write: Callable[[str], None]) -> str:
    """Write a picture faster than it settles, and return its name. If the machine stalls, repeat under another name."""
    for number in range(20):
        name = f"{base}{number}.jpg"
        begin = time.monotonic()
        write(name)
        if time.monotonic() - begin < 0.4:
            return name
    raise AssertionError("this machine stalls each time")


def test_open_write_close_three_times_as_scanners_do(running: QuickFolder) -> None:
    def scan(name: str) -> None:
        running.write(f"{name}.yaml")
        for part in (b"one ", b"two ", b"three"):
            time.sleep(0.05)
            with open(running.at(name), "ab") as file:
                file.write(part)

    kept(running, within_the_settle("scan", scan), b"one two three")


def test_overwritten_while_settling(running: QuickFolder) -> None:
    def write_twice(name: str) -> None:
        running.write(f"{name}.yaml")
        running.write(name, b"the first try")
        time.sleep(0.1)
        running.write(name, b"the second")

    kept(running, within_the_settle("over", write_twice), b"the second")


def test_same_size_and_mtime_with_a_new_inode(running: QuickFolder) -> None:
    path = running.write("swap.jpg", b"AAAA")
    stat = os.stat(path)
    running.waits("swap.jpg", "waiting for swap.yaml")
    other = running.write(".other", b"BBBB")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.rename(other, path)
    running.write("swap.jpg.yaml")
    kept(running, "swap.jpg", b"BBBB")


def test_rewritten_after_the_claim_it_settles_in_its_source_folder(running: QuickFolder) -> None:
    running.pair("blocker.jpg", b"hang")
    blocker = until(lambda: [job for job in running.of("blocker.jpg") if job["state"] == "processing"])[0]
    running.pair("late.jpg", b"as it was")
    job = until(lambda: running.of("late.jpg"))[0]
    (running.job(job) / "source" / "late.jpg").write_bytes(b"as it is in the end")
    assert running.verb("cancel", blocker["job_id"]).returncode == 0
    status = kept(running, "late.jpg", b"as it is in the end")
    assert status["source"]["bytes"] == len(b"as it is in the end")


def test_a_mapping_that_outlives_its_descriptor_holds_the_picture_as_well(running: QuickFolder) -> None:
    path = running.write("mapped.jpg", b"-" * 4096)
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 4096)
    running.write("mapped.jpg.yaml")
    running.waits("mapped.jpg", "still open in another program")
    memory[:3] = b"new"
    memory.close()
    kept(running, "mapped.jpg", b"new" + b"-" * 4093)


def test_a_truncated_picture_goes_back_and_is_done_when_the_rest_comes(running: QuickFolder) -> None:
    path = running.write("torn.jpg", b"torn ")
    running.write("torn.jpg.yaml", b"id: order-torn\n")
    running.waits("torn.jpg", "its end is missing; the rest may still arrive")
    job = until(lambda: [j for j in running.of("torn.jpg") if j["error"] and j["error"]["code"] == "image_unreadable"])[0]
    assert (job["job_id"], job["state"]) == ("order-torn", "pending")
    assert "waits in the inbox for the rest" in job["error"]["hint"]
    assert running.source(job) == []
    watched = json.loads(running.verb("watch", "--json").stdout)
    assert "order-torn" in [status["job_id"] for status in watched["returned"]]
    with open(path, "ab") as file:
        file.write(b"and the end")
    status = running.done("torn.jpg", 30)
    assert (running.job(status) / "source" / "torn.jpg").read_bytes() == b"torn and the end"
    assert (status["job_id"], status["attempts"]) == ("order-torn", 1)


def test_a_truncated_picture_that_is_cancelled_while_it_waits_is_not_taken_again(running: QuickFolder) -> None:
    path = running.write("gone.jpg", b"torn ")
    running.write("gone.jpg.yaml", b"id: order-gone\n")
    running.waits("gone.jpg", "its end is missing")
    assert running.verb("cancel", "order-gone").returncode == 0
    assert running.ended("gone.jpg", 30)["state"] == "cancelled"
    assert not os.path.exists(path)


def test_a_truncated_but_valid_sidecar_is_not_read_before_it_is_whole(running: QuickFolder) -> None:
    running.write("half.jpg")
    with open(running.at("half.jpg.yaml"), "wb", buffering=0) as file:
        file.write(b"num_layers: 3\n")
        time.sleep(0.6)
        file.write(b"priority: 7\n")
    status = running.done("half.jpg")
    assert (status["spec"]["num_layers"], status["spec"]["priority"]) == (3, 7)


def test_zero_bytes_hold_and_then_fail(running: QuickFolder) -> None:
    running.write("zero.jpg", b"")
    running.write("zero.jpg.yaml")
    running.waits("zero.jpg", "still empty")
    status = running.ended("zero.jpg", 15)
    assert (status["state"], status["error"]["code"]) == ("failed", "image_unreadable")


def test_a_picture_still_open_for_writing_elsewhere_is_not_taken_and_says_so(running: QuickFolder) -> None:
    file = open(running.at("open.jpg"), "wb", buffering=0)  # noqa: SIM115 - it is left open on purpose
    file.write(b"open")
    running.write("open.jpg.yaml")
    running.waits("open.jpg", "still open in another program")
    file.close()
    kept(running, "open.jpg", b"open")


def test_a_sidecar_still_open_for_writing_elsewhere_holds_its_pair(running: QuickFolder) -> None:
    running.write("side.jpg")
    with open(running.at("side.jpg.yaml"), "wb", buffering=0) as file:
        file.write(b"num_layers: 3\n")
        running.waits("side.jpg", "side.jpg.yaml is still open in another program")
    running.done("side.jpg")


def test_nothing_of_the_original_is_touched(running: QuickFolder) -> None:
    path = running.write("meta.jpg", b"picture")
    os.setxattr(path, "user.rating", b"five stars")
    os.chmod(path, 0o640)
    before = os.stat(path)
    running.write("meta.jpg.yaml")
    source = running.job(running.done("meta.jpg")) / "source" / "meta.jpg"
    after = source.stat()
    assert os.getxattr(source, "user.rating") == b"five stars"
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


def test_touches_of_attributes_alone_do_not_hold_it_up(running: QuickFolder) -> None:
    path = running.write("tags.jpg")
    running.write("tags.jpg.yaml")
    for number in range(30):
        if not os.path.exists(path):
            break
        try:
            os.setxattr(path, "user.tag", b"%d" % number)
        except FileNotFoundError:
            break  # it was taken in this moment
        time.sleep(0.05)
    running.done("tags.jpg", 3)


def test_the_wall_clock_is_not_asked_whether_a_file_is_at_rest() -> None:
    """The test cannot set the machine's clock; instead it shows that the code that could be affected has no wall clock."""
    import ast
    import importlib.util
    import pkgutil

    import daemon.intake
    import daemon.watch

    for package in (daemon.intake, daemon.watch):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            source = importlib.util.find_spec(module.name).origin  # found, not imported: some are for another system
            with open(source) as file:
                tree = ast.parse(file.read())
            calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            assert not calls & {"time.time", "time.time_ns", "datetime.now", "clock.now"}, module.name
