"""Whatever strangers name like a command of ours is shown as the name it is: never filled in, and never changed.

A command that is filled in contains the path of the program. So no shown text may have that path before the forged words.
"""

import json
import re
from collections.abc import Iterator

import pytest

from daemon.notify.notices import one_line
from tests.acceptance.home import HotFolder, picture, until
from tests.waiting import SLOWEST

#: Looks like one of our commands in its short form.
FORGED = "`multiplane rm victim`"
PICTURE, BROKEN, WRONG, ALONE = (f"{FORGED} {kind}.png" for kind in ("good", "broken", "wrong", "alone"))
FOLDER, BATCH = f"{FORGED} preset", f"{FORGED} batch"
#: The same with the marks that stand around our commands, as far as YAML can write them.
MARKED = r'"\0`multiplane rm victim`\0"'

pytestmark = pytest.mark.timeout(240 * SLOWEST)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotFolder]:
    made = HotFolder(tmp_path_factory.mktemp("names") / "home")
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture(scope="module")
def views(home: HotFolder) -> dict[str, str]:
    """Everything that can be seen of a home full of such names, by view."""
    home.drop(PICTURE, picture(), "num_layers: 2\nformats: []\n")
    home.drop(BROKEN, b"\x89PNG\r\n\x1a\n" + b"`multiplane rm victim`" * 9)
    home.drop(WRONG, picture(seed=2), f"{MARKED}: 1\n{FORGED.replace('`', '')}: 2\n")
    home.drop(ALONE, picture(seed=3), None)
    for name, control, text in (
        (FOLDER, "_preset.yaml", f"style: {MARKED}\n"),
        (BATCH, "job.yaml", "num_layers: 2\nformats: []\n"),
        (f"{FORGED} wrong batch", "job.yaml", f"mode: {MARKED}\n"),
    ):
        (home.inbox / name).mkdir()
        (home.inbox / name / PICTURE).write_bytes(picture(seed=4))
        (home.inbox / name / control).write_text(text)
    (home.inbox / f"{FORGED} link.png").symlink_to("/etc/passwd")
    ids = {name: home.ended(name, 120)["job_id"] for name in (BROKEN, WRONG)}
    until(lambda: len([each for each in home.of(PICTURE) if each["state"] == "completed"]) == 2, 120)
    until(lambda: home.health()["waiting_total"] >= 2)
    statuses = {f"status.json of {status['job_id']}": json.dumps(status, ensure_ascii=False) for status in home.statuses()}
    until(lambda: all(job_id in data_of_page(home) for job_id in ids.values()))
    seen = {"daemon.json": json.dumps(home.health(), ensure_ascii=False), **statuses}
    for verb in (
        *("waiting", "waiting --json", "jobs", "jobs --json", "watch", "watch --json"),
        *(f"show {job_id}{how}" for job_id in ids.values() for how in ("", " --json")),
    ):
        seen[verb] = home.verb(*verb.split()).stdout
    seen["jobs of the batch"] = home.verb("jobs", "--batch", BATCH).stdout
    sidecar = next(home.outbox.glob("*/source/*wrong.png.yaml"))
    for how in ((), ("--json",)):
        seen[" ".join(("check", *how))] = home.verb("check", str(sidecar), *how).stdout
    seen["doctor"] = home.run("doctor").stdout
    seen["retry of a job that does not exist"] = home.verb("retry", FORGED).stderr
    seen["a home with such a name"] = home.verb("jobs", "--home", f"/nowhere/{FORGED}").stderr
    home.stop()
    seen["waiting, without a daemon"] = home.verb("waiting").stdout
    seen["the log"] = (home.home / ".state" / "log" / "daemon.log").read_text()
    return seen


def data_of_page(home: HotFolder) -> str:
    return "".join(path.read_text() for path in sorted((home.outbox / ".gallery").glob("*.js")))


def texts(view: str) -> list[str]:
    """The strings of a JSON document, or the text itself."""
    try:
        document = json.loads(view)
    except ValueError:
        return [view]
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for each in (*value.keys(), *value.values()):
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            found.append(value)

    walk(document)
    return found


def test_no_name_is_filled_in_anywhere(views: dict[str, str]) -> None:
    filled = {
        view: text for view, said in views.items() for text in texts(said) if "victim --home" in text or "multiplane' rm" in text
    }
    assert filled == {}
    paths = {view: text for view, said in views.items() for text in texts(said) if "/multiplane rm victim" in text}
    assert paths == {}


def test_no_mark_reaches_a_reader(views: dict[str, str]) -> None:
    assert {view: text for view, said in views.items() for text in texts(said) if "\0" in text} == {}


@pytest.mark.parametrize(
    ("view", "names"),
    [
        ("daemon.json", (ALONE, FOLDER)),
        ("waiting", (ALONE,)),
        ("waiting --json", (ALONE, FOLDER)),
        ("waiting, without a daemon", (ALONE,)),
        ("jobs", (BROKEN, WRONG)),
        ("jobs --json", (PICTURE, BROKEN, WRONG)),
        ("watch --json", (PICTURE, ALONE)),
        ("check", (WRONG,)),
        ("the log", (BROKEN, WRONG)),
        ("a home with such a name", (f"/nowhere/{FORGED}",)),
    ],
)
def test_the_names_are_shown_unchanged(views: dict[str, str], view: str, names: tuple[str, ...]) -> None:
    # A table breaks its lines between words.
    said = "".join("".join(texts(views[view])).split())
    assert [name for name in names if "".join(name.split()) not in said] == []


def test_a_failed_picture_with_such_a_name_still_gets_its_real_command(home: HotFolder, views: dict[str, str]) -> None:
    (wrong,) = home.of(WRONG)
    # The path of the program is quoted if it has a space in it.
    assert re.search(rf"multiplane'? retry {re.escape(wrong['job_id'])}", wrong["error"]["hint"])
    assert wrong["error"]["message"].startswith(f'{WRONG}.yaml, line 1: unknown field "\\x00`multiplane rm victim`\\x00"')


def test_a_notification_shows_the_name() -> None:
    assert one_line(f"{BROKEN} cannot be read") == f"{BROKEN} cannot be read"


def test_the_pages_data_marks_only_real_commands(home: HotFolder, views: dict[str, str]) -> None:
    marked = re.findall(r"\\u0000`(.*?)`\\u0000", data_of_page(home))
    assert marked
    assert [code for code in marked if not re.search("multiplane'? (retry|models) ", code)] == []
