"""What `show` prints about a job, and how lines are broken."""

import io
import os

import pytest
from job_records import accepted
from rich.console import Console
from service_scene import NOW
from typer.testing import CliRunner

from daemon.cli.app import command_line
from daemon.cli.display.render import wrapped
from daemon.cli.verbs import show
from daemon.contract.records import Claimed, Ended
from daemon.contract.status import Status
from daemon.errors import Cancelled, DiskFull, Internal, JobError, LicenceNotAccepted, SpecInvalid
from daemon.fs import LocalFiles
from daemon.journal import Journal
from daemon.outbox import Outbox
from daemon.settings.typed_command import commands_here
from daemon.sidecar import parse

SENTENCE = "The photo is 12 pixels wide and the depth picture 13; drop a depth picture of the photo's own size beside it."


def printed_lines(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool) -> list[str]:
    console = Console(
        file=(text := io.StringIO()), width=width, force_terminal=terminal, color_system=None, highlight=False, soft_wrap=True
    )
    monkeypatch.setattr(show, "out", console)
    show._print_property("note", SENTENCE)
    return text.getvalue().splitlines()


def test_a_long_sentence_goes_on_below_its_beginning_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed_lines(monkeypatch, 80, terminal=True)
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert [line[:12] for line in lines] == ["      note  ", " " * 12]
    assert " ".join(line[12:] for line in lines) == SENTENCE


def test_the_spaces_of_a_name_are_kept() -> None:
    assert wrapped("a  b.png is   broken", 80) == ["a  b.png is   broken"]
    assert wrapped("a  b.png is   broken", 9) == ["a  b.png", "is", "broken"]


def test_a_narrow_window_still_shows_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed_lines(monkeypatch, 20, terminal=True)
    assert 4 <= len(lines) <= 6
    assert " ".join(line[12:] for line in lines) == SENTENCE


def test_a_file_gets_a_sentence_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed_lines(monkeypatch, 80, terminal=False) == [f"      note  {SENTENCE}"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a job that was cancelled and one that failed; only the failed one has its folder."""
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    (tmp_path / "outbox" / "failed").mkdir()
    journal = Journal(LocalFiles(), os.fsencode(tmp_path / ".state" / "journal"), clock=lambda: NOW, version="1", boot_id="b")
    journal.recover()
    journal.begin(1, 1, [])
    ends = {"gone": ("cancelled", Cancelled("the job was cancelled")), "failed": ("failed", LicenceNotAccepted("not accepted"))}
    for job_id, (state, error) in ends.items():
        journal.append([accepted(job_id), Claimed(job=job_id), Ended(job=job_id, state=state, error=error.info())])
    journal.close()
    return tmp_path


def shown(home, job_id: str) -> list[str]:
    done = CliRunner().invoke(command_line(), ["show", job_id, "--home", str(home)])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_a_job_in_the_trash_says_that_its_folder_is_gone_and_to_put_it_back(home) -> None:
    lines, retry = shown(home, "gone"), f"`{commands_here(home, os.environ).typed('retry', 'gone')}`"
    assert f"    folder  {home}/outbox/gone no longer exists" in lines
    assert lines[lines.index(" cancelled  the job was cancelled") + 1].strip() == (
        f"Its folder was removed from the outbox. Put it back into {home}/outbox, then run: {retry}."
    )
    (home / "outbox" / "gone").mkdir()
    assert "    folder  " + str(home / "outbox" / "gone") in shown(home, "gone")
    assert any(f"Run: {retry}" in line for line in shown(home, "gone"))


def test_an_outbox_that_is_away_is_no_folder_thrown_away(home) -> None:
    (home / "outbox").rename(home / "elsewhere")
    assert not any("no longer exists" in line for line in shown(home, "gone"))


def test_what_is_said_stands_in_one_column_however_long_a_name_is(home) -> None:
    lines = shown(home, "failed")
    head = lines[: lines.index("")]
    begin = len("licence_not_accepted") + 2
    assert all(line[begin - 2 : begin] == "  " and line[begin] != " " for line in head), head


def error_lines(error: JobError) -> list[str]:
    status = Status(job_id="a", state="failed", created_at="", error=error.info())
    return [value for _, value in show.job_lines(status, "/outbox/a")][4:-1]


def test_an_expected_fault_is_a_sentence_and_an_unexpected_one_shows_where_the_program_was() -> None:
    trace = 'Traceback (most recent call last):\n  File "run.py", line 1\nOSError: no space'
    assert error_lines(DiskFull("There is no space left.", detail=trace)) == ["There is no space left."]
    assert error_lines(Internal("The program failed.", detail=trace)) == ["The program failed.", *trace.splitlines()]


def test_all_mistakes_of_a_sidecar_are_shown_and_each_once() -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse("".join(f"wrong{number}: 1\n" for number in range(7)).encode(), name="job.yaml")
    lines = error_lines(caught.value)
    assert [[line.count(f"wrong{number}") for number in range(7)] for line in lines] == [
        [1, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]
