"""Terminals without UTF-8 show what is printed, spelled if need be, and no verb ends with a traceback."""

import io
import os
import subprocess
import sys

import pytest

from daemon import cli
from daemon.contract.words.printable import shows_all, spell_what_cannot_be_shown


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "✓ größe – 写真"),
        ("iso-8859-1", "ok größe - \\u5199\\u771f"),
        ("ascii", "ok gr\\xf6\\xdfe - \\u5199\\u771f"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(monkeypatch, encoding, shown) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    spell_what_cannot_be_shown()
    print("✓ größe – 写真", end="", flush=True)
    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue().decode(encoding) == shown
    assert shows_all(stream) == (encoding == "utf-8")


def test_a_list_with_dashes_is_printed_where_only_ascii_is_shown(tmp_path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-P", "-m", "daemon.cli", "models", "list", "--home", str(tmp_path)]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"depth-anything-v2-small" in done.stdout
    assert done.stdout.isascii()


def test_an_interrupt_before_the_verb_is_loaded_ends_without_a_traceback(monkeypatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("daemon.cli.app.main", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
