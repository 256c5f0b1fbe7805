"""Every command that the program shows runs as it is shown, in a terminal that knows nothing, and reaches this home alone."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli.app import VERBS
from daemon.platform.service import Facts, command
from daemon.settings.layout import PROGRAM
from tests.acceptance.home import ENDED, MULTIPLANE, HotFolder, picture, until
from tests.waiting import SLOWEST

#: What stands between backticks. Within a shell's quotes there may be anything.
CODE = re.compile(r"`((?:'[^']*'|\"[^\"]*\"|[^`'\"])+)`")
#: What the library of the command line says about wrong words.
TRY = re.compile(r"Try '(.*? --help)' for help")
#: A command of ours without the path of the program.
BARE = re.compile(rf"(?<![\w/.'-])multiplane (?:--?\w|(?:{'|'.join(VERBS)})\b)")
#: Words of a shown command that stand for something of the reader's.
STANDS_FOR = {"PICTURE": "/nowhere/photo.jpg", "NAME": "depth-anything-v2-small"}
#: Commands that change more than this home, with what makes them harmless.
HARMLESS = {("service", "install"): ["--print"], ("service", "uninstall"): ["--help"], ("models", "fetch"): ["--help"]}
USAGE, NOT_A_PROGRAM = 2, (126, 127)
#: Seconds for one command on a slow machine.
LONG = 100 * SLOWEST

#: Some thirty programs are started.
pytestmark = pytest.mark.timeout(300 * SLOWEST)


class Elsewhere(HotFolder):
    """A home with an awkward path, and a daemon that was started as a service manager starts it: with few variables."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "Ännas Bilder")
        (root / "user").mkdir()
        self.user = {"HOME": str(root / "user")}
        self.settings = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_FOLDERS__MODELS": str(root / "mo dels")}

    @property
    def environment(self) -> dict[str, str]:
        return self.user | self.settings

    def start(self) -> None:
        argv = command(Facts(python=sys.executable, home=str(self.home), errors="", environ={}))
        with (self.home / "daemon.out").open("ab") as log:
            self.process = subprocess.Popen(argv, env=self.environment, cwd="/", stdout=log, stderr=log)
        pid = self.process.pid
        until(lambda: (health := self.health()) and health["pid"] == pid and health["state"] == "running")

    def says(self, *words: str) -> str:
        """Everything that a verb prints, in this process, as if it had been started with few variables."""
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - self.environment.keys() - {"PYTEST_CURRENT_TEST"}:
                patch.delenv(name)
            done = self.verb(*words, *(() if words[0] == "no-such-verb" else ("--home", str(self.home))))
        return done.stdout + done.stderr

    def prints(self, *words: str) -> str:
        """Everything that a verb prints which turns into another program, or starts some."""
        argv = [MULTIPLANE, *words, "--home", str(self.home)]
        done = subprocess.run(argv, env=self.environment, cwd="/", capture_output=True, text=True, timeout=LONG, check=False)
        return done.stdout + done.stderr

    def type(self, typed: str) -> subprocess.CompletedProcess[str]:
        """Type a command into a shell that knows nothing but the user's folder, which keeps the tests out of the real one."""
        argv = ["/bin/sh", "-c", typed]
        return subprocess.run(argv, env=self.user, cwd="/", capture_output=True, text=True, timeout=LONG, check=False)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture(scope="module")
def shown(elsewhere: Elsewhere) -> dict[str, str]:
    """Every text with commands that can be had from a home with all kinds of jobs, by where it stands."""
    elsewhere.drop("guessed.png", picture(), "num_layers: 2\nformats: []\n")
    elsewhere.drop("wrong.png", picture(seed=2), "num_layers: 99\n")
    elsewhere.drop("first.png", picture(seed=3), "id: first\nformats: []\n")
    elsewhere.drop("alone.png", picture(seed=4), None)
    first = elsewhere.ended("first.png", 120)
    elsewhere.drop("taken.png", picture(seed=5), "id: first\n")
    elsewhere.drop("unfetched.png", picture(seed=6), "depth: model\n")
    names = ("guessed.png", "wrong.png", "taken.png", "unfetched.png")
    jobs = [first, *(elsewhere.ended(name, 120) for name in names)]
    assert {job["state"] for job in jobs} <= set(ENDED)
    until(lambda: all(job["job_id"] in texts_of_page(elsewhere) for job in jobs))
    found = {"index.html and its data": texts_of_page(elsewhere), "daemon.json": (elsewhere.outbox / "daemon.json").read_text()}
    found |= {f"status.json of {job['source']['image']}": json.dumps(job, ensure_ascii=False) for job in jobs}
    failed = next(job["job_id"] for job in jobs if job["source"]["image"] == "wrong.png")
    found["show wrong.png"] = elsewhere.says("show", failed)
    found["show --json wrong.png"] = elsewhere.says("show", failed, "--json")
    verbs = (
        *(
            "waiting",
            "jobs",
            "service status",
            "service start",
            "service install --quick-action",
            "show nothing",
            "retry nothing",
        ),
        *("watch", "check /nowhere.yaml", "submit /nowhere.png", "submit --no-such-option", "no-such-verb"),
    )
    found |= {verb: elsewhere.says(*verb.split()) for verb in verbs}
    own = ("doctor --json", "models list", "models verify nothing", "models fetch depth-pro", "run")
    found |= {verb: elsewhere.prints(*verb.split()) for verb in own}
    wrong = next(elsewhere.outbox.glob("*/source/wrong.png.yaml"))
    found["check"] = elsewhere.says("check", str(wrong))
    photo = elsewhere.home / "submitted.png"
    photo.write_bytes(picture(seed=7))
    found["submit 99 layers"] = elsewhere.says("submit", str(photo), "--num-layers", "99")
    elsewhere.stop()
    found["doctor, without a daemon"] = elsewhere.prints("doctor")
    found |= {f"{verb}, without a daemon": elsewhere.says(verb) for verb in ("waiting", "jobs")}
    found["retry, without a daemon"] = elsewhere.says("retry", failed)
    found["submit, without a daemon"] = elsewhere.says("submit", str(photo))
    found["submit --wait, without a daemon"] = elsewhere.says("submit", str(photo), "--wait", "--patience", "1")
    found["the log"] = (elsewhere.home / ".state" / "log" / "daemon.log").read_text()
    elsewhere.start()
    return found


def texts_of_page(home: Elsewhere) -> str:
    """index.html, and what its data files say, as text rather than as JavaScript."""
    page = (home.outbox / "index.html").read_text()
    start = re.findall(r"const START = (\".*?\");\n", page)
    data = "\n".join(path.read_text() for path in sorted((home.outbox / ".gallery").glob("*.js")))
    texts = [json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', data) + start]
    return "\n".join([*texts, *(f"`{json.loads(text)}`" for text in start)])


def commands_in(shown: dict[str, str]) -> dict[str, str]:
    """Every command of ours that is shown, and where."""
    found: dict[str, str] = {}
    for where, text in shown.items():
        texts = [text]
        if text.lstrip().startswith(("{", "[")):
            texts = [json.loads(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', text)]
        for part in texts:
            for code in CODE.findall(part) + TRY.findall(" ".join(part.split())):
                if "multiplane" in code or "daemon.cli" in code:
                    found.setdefault(code, where)
            if where == "daemon.json" and "models fetch" in part and "`" not in part:
                found.setdefault(part, where)
    return found


def words_of(typed: str) -> list[str]:
    """The verb and what follows it: without the variables and the program."""
    words = shlex.split(typed)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words[words.index("daemon.cli") + 1 :] if "daemon.cli" in words else words[1:]


def test_no_command_is_shown_in_a_form_that_a_terminal_may_not_know(shown: dict[str, str]) -> None:
    assert {where: found for where, text in shown.items() if (found := BARE.findall(text))} == {}


def test_the_places_where_people_look_do_show_commands(shown: dict[str, str]) -> None:
    found = {where: verbs for where, text in shown.items() if (verbs := {words_of(one)[0] for one in commands_in({where: text})})}
    expected = {
        "index.html and its data": {"run", "retry", "rm", "models"},
        "daemon.json": {"models"},
        "status.json of guessed.png": {"models"},
        "status.json of wrong.png": {"retry"},
        "status.json of taken.png": {"rm"},
        "status.json of unfetched.png": {"models", "retry"},
        "show wrong.png": {"retry"},
        "doctor --json": {"models", "service"},
        "doctor, without a daemon": {"models", "service", "run"},
        "models list": {"models"},
        "show nothing": {"jobs", "waiting"},
        "retry, without a daemon": {"run"},
        "submit, without a daemon": {"run"},
        "service start": {"service"},
        "run": {"jobs"},
        "submit --no-such-option": {"submit"},
        "no-such-verb": {"--help"},
    }
    assert {where: verbs - found.get(where, set()) for where, verbs in expected.items() if verbs - found.get(where, set())} == {}


def test_every_shown_command_runs_and_reaches_this_home_alone(elsewhere: Elsewhere, shown: dict[str, str]) -> None:
    others = (PROGRAM / ".state", PROGRAM / "outbox", Path(elsewhere.user["HOME"]) / "Multiplane")
    before = [contents(folder) for folder in others]
    found = commands_in(shown)
    # What removes a job comes last.
    for typed in sorted(found, key=lambda typed: words_of(typed)[0] == "rm"):
        where, words = found[typed], words_of(typed)
        if not {"--help", "--version"} & set(words):
            assert words[words.index("--home") + 1] == str(elsewhere.home), f"{where}: {typed}"
        harmless = HARMLESS.get((words[0], words[1]), []) if len(words) > 1 else []
        known = re.sub(r"\b(ID|PICTURE|NAME)\b", lambda name: STANDS_FOR.get(name[0], "first"), typed)
        done = elsewhere.type(" ".join((known, *harmless)))
        said = f"{where}: {typed}\n{done.returncode} {done.stdout[-500:]} {done.stderr[-1500:]}"
        assert done.returncode not in NOT_A_PROGRAM, said
        assert done.returncode != USAGE or words[0] == "submit", said
        assert "No such" not in done.stderr, said
        assert "does not exist" not in done.stderr, said
    assert [contents(folder) for folder in others] == before


def contents(folder: Path) -> list[tuple[str, int]]:
    """What is in a folder, and when it was changed."""
    return sorted((path, os.lstat(path).st_mtime_ns) for path in map(str, folder.rglob("*")))
