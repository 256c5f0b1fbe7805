"""What the verbs share: finding the home, printing, and reporting errors."""

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer
from pydantic import BaseModel
from rich.console import Console, ConsoleDimensions

from daemon.cli.options import Asked
from daemon.cli.options import Home as Home
from daemon.cli.options import Json as Json
from daemon.contract.commands import Commands, command, has_marks
from daemon.contract.status import Status
from daemon.contract.words.printable import replace_unprintable, shows_all
from daemon.errors import Refusal
from daemon.fs import LocalFiles, make_folders
from daemon.platform.mounts import mount_of
from daemon.settings import Layout, Settings, load
from daemon.settings.layout import default_home
from daemon.settings.loading import home_of, load_what_is_right
from daemon.settings.typed_command import commands_here

if TYPE_CHECKING:
    from loguru import Record

#: Columns of lines that no terminal shows: more than any line has, so that none is broken or cut before a program reads it.
_UNLIMITED = 100_000
#: Bytes of a file name that are no text. No encoding has these characters, but JSON can escape them.
_NO_TEXT = re.compile("[\ud800-\udfff]")


class _Screen(Console):
    """Rich's console. But without a terminal, lines are as long as they need to be, and a dumb terminal has its own width."""

    @property  # type: ignore[misc]  # rich has a setter as well, which nothing here uses
    def size(self) -> ConsoleDimensions:
        if not self.is_terminal:
            return ConsoleDimensions(_UNLIMITED, super().size.height)
        return ConsoleDimensions(*shutil.get_terminal_size()) if self.is_dumb_terminal else super().size

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as rich has it
        """As rich prints, but no text on its way to a person can move the cursor, hide text or reverse it."""
        super().print(*(replace_unprintable(each, keep="\n") if isinstance(each, str) else each for each in objects), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to `daemon.cli.app` to end the program."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


out = _Screen(emoji=False, highlight=False, soft_wrap=True)
err = _Screen(stderr=True, emoji=False, highlight=False, soft_wrap=True)
fs = LocalFiles()


class _Reader:
    """The person at this terminal. `home`: the home that was named last; None if none was named."""

    home: Path | None = None


def commands() -> Commands:
    """Commands for the same home, as they can be typed in this terminal."""
    return commands_here(home_of(_Reader.home, os.environ), os.environ)


def settings_of(home: Path | None) -> Settings:
    """Load the settings of a home. If they are wrong, print why and end the program."""
    try:
        return settings_at(home)
    except Refusal as refusal:
        give_up(refusal)


def settings_to_look(home: Path | None) -> Settings:
    """Load the settings of a home for a verb that only looks. If they are wrong, print why, and leave out what is wrong.

    The jobs are found all the same: the journal's place depends on no setting. If nothing can be loaded, the program ends.
    """
    _Reader.home = home
    try:
        settings, mistake = load_what_is_right(home, os.environ, is_network=_is_network)
    except Refusal as refusal:
        give_up(refusal)
    _prepare(settings)
    if mistake is not None:
        print_error(mistake.message, f"{mistake.hint} What is shown here was read without what is wrong.")
    return settings


def home_to_look(home: Path | None) -> Settings:
    """`settings_to_look`, for a home that must exist. If it does not, print that and end the program."""
    return _must_exist(settings_to_look(home))


def settings_in_use(home: Path | None) -> Settings:
    """Load the settings of a home that must exist. If it does not, or the settings are wrong, print why and end the program."""
    return _must_exist(settings_of(home))


def home_to_fill(home: Path | None) -> Settings:
    """`settings_in_use`, for a verb that drops pictures: it makes an inbox in a home that has never run."""
    settings = settings_of(home)
    paths = settings.paths
    if not _is_home(paths) and os.path.isdir(paths.home) and (_may_be_new(paths) or not os.listdir(paths.home)):
        # Imported here, because it is needed only once.
        from daemon.health.shipped_presets import ShippedPresets

        make_folders(fs, paths.state_bytes)
        make_folders(fs, paths.inbox_bytes)
        ShippedPresets(fs, paths).put()
    return _must_exist(settings)


def _must_exist(settings: Settings) -> Settings:
    paths = settings.paths
    there = os.path.isdir(paths.home)
    if not _is_home(paths) and not (there and _may_be_new(paths)):
        why = f"the home {paths.home} {'is not a folder' if os.path.lexists(paths.home) else 'does not exist'}"
        if there:
            why = f"{paths.home} is no home of Multiplane: it has no inbox, outbox or journal"
        give_up(Refusal(why, hint=f"Check --home and MULTIPLANE_HOME. To create a new home: {command('run')}."))
    return settings


def _is_home(paths: Layout) -> bool:
    return any(os.path.isdir(path) for path in (paths.inbox, paths.outbox, paths.journal))


def _may_be_new(paths: Layout) -> bool:
    """Whether this is the default home, which nobody can have mistyped: without folders, it has simply never run."""
    return paths.home == default_home().expanduser()


def settings_at(home: Path | None) -> Settings:
    """Load the settings of a home (None: the default home). Afterwards, `fs` follows no links inside the outbox.

    Raises:
        Refusal: the settings are wrong.
    """
    _Reader.home = home
    settings = load(home, os.environ, is_network=_is_network)
    _prepare(settings)
    return settings


def _prepare(settings: Settings) -> None:
    fs.publish_below(settings.paths.outbox_bytes)
    fs.own_below(settings.paths.state_bytes)


def _is_network(path: Path) -> bool:
    return mount_of(os.fsencode(path)).network


def give_up(refusal: Refusal) -> NoReturn:
    """Print the message and the hint, and end the program."""
    print_error(refusal.message, refusal.hint)
    raise typer.Exit(refusal.exit_status)


def print_error(message: str, hint: str | None = None, *, file: Path | None = None) -> None:
    """Print what is wrong and what to do, on standard error: for people, or with --json as one line of JSON.

    Nothing is read as markup, because names are untrusted. `file`: the file on the command line that this is about; only programs
    are told, because the message names it, too.
    """
    if Asked.for_json:
        print_json_error(message, hint, file=file)
        return
    err.print(f"multiplane: {printable(message)}", style="bold", markup=False)
    if hint:
        err.print(printable(hint), markup=False)


def print_note(text: str, **more: object) -> None:
    """Print something worth knowing on standard error: for people, or with --json as one line of JSON, with `more` fields."""
    if Asked.for_json:
        note = commands().fill_all({"note": text, **more})
        sys.stderr.write(_json(note, sys.stderr))
    else:
        err.print(printable(text), markup=False)


def print_json_error(message: str, hint: str | None = None, *, file: Path | None = None) -> None:
    """Print an error as one line of JSON on standard error."""
    about = {} if file is None else {"file": os.path.abspath(file)}
    error = commands().fill_all({"message": message, "hint": hint}) | about
    sys.stderr.write(_json({"error": error}, sys.stderr))


def printable(text: str) -> str:
    """The text as one line, without characters that would tear it, move the cursor, hide or reverse text: names are untrusted.

    The commands in it are filled in for this terminal.
    """
    return replace_unprintable(commands().fill(text) if has_marks(text) else text)


def printable_lines(text: str) -> str:
    """`printable` for a text of several lines, each of which is known to be one: no name in it may contain a line end."""
    return "\n".join(printable(line) for line in text.split("\n"))


def log_safely(here: Commands) -> None:
    """Log every message as one line that is safe to show, with its commands in the form that `here` gives them."""
    # Imported here, because most verbs log nothing.
    from loguru import logger

    def fill(record: "Record") -> None:
        record["message"] = replace_unprintable(here.fill(record["message"]))

    logger.configure(patcher=fill)


def print_json(value: object) -> None:
    """Print one JSON document on standard output, with the commands in its sentences filled in for this terminal."""
    value = commands().fill_all(value)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    sys.stdout.write(_json(value, sys.stdout, indent=2))


def _json(value: object, stream: TextIO, *, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=not shows_all(stream), default=_plain)
    return _NO_TEXT.sub(lambda byte: f"\\u{ord(byte[0]):04x}", text) + "\n"


def located(status: Status, settings: Settings) -> Status:
    """The status as a program gets it: with the absolute path of the job's folder, to which the other paths are relative."""
    return status.model_copy(update={"folder": str(settings.paths.outbox / status.job_id)})


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")
