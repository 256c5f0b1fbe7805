"""No folder of the program holds so many modules side by side that nobody finds the right one. `pytest -s` prints the table."""

from collections import defaultdict
from pathlib import Path

from daemon.settings.layout import PROGRAM

MAX_MODULES = 15


def rooms() -> dict[Path, list[Path]]:
    """The modules of the program by folder."""
    found = defaultdict(list)
    for package in ("daemon", "pipeline"):
        for module in sorted((PROGRAM / package).rglob("*.py")):
            found[module.parent.relative_to(PROGRAM)].append(module)
    return dict(found)


def test_no_folder_holds_more_modules_than_one_can_survey() -> None:
    found = rooms()
    for folder, modules in sorted(found.items()):
        lines = [len(module.read_text(encoding="utf-8").splitlines()) for module in modules]
        print(f"{folder!s:28} {len(modules):3} modules {sum(lines):6} lines, the longest {max(lines)}")
    assert Path("daemon/claiming") in found
    assert {str(folder): len(modules) for folder, modules in found.items() if len(modules) > MAX_MODULES} == {}
