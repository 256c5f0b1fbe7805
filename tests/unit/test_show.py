"""What `show` says of a job, broken into lines."""

import io

import pytest
from rich.console import Console

from daemon.cli import show

SENTENCE = "The photo is 12 pixels wide and the depth picture 13; drop a depth picture of the photo's own size beside it."


def told(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool) -> list[str]:
    console = Console(
        file=(text := io.StringIO()), width=width, force_terminal=terminal, color_system=None, highlight=False, soft_wrap=True
    )
    monkeypatch.setattr(show, "out", console)
    show._tell("note", SENTENCE)
    return text.getvalue().splitlines()


def test_a_long_sentence_goes_on_below_its_beginning_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, 80, terminal=True)
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert [line[:12] for line in lines] == ["      note  ", " " * 12]
    assert " ".join(line[12:] for line in lines) == SENTENCE


def test_a_narrow_window_still_shows_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, 20, terminal=True)
    assert 4 <= len(lines) <= 6
    assert " ".join(line[12:] for line in lines) == SENTENCE


def test_a_file_gets_a_sentence_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 80, terminal=False) == [f"      note  {SENTENCE}"]
