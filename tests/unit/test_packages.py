"""No folder holds so many modules that nobody finds the right one, and the folders of unit tests mirror the packages.

`pytest -s` prints the table.
"""

from collections import defaultdict
from pathlib import Path

from daemon.settings.layout import PROGRAM

MAX_MODULES = 15


def modules_by_folder() -> dict[Path, list[Path]]:
    """The modules of the program and of its tests, by folder."""
    found = defaultdict(list)
    for package in ("daemon", "pipeline", "tests"):
        for module in sorted((PROGRAM / package).rglob("*.py")):
            found[module.parent.relative_to(PROGRAM)].append(module)
    return dict(found)


def test_no_folder_holds_more_modules_than_one_can_survey() -> None:
    found = modules_by_folder()
    for folder, modules in sorted(found.items()):
        lines = [len(module.read_text(encoding="utf-8").splitlines()) for module in modules]
        print(f"{folder!s:28} {len(modules):3} modules {sum(lines):6} lines, the longest {max(lines)}")
    assert {Path("daemon/claiming"), Path("tests/unit/claiming")} <= found.keys()
    assert {str(folder): len(modules) for folder, modules in found.items() if len(modules) > MAX_MODULES} == {}


def test_each_folder_of_unit_tests_is_named_after_a_package() -> None:
    folders = {path.name for path in (PROGRAM / "tests" / "unit").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    there = {folder.name for package in ("daemon", "pipeline") for folder in (PROGRAM / package).rglob("*") if folder.is_dir()}
    assert len(folders) >= 20
    assert folders - there == set()


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports a test file by its name alone."""
    names = [path.name for path in (PROGRAM / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
