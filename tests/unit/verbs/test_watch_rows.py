"""What the rows of `watch` keep in a narrow window, and what it says before the first start and to programs."""

import re

import pytest
import typer
from test_watch_lines import job, scene

from daemon.cli.display.render import now
from daemon.cli.verbs import watch
from daemon.cli.verbs.watch import Scenes, draw
from daemon.contract.status import Progress
from daemon.outbox import BatchProgress, Waiting
from daemon.platform.service import manager
from daemon.platform.service.current import current_facts
from daemon.settings import load

LONG = "Hochzeit Anna und Ben am 12. September 2026 in Heidelberg, zweite Auswahl der Bilder"
BATCH = BatchProgress(batch="b", name=LONG, total=340, ended=12, failed=2, eta_seconds=4500.0)
RUNNING = job(
    "20260131T120000-img-20260131-wedding-abcdef12",
    "processing",
    progress=Progress(stage="depth", fraction=0.4, eta_seconds=95.0),
)
UNREADY = Waiting(path=f"{LONG}/img.jpg", reason="waiting for img.yaml")


def rows(width: int) -> list[str]:
    seen = scene(RUNNING, waiting=(UNREADY,))
    health = seen.health.model_copy(update={"batches": (BATCH,)})
    return [line.plain for line in draw(seen.model_copy(update={"waiting_total": 1, "health": health}), width, 24)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_window_cuts_names_rather_than_what_is_left_to_do(width: int) -> None:
    said = rows(width)
    assert max(map(len, said)) <= width
    [batch] = [row for row in said if " of 340" in row]
    assert batch.endswith("  12 of 340 · 2 failed · about 1 h 15 min left")
    assert batch.startswith("  Hochzeit")
    assert any(row.endswith("  1 min 35 s left") for row in said)
    [waits] = [row for row in said if "img.yaml" in row]
    assert waits.endswith("  waiting for img.yaml")


def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return load(tmp_path / "home", {"MULTIPLANE_CONFIG": ""})


def test_the_hint_names_what_starts_a_daemon_here(tmp_path, monkeypatch) -> None:
    home = settings(tmp_path, monkeypatch)
    its = manager()

    def hinted() -> set[str]:
        said = " ".join(line.plain for line in draw(Scenes(home).look(now()), 80, 24, whole=True))
        return {words for words in ("run", "service install", "service start") if re.search(f"multiplane {words}[ `]", said)}

    assert hinted() == {"run", "service install"}
    its.path().parent.mkdir(parents=True)
    its.path().write_bytes(its.content(current_facts(load(tmp_path / "other", {"MULTIPLANE_CONFIG": ""}))))
    assert hinted() == {"run", "service install"}
    its.path().write_bytes(its.content(current_facts(home)))
    assert hinted() == {"service start"}


def test_programs_get_the_path_of_each_file_that_waits(tmp_path, monkeypatch) -> None:
    home = settings(tmp_path, monkeypatch)
    home.paths.inbox.mkdir(parents=True)
    (home.paths.inbox / "a.jpg").touch()
    [waits] = Scenes(home).look(now()).waiting
    assert (waits.path, waits.file) == ("a.jpg", str(home.paths.inbox / "a.jpg"))


def test_lines_and_json_exclude_each_other() -> None:
    with pytest.raises(typer.BadParameter, match="exclude each other"):
        watch.watch(lines=True, json=True)
