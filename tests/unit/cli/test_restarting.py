"""What `multiplane run` does when the program on the disk was changed."""

import os
import sys

import pytest

from daemon.cli.verbs import run


class ProcessReplaced(Exception):
    """Raised where the process would be replaced."""


@pytest.mark.parametrize("options", [[], ["--once"], ["--no-model"]])
def test_a_daemon_that_restarts_itself_on_a_terminal_fetches_no_model(monkeypatch, options):
    became = []

    def execv(program, arguments):
        became.append((program, arguments))
        raise ProcessReplaced

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-P", "-m", "daemon.cli", "run", *options])
    with pytest.raises(ProcessReplaced):
        run._restart()
    ((program, arguments),) = became
    assert program == arguments[0] == sys.executable
    assert arguments[1:5] == ["-P", "-m", "daemon.cli", "run"]
    assert arguments.count("--no-model") == 1
    assert set(options) <= set(arguments)
