"""The order in which test files run: the longest first, so that none is left to run alone at the end."""

from tests import running_order
from tests.programs import ROOT


def test_the_longest_begin_first_and_the_others_wait_and_compute_by_turns():
    files = ["tests/unit/test_a.py", "tests/unit/room/test_b.py", "tests/process/deep/test_c.py", "tests/acceptance/test_d.py"]
    assert running_order.in_order([*files, "tests/unit/test_long.py", "tests/unit/test_longer.py", *files], {
        "tests/unit/test_long.py": 20, "tests/unit/test_longer.py": 30, "tests/unit/test_not_there.py": 90,
    }) == [
        "tests/unit/test_longer.py", "tests/unit/test_long.py",
        "tests/process/deep/test_c.py", "tests/unit/test_a.py", "tests/acceptance/test_d.py", "tests/unit/room/test_b.py",
    ]  # fmt: skip


def test_files_that_share_a_process_stand_together_where_their_sum_belongs():
    shared = ["tests/unit/test_depth_model.py", "tests/unit/test_preparation.py"]
    assert {running_order.process_of(file) for file in shared} == {"models"}
    seconds = {shared[0]: 20, "tests/unit/test_long.py": 30, shared[1]: 15}
    assert running_order.in_order(seconds, seconds) == [*shared, "tests/unit/test_long.py"]
    assert running_order.in_order([shared[1], "tests/unit/test_long.py", shared[0]], {shared[0]: 40}) == [
        shared[1], shared[0], "tests/unit/test_long.py",
    ]  # fmt: skip


def test_every_file_that_is_named_is_there():
    names = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(running_order.SHARED) - names == set()
    assert [file for file in running_order.recorded() if not (ROOT / file).is_file()] == []


def test_what_files_took_is_recorded_and_what_is_known_of_others_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(running_order, "RECORDED", tmp_path / "tests" / "durations.json")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.py").touch()
    running_order.RECORDED.write_text('{"tests/a.py": 9, "tests/b.py": 8, "tests/c.py": 7, "tests/gone.py": 6}')
    running_order.record({"tests/b.py": 12.3, "tests/c.py": 0.1, "tests/d.py": 0.2})
    assert list(running_order.recorded().items()) == [("tests/b.py", 12), ("tests/a.py", 9)]
