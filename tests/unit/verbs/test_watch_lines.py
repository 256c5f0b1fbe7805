"""watch by lines: one for each change, and nothing that moves the cursor."""

import io

import pytest
from rich.console import Console

from daemon.cli.display.render import whole
from daemon.cli.verbs import watch
from daemon.cli.verbs.jobs import listing
from daemon.contract.status import ErrorInfo, Source, Status
from daemon.outbox import Health, Waiting

THEN = "2026-01-31T12:00:00.000Z"
ERROR = ErrorInfo(code="image_type", message="it is text\x1b[2J", hint="export it")


def job(job_id: str, state: str, **more) -> Status:
    return Status(job_id=job_id, state=state, created_at=THEN, source=Source(image=f"{job_id}.jpg", bytes=1), **more)


def scene(*jobs: Status, waiting: tuple[Waiting, ...] = (), state: str = "running") -> watch.Scene:
    health = Health(version="1", pid=1, alive_at=THEN, started_at=THEN, state=state)
    by_state = {name: tuple(one for one in jobs if one.state == name) for name in ("processing", "pending")}
    return watch.Scene(
        at=THEN, alive=True, health=health, problem=None, running=by_state["processing"], queue=by_state["pending"],
        queue_total=0, waiting=waiting, waiting_total=0, ended=tuple(one for one in jobs if one.completed_at),
    )  # fmt: skip


def test_each_change_is_one_line_and_a_dumb_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(
        [
            scene(job("old", "completed", completed_at=THEN), job("a", "pending", queue_position=1)),
            scene(job("old", "completed", completed_at=THEN), job("a", "processing")),
            scene(
                job("a", "failed", completed_at=THEN, error=ERROR),
                job("old", "completed", completed_at=THEN),
                waiting=(Waiting(path="b.jpg", reason="waiting for b.yaml"),),
            ),
            scene(
                job("a", "failed", completed_at=THEN, error=ERROR),
                job("old", "completed", completed_at=THEN),
                state="paused",
            ),
        ]
    )

    class Played:
        def __init__(self, _settings: object, _on_damage: object) -> None: ...

        def look(self, _at: object) -> watch.Scene:
            if (following := next(seen, None)) is None:
                raise KeyboardInterrupt
            return following

    text = io.StringIO()
    monkeypatch.setattr(watch, "out", Console(file=text, force_terminal=True, soft_wrap=True, _environ={"TERM": "dumb"}))
    monkeypatch.setattr(watch, "Scenes", Played)
    monkeypatch.setattr(watch, "home_to_look", lambda _home: None)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.0)
    watch.watch()
    assert [line[10:] for line in text.getvalue().splitlines()] == [
        "the daemon is running",
        "pending     a.jpg  a",
        "processing  a.jpg  a",
        "failed      a.jpg  a  image_type: it is text[2J",
        "waiting     b.jpg  waiting for b.yaml",
        "the daemon is paused",
    ]
    assert "\x1b" not in text.getvalue()


@pytest.mark.parametrize("width", [50, 80, 130, 200])
def test_jobs_names_the_photo_beside_the_id_however_wide_the_terminal_is(width: int) -> None:
    made = job("20260131T120000-beach-0a1b2c3d", "completed", completed_at=THEN, processing_seconds=8.3)
    text = io.StringIO()
    Console(file=text, width=width).print(
        listing([made.model_copy(update={"source": Source(image="Strand.jpg", bytes=1)})], width)
    )
    assert "Strand.jpg" in text.getvalue()
    assert "8 s" in text.getvalue()
    assert "20260131T120000-beach-0a1b2c3d" in text.getvalue()


def test_the_time_that_is_left_is_told_in_whole_seconds() -> None:
    assert [whole(seconds) for seconds in (0.0, 0.6, 8.0, 9.6, 75.2)] == ["1 s", "1 s", "8 s", "10 s", "1 min 15 s"]
