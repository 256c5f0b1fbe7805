"""doctor: checks everything that work depends on, and says what to do."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from daemon.cli.common import Home, Json, err, fs, give_up, out, print_error, print_json, printable, settings_at
from daemon.cli.render import cell
from daemon.doctor.model import Finding, Grade, Report
from daemon.errors import Refusal
from daemon.journal import JournalError

_MARKS: dict[Grade, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "bold red")}


def doctor(
    home: Home = None,
    json: Json = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="First repair the journal, and add job folders that it doesn't list."),
    ] = False,
) -> None:
    """Check folders, journal, daemon, weights, device and more; exit 1 if something is wrong."""
    if repair:
        _repair(home)
    # Imported here, so that other verbs need not load it.
    from daemon.doctor.facts import examine

    if out.is_terminal and not json:
        with err.status("Checking folders, journal, weights and devices …"):
            report = examine(lambda: settings_at(home), fs)
    else:
        report = examine(lambda: settings_at(home), fs)
    if json:
        print_json(report)
    else:
        out.print(listing(report), soft_wrap=False)
        out.print(verdict(report))
    if not report.healthy:
        raise typer.Exit(1)


def _repair(home: Path | None) -> None:
    """Repair what can be repaired, and print what was done."""
    from daemon.doctor.repair import repair

    try:
        for sentence in repair(settings_at(home), fs):
            err.print(printable(sentence), markup=False)
    except Refusal as refusal:
        give_up(refusal)
    except (OSError, JournalError) as error:
        print_error(f"the repair was interrupted: {error}", "Nothing is lost. Check the disk, then repeat it.")
        raise typer.Exit(1) from error


def listing(report: Report) -> Table:
    """One row for each finding, with what to do below it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    before = ""
    for finding in report.findings:
        mark, style = _MARKS[finding.grade]
        table.add_row(Text(mark, style=style), finding.area if finding.area != before else "", _lines(finding))
        before = finding.area
    return table


def _lines(finding: Finding) -> Text:
    lines = cell(finding.sentence, "red" if finding.grade == "problem" else "")
    return (
        lines.append("\n").append_text(cell(finding.hint, "dim" if finding.grade == "note" else "bold"))
        if finding.hint
        else lines
    )


def verdict(report: Report) -> Text:
    """The last line of the report: whether anything is wrong."""
    problems = sum(finding.grade == "problem" for finding in report.findings)
    if not problems:
        notes = any(finding.grade == "note" for finding in report.findings)
        return Text("\nNothing is wrong.", style="green").append("  • is worth knowing." if notes else "", style="not green dim")
    return Text(f"\n{problems} problem{'s' if problems > 1 else ''} to solve.", style="bold red")
