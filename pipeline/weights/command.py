"""`python -m pipeline models …`: lists models, and fetches, checks and removes their weights.

Results go to standard output, everything else to standard error. The exit status is 0 or that of an error in `daemon.errors`.
"""

import argparse
import contextlib
import datetime
import errno
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from daemon.catalogues.models import Catalogue, Entry
from daemon.contract.commands import Commands, command, unmarked
from daemon.contract.words.printable import shows_all, spell_what_cannot_be_shown
from daemon.errors import DiskFull, JobError, Refusal
from pipeline import weights
from pipeline.weights import licences
from pipeline.weights.catalogue import entry_of
from pipeline.weights.hash_cache import HashCache
from pipeline.weights.store import State, record_of, remove, state

_IO_ERROR = 74  # sysexits.h, EX_IOERR
_INTERRUPTED = 130  # 128 + SIGINT, as shells count
_UNREAD = 141  # 128 + SIGPIPE
_SHOWN: dict[State, str] = {
    "installed": "[green]installed[/]",
    "own folder": "[green]own folder[/]",
    "other revision": "[yellow]outdated[/]",
    "partly fetched": "[yellow]partial[/]",
    "damaged": "[red]damaged[/]",
    "folder missing": "[red]missing[/]",
    "not installed": "–",
}
_GROUPS = {"depth": "Depth", "matting": "Soft borders", "diffusion": "Painting"}


@dataclass(frozen=True)
class _Context:
    """What a verb works with.

    Attributes:
        models: the models folder.
        listed: the list of models.
        out, err: where it prints results and messages.
        commands: commands as the reader of `out` and `err` can type them.
    """

    models: str
    listed: Catalogue
    out: Console
    err: Console
    commands: Commands


class _Console(Console):
    """Rich's console; but the end of whoever reads its output is an error."""

    def on_broken_pipe(self) -> None:
        """Leave it to `main` to end the program."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit status."""
    spell_what_cannot_be_shown()
    asked = _parser().parse_args(arguments)
    # Only `fetch` may open a connection, whatever a library tries.
    if asked.verb not in ("fetch", "fetch-default"):
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    err = _Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)
    tell = partial(_tell, err, as_json=getattr(asked, "json", False))
    commands = Commands(asked.program, asked.home)
    try:
        status = _run(asked, err, commands)
        sys.stdout.flush()
    except DiskFull as error:
        return tell(unmarked(error.message), commands.fill(error.info().hint), _IO_ERROR)
    except JobError as error:
        return tell(unmarked(error.message), commands.fill(error.info().hint), error.exit_status)
    except Refusal as refusal:
        return tell(unmarked(refusal.message), commands.fill(refusal.hint), refusal.exit_status)
    except OSError as error:
        if _is_of_output(error):
            hint = "If its disk is full, make room on it. Then type the command again."
            unread = isinstance(error, BrokenPipeError)
            return _UNREAD if unread else tell(f"the output cannot be written: {error.strerror}", hint, _IO_ERROR)
        return tell(f"The weights cannot be read or written: {error}.", "Correct the permissions, or the disk.", _IO_ERROR)
    except KeyboardInterrupt:
        return tell("Interrupted.", "What was already fetched is kept; run the same command to continue.", _INTERRUPTED)
    return status


def _run(asked: argparse.Namespace, err: Console, commands: Commands) -> int:
    context = _Context(
        os.path.abspath(asked.folder),
        weights.catalogue(*asked.catalogue or ()),
        _Console(emoji=False, highlight=False, soft_wrap=True),
        err,
        commands,
    )
    match asked.verb:
        case "list":
            return _list(context, as_json=asked.json)
        case "fetch":
            return _fetch(context, asked.name, asked.accept_licence)
        case "fetch-default":
            return _fetch_default(context, asked.later)
        case "verify":
            return _verify(context, asked.name, as_json=asked.json)
        case _:
            return _remove(context, asked.name)


def _is_of_output(error: OSError) -> bool:
    """Whether standard output cannot be written. What is still to be written then goes nowhere."""
    if error.filename is not None:
        return False
    try:
        os.write(1, b"\n")
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        return True
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline models", description="The models and their weights.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", required=True, help="the folder for fetched weights")
    shared.add_argument("--catalogue", action="append", help="a list of models; repeat it to add more lists")
    shared.add_argument("--program", default=Commands().program, help="how the person's terminal finds multiplane")
    shared.add_argument("--home", default=Commands().home, help="the option that leads the person's commands to this home")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="JSON for programs instead of text for people")
    verbs.add_parser("list", parents=[shared, as_json], help="list all models and which are installed")
    fetch = verbs.add_parser("fetch", parents=[shared], help="get a model's weights from the hub")
    fetch.add_argument("name")
    fetch.add_argument("--accept-licence", metavar="LICENCE", help="accept a non-commercial licence, by its name")
    default = verbs.add_parser(
        "fetch-default", parents=[shared], help="get the default depth model soon or not at all; ends when standard input closes"
    )
    default.add_argument("--later", required=True, help="the command that a person can fetch it with later")
    verify = verbs.add_parser("verify", parents=[shared, as_json], help="compare weights with their records")
    verify.add_argument("name", nargs="?")
    verbs.add_parser("remove", parents=[shared], help="remove a model's fetched weights").add_argument("name")
    return parser


def _list(context: _Context, *, as_json: bool) -> int:
    """Print every model of the catalogue and its state."""
    stands = {name: state(name, context.models, context.listed) for name in context.listed.models}
    if as_json:
        return _print_json(context, [_as_json(context, name, stands[name]) for name in stands])
    rows = {name: _row(context, name, stands[name]) for name in stands}
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows.values(), strict=True)]
    for use, title in _GROUPS.items():
        context.out.print(f"[bold]{title}[/]")
        for name, entry in context.listed.models.items():
            if entry.use == use:
                context.out.print(_aligned(rows[name], widths))
                if entry.purpose:
                    context.out.print(f"    [dim]{escape(entry.purpose)}[/]")
    context.out.print()
    context.out.print("[bold]*[/] what depth: auto and depth: model take")
    if any(not entry.commercial for entry in context.listed.models.values()):
        context.out.print("[yellow]¹[/] no commercial use; accept the licence by name when fetching")
    if any(entry.path is None and not entry.pinned for entry in context.listed.models.values()):
        context.out.print("[yellow]²[/] no known hash: the files of the first fetch are recorded and trusted")
    context.out.print(context.commands.fill(f"\nFetch one with {command('models', 'fetch', 'NAME')}"), markup=False)
    context.out.print(f"into {escape(context.models)} ({_amount(_free(context.models))} free).")
    return 0


def _as_json(context: _Context, name: str, stands: State) -> dict[str, object]:
    entry = context.listed.models[name]
    folder = weights.folder(name, context.models, context.listed)
    made = record_of(folder) if stands in ("installed", "other revision") else None
    return {
        "name": name,
        "use": entry.use,
        "purpose": entry.purpose,
        "part": entry.part,
        "default": name == context.listed.default_depth,
        "state": stands,
        "folder": folder,
        "bytes": entry.bytes,
        "licence": entry.licence,
        "commercial": entry.commercial,
        "licence_accepted": not licences.needed(entry, context.models),
        "repo": entry.repo,
        "revision": entry.revision,
        "pinned": entry.pinned if entry.path is None else None,
        "installed_revision": made.revision if made else None,
    }


def _fetch(context: _Context, name: str, licence: str | None) -> int:
    """Fetch one model. A licence that forbids commercial use must be accepted first."""
    entry = entry_of(name, context.listed)
    if licence is None and licences.needed(entry, context.models) and sys.stdin.isatty() and context.err.is_terminal:
        context.err.print(
            f"The licence of [bold]{escape(name)}[/] is [bold]{escape(entry.licence)}[/]: no commercial use.\n"
            f"Read it at https://huggingface.co/{escape(entry.repo or '')}, and type its name to accept it."
        )
        licence = context.err.input("Licence: ").strip()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    licences.accept(name, entry, context.models, licence, now=now)
    # Imported only here: these two can open a connection.
    from pipeline.weights.fetch_progress import Progress
    from pipeline.weights.fetching import fetch

    context.err.print(f"[bold]{escape(name)}[/]  {escape(entry.repo or '')}, {escape(entry.licence)}")
    with Progress(context.err) as progress:
        made, fetched = fetch(name, context.models, progress, listed=context.listed)
    total = sum(each.bytes for each in made.files.values())
    said = "is installed" if fetched else "was already installed and is undamaged"
    context.out.print(f"{escape(name)} {said}: {_amount(total)}, revision {made.revision[:12]}.")
    return 0


def _fetch_default(context: _Context, later: str) -> int:
    """Fetch the default depth model for a caller that continues whether or not this works."""
    from pipeline.weights.default_fetch import end_with_standard_input, fetch_default

    end_with_standard_input()
    fetch_default(context.models, context.listed, later, context.err)
    return 0


def _verify(context: _Context, name: str | None, *, as_json: bool) -> int:
    """Compare every byte of one model, or of all installed models, with its record."""
    absent = ("not installed", "partly fetched")
    if name is not None:
        entry_of(name, context.listed)
    names = (
        [name] if name else [each for each in context.listed.models if state(each, context.models, context.listed) not in absent]
    )
    found: list[dict[str, object]] = []
    status = 0
    cache = HashCache(context.models, recompute=True)
    for each in names:
        try:
            there = weights.locate(each, context.models, context.listed, cache)
        except JobError as error:
            status = status or error.exit_status
            found.append({"name": each, "ok": False, "says": unmarked(error.message)})
            if not as_json:
                context.out.print(f"[red]not ok[/]  {escape(each)}  {escape(unmarked(error.message))}")
                hint = error.own_hint or f"Run: {command('models', 'fetch', each)}"
                context.err.print(f"        {context.commands.fill(hint)}", markup=False)
            continue
        known = record_of(there.folder) is not None
        says = f"as recorded, revision {there.revision[:12]}" if known else f"own folder without a record, {there.revision[:19]}"
        found.append({"name": each, "ok": True, "says": says})
        if not as_json:
            context.out.print(f"[green]ok[/]      {escape(each)}  {says}")
    if found:
        with contextlib.suppress(OSError):  # this user may only read the folder: jobs then hash the files each time
            cache.save()
    if as_json:
        _print_json(context, found)
    elif not names:
        context.err.print("No weights are installed.")
    return status


def _remove(context: _Context, name: str) -> int:
    freed = remove(name, context.models, context.listed)
    context.out.print(f"{escape(name)} was removed; {_amount(freed)} freed.")
    return 0


def _row(context: _Context, name: str, stands: State) -> tuple[Text, Text, Text, Text]:
    """Name, size, licence and state of a model."""
    entry = context.listed.models[name]
    default = "[bold]*[/]" if name == context.listed.default_depth else ""
    size, licence, state = (Text.from_markup(cell) for cell in (_size(entry), _licence(entry), _SHOWN[stands]))
    return Text.from_markup(escape(name) + default), size, licence, state


def _aligned(row: tuple[Text, ...], widths: Sequence[int]) -> Text:
    """One line: the cells padded to the widths of their columns. The size is right-aligned."""
    name, size, licence, state = row
    name.pad_right(widths[0] - name.cell_len)
    size.pad_left(widths[1] - size.cell_len)
    licence.pad_right(widths[2] - licence.cell_len)
    return Text("  ").append_text(Text("  ").join((name, size, licence, state)))


def _licence(entry: Entry) -> str:
    unknown = entry.path is None and not entry.pinned
    return escape(entry.licence) + ("" if entry.commercial else "[yellow]¹[/]") + ("[yellow]²[/]" if unknown else "")


def _size(entry: Entry) -> str:
    return _amount(entry.bytes) if entry.bytes is not None else ""


def _amount(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count >= 10e6 else f"{count / 1e6:.1f} MB"


def _free(folder: str) -> int:
    """Free bytes on the disk where a folder is or will be."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def _print_json(context: _Context, value: object) -> int:
    context.out.print(json.dumps(value, indent=2, ensure_ascii=not shows_all(sys.stdout)), markup=False)
    return 0


def _tell(err: Console, message: str, hint: str, status: int, *, as_json: bool) -> int:
    if as_json:
        error = {"message": message, "hint": hint}
        sys.stderr.write(json.dumps({"error": error}, ensure_ascii=not shows_all(sys.stderr)) + "\n")
        return status
    err.print(f"multiplane: {message}", style="bold", markup=False)
    err.print(hint, markup=False)
    return status
