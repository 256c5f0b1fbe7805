"""Shells complete commands, options and job ids with the script that `--install-completion` writes."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon import clock
from daemon.cli.app import command_line
from daemon.contract.records import Claimed, Ended, Started
from daemon.fs import LocalFiles
from daemon.journal import Journal
from tests.acceptance.home import MULTIPLANE
from tests.unit.job_records import ERROR, accepted, publishing

needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
SHELLS = ["bash", pytest.param("zsh", marks=needs_zsh)]

#: Puts itself where the person is who has typed the words and presses the tabulator.
ASK_BASH = """
source ~/.bashrc
COMP_WORDS=({words}) COMP_CWORD={place}
$(complete -p multiplane | sed 's/.*-F \\([^ ]*\\).*/\\1/') multiplane
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


AWKWARD = ("l'été $5", 'über "uns" `x`')


class User:
    """A user with shells, and a home with a job that failed, one that was completed, one that is pending, and one unknown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        outbox = path / "layers" / "outbox"
        for name in ("20260131T120000-beach-0a1b2c3d", "20260131T120001-boat-0a1b2c3e", "order-123", "order-now", ".work"):
            (outbox / name).mkdir(parents=True)
        journal = Journal(
            LocalFiles(), os.fsencode(path / "layers" / ".state" / "journal"), clock=clock.now, version="1", boot_id="b"
        )
        journal.recover()
        journal.begin(1, 1, [])
        failed, done, pending = "20260131T120000-beach-0a1b2c3d", "order-123", "order-now"
        journal.append([accepted(failed, batch="holiday"), accepted(done), accepted(pending, batch="honey moon")])
        journal.append([*(Claimed(job=job) for job in (failed, done, pending)), Ended(job=failed, state="failed", error=ERROR)])
        journal.append([Started(job=done, attempt="x"), publishing(done), Ended(job=done, state="completed")])
        journal.close()
        (outbox / "order-file").touch()
        preset = path / "layers" / "inbox" / "photo in 4 layers"
        preset.mkdir(parents=True)
        (preset / "_preset.yaml").touch()
        (preset.parent / "photos of mine").mkdir()
        for name in AWKWARD:
            (preset.parent / name).mkdir()
            (preset.parent / name / "_preset.yaml").touch()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("_TYPER", "COMP_", "MULTIPLANE"))}
        self.environ = environ | {
            "HOME": str(path),
            "PATH": f"{MULTIPLANE.parent}:{os.environ['PATH']}",
            "MULTIPLANE_HOME": str(path / "layers"),
            "MULTIPLANE_CONFIG": "",
        }

    def shell(self, name: str, text: str, **more: str) -> str:
        done = subprocess.run(
            [name, "-c", text], env=self.environ | more, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def complete_zsh(self, words: str, **more: str) -> str:
        """What zsh receives, computed in this process because each start costs a second."""
        environ = self.environ | more | {"_MULTIPLANE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
        return CliRunner().invoke(command_line(), [], prog_name="multiplane", env=environ).output


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> User:
    return User(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="module")
def bash_user(user) -> User:
    """The same user, whose bash is set up."""
    user.shell("bash", "multiplane --install-completion; true")
    return user


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_that_asks_is_the_one_that_is_set_up(user, shell) -> None:
    # The last word keeps the shell there, as the one that the person types in.
    shown = user.shell(shell, "multiplane --show-completion; true")
    assert ("#compdef multiplane" in shown) == (shell == "zsh")
    assert ("COMPREPLY" in shown) == (shell == "bash")
    user.shell(shell, "multiplane --install-completion; true")
    written = {"bash": user.path / ".bash_completions" / "multiplane.sh", "zsh": user.path / ".zfunc" / "_multiplane"}[shell]
    assert "_MULTIPLANE_COMPLETE" in written.read_text()
    user.shell(shell, f"{shell} -n '{written}' '{user.path}/.{shell}rc'")


def test_bash_completes_ids_with_what_was_installed(bash_user) -> None:
    found = bash_user.shell("bash", ASK_BASH.format(words="multiplane show 2026", place=2))
    assert found.split() == ["20260131T120000-beach-0a1b2c3d", "20260131T120001-boat-0a1b2c3e"]


@pytest.mark.parametrize(
    ("begun", "name"),
    [
        ("pho", "photo in 4 layers"),
        ("'l", AWKWARD[0]),
        ('"l', AWKWARD[0]),
        ('"ü', AWKWARD[1]),
    ],
)
def test_bash_completes_the_name_of_a_preset_as_one_word(bash_user, begun, name) -> None:
    ask = ASK_BASH.replace("({words})", f"(multiplane submit a.jpg --preset {shlex.quote(begun)})")
    found = bash_user.shell("bash", ask.format(place=4))
    word = found.rstrip("\n")
    quote = begun[0] if begun[0] in "'\"" else ""
    # The shell itself says which word that is.
    assert bash_user.shell("bash", f"printf %s {quote}{word}{quote}") == name


@pytest.mark.parametrize(
    ("words", "expected", "unexpected"),
    [
        ("multiplane ser", ["service"], ["show"]),
        ("multiplane show order-", ["order-123"], ["order-file", ".work"]),
        ("multiplane rm --home /nowhere order-", [], ["order-123"]),
        ("multiplane jobs --state comp", ["completed"], ["failed"]),
        ("multiplane redo order-", ["order-123"], ["order-file", "order-now"]),
        ("multiplane rm order-", ["order-123"], ["order-now"]),
        ("multiplane cancel ", ["order-now"], ["order-123", "2026"]),
        ("multiplane retry ", ["20260131T120000-beach-0a1b2c3d"], ["order-", "boat"]),
        ("multiplane retry order-123 2026", ["20260131T120000-beach-0a1b2c3d"], ["order-123"]),
        ("multiplane cancel --batch ho", ["honey moon", "holiday"], []),
        ("multiplane jobs --batch hol", ["holiday"], ["honey"]),
        ("multiplane prune --older-than 3d --batch hol", ["holiday"], []),
        ("multiplane redo --batch hol", ["holiday"], []),
        ("multiplane submit a.jpg --mode p", ["photo-realistic", "painterly"], []),
        ("multiplane submit a.jpg --motion p", ["push-in", "pan"], ["tilt"]),
        ("multiplane redo order-123 --depth c", ["cues"], ["auto"]),
        ("multiplane submit a.jpg --depth-quality b", ["best"], ["fast"]),
        ("multiplane submit a.jpg --split n", ["natural"], ["equal"]),
        ("multiplane models fetch depth-anything-v2-s", ["depth-anything-v2-small"], ["depth-pro"]),
        ("multiplane models verify depth-p", ["depth-pro"], ["depth-anything-v2-small"]),
        ("multiplane --home /nowhere show order-", [], ["order-123"]),
        ("multiplane submit a.jpg --preset pho", ["photo in 4 layers"], ["photos of mine"]),
        ("multiplane submit a.jpg --preset l", [], ["été"]),
        ("multiplane submit a.jpg --style oil-", ["oil-strokes"], ["wash-strokes"]),
        ("multiplane redo order-123 --style oil-", ["oil-strokes"], ["wash-strokes"]),
        ("multiplane submit a.jpg --formats ps", ["psd"], ["video"]),
        ("multiplane submit a.jpg --formats psd,v", ["psd,video"], ["psd,psd"]),
        ("multiplane submit a.jpg --if-exists s", ["skip"], ["fail"]),
        ("multiplane service install --qu", ["--quick-action"], []),
    ],
)
def test_verbs_options_and_ids_are_completed(user, words, expected, unexpected) -> None:
    found = user.complete_zsh(words)
    assert all(f'"{one}"' in found for one in expected), found
    assert not any(one in found for one in unexpected), found


def test_a_home_that_is_typed_before_the_verb_counts_unless_another_follows(user) -> None:
    home = user.path / "layers"
    for words, is_found in (
        (f"multiplane --home {home} show order-", True),
        (f"multiplane --home {home} models fetch depth-p", True),
        (f"multiplane --home /nowhere show --home {home} order-", True),
        (f"multiplane --home {home} show --home /nowhere order-", False),
    ):
        found = user.complete_zsh(words, MULTIPLANE_HOME="/elsewhere")
        assert ("order-123" in found or "depth-pro" in found) == is_found, words


def test_a_home_that_is_wrong_writes_nothing_into_the_command_line(user) -> None:
    assert "order-123" in user.complete_zsh("multiplane show ")
    assert user.complete_zsh("multiplane show ", MULTIPLANE_QUEUE__MAX_PENDING="none").strip() in ("", "_files")
