"""doctor: checks everything that work depends on, and says what to do."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from daemon.cli.common import Home, Json, err, fs, give_up, out, print_error, print_json, printable, settings_at
from daemon.cli.display.render import cell, wrapped
from daemon.cli.exit_status import after
from daemon.doctor.model import Grade, Report
from daemon.errors import Refusal
from daemon.journal import JournalError

_MARKS: dict[Grade, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "bold red")}

#: The fewest columns for a sentence, so that even a narrow window shows whole words.
_NARROWEST = 30


def doctor(
    home: Home = None,
    json: Json = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="First repair the journal, and add job folders that it doesn't list."),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="First make the inbox and outbox this home's, if they belong to another home."),
    ] = False,
) -> None:
    """Check folders, journal, daemon, weights, device and more; exit 1 if something is wrong."""
    if take_over:
        _take_over(home)
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
        for line in listing(report, out.width if out.is_terminal else sys.maxsize):
            out.print(line)
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
        raise typer.Exit(after(error if isinstance(error, OSError) else error.__cause__)) from error


def _take_over(home: Path | None) -> None:
    """Make the folders this home's, and print what was done."""
    from daemon.doctor.taking_over import take_over

    try:
        for sentence in take_over(settings_at(home), fs):
            err.print(printable(f"{sentence[:1].upper()}{sentence[1:]}"), markup=False)
    except Refusal as refusal:
        give_up(refusal)
    except OSError as error:
        print_error(f"the folders could not be taken over: {error}", "Nothing is lost. Check the disk, then repeat it.")
        raise typer.Exit(after(error)) from error


def listing(report: Report, width: int) -> Iterator[Text]:
    """Yield the lines of each finding, and below them what to do. Only a command may be longer than `width` columns."""
    areas = max((len(finding.area) for finding in report.findings), default=0)
    before = ""
    for finding in report.findings:
        mark, style = _MARKS[finding.grade]
        begin = Text(f"{mark}  ", style=style).append(
            f"{finding.area if finding.area != before else '':{areas}}  ", "not bold dim"
        )
        before = finding.area
        said = [(finding.sentence, "red" if finding.grade == "problem" else "")]
        if finding.hint:
            said.append((finding.hint, "dim" if finding.grade == "note" else "bold"))
        for text, look in said:
            for line in wrapped(cell(text).plain, max(_NARROWEST, width - begin.cell_len)):
                yield Text.assemble(begin, (line, look), no_wrap=True)
                begin = Text(" " * begin.cell_len)


def verdict(report: Report) -> Text:
    """The last line of the report: whether anything is wrong."""
    problems = sum(finding.grade == "problem" for finding in report.findings)
    if not problems:
        notes = any(finding.grade == "note" for finding in report.findings)
        return Text("\nNothing is wrong.", style="green").append("  • is worth knowing." if notes else "", style="not green dim")
    return Text(f"\n{problems} problem{'s' if problems > 1 else ''} to solve.", style="bold red")
