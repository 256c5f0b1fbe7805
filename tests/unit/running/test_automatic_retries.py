"""A job that is retried automatically shows that and the time everywhere, and never looks as if it had ended."""

import time
from datetime import UTC, datetime

import pytest
from job_records import accepted, entries, publishing
from rich.console import Console
from service_scene import Scene as Daemon

from daemon.cli.display.render import percent, remark
from daemon.cli.verbs.jobs import listing
from daemon.cli.verbs.show import _numbered, _sentence, job_lines
from daemon.cli.verbs.watch import Scene, draw
from daemon.contract.commands import RETRY, command, unmarked
from daemon.contract.records import AttemptEnded, Claimed, Ended, Job, Requeued, Started
from daemon.contract.status import Progress, Status
from daemon.errors import DiskFull, SourceChanged, Timeout, WorkerCrashed
from daemon.jobs.fold import Jobs
from daemon.jobs.retry_pause import pause_left_at
from daemon.outbox import Health, in_line, status_of
from daemon.outbox.gallery.cards import card_of
from daemon.supervisor import Failed
from daemon.views import view_writer

NOW = 1_800_000_000.0
AGAIN = NOW + 10.0
ON_THE_WALL = time.strftime("%H:%M:%S", time.localtime(AGAIN))
CRASHED = WorkerCrashed("the worker was killed by signal 9", detail="Traceback").info()
FIRST = (accepted("a"), Claimed(job="a"), Started(job="a", attempt="1"))
RESTS = (*FIRST, AttemptEnded(job="a", error=CRASHED, counts=True, retry_at=AGAIN))


def job_of(*records: object) -> Job:
    jobs = Jobs()
    for entry in entries(*records):
        jobs.apply(entry)
    found = jobs.find("a")
    assert found is not None
    return found


def resting() -> Status:
    return status_of(job_of(*RESTS), position=1, at=NOW)


def second_attempt() -> Status:
    progress = Progress(stage="matte", fraction=0.32999)
    return status_of(job_of(*RESTS, Started(job="a", attempt="2")), progress=progress, at=AGAIN)


def drawn(scene: Scene, width: int = 110, height: int = 40) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as captured:
        for line in draw(scene, width, height):
            console.print(line)
    return captured.get().splitlines()


def scene(**more: object) -> Scene:
    moment = datetime.fromtimestamp(NOW, UTC).isoformat()
    health = Health(version="1", pid=1, state="running", alive_at=moment, started_at=moment)
    nothing = {"running": (), "queue": (), "queue_total": 0, "waiting": (), "waiting_total": 0, "ended": ()}
    return Scene(**{"at": moment, "alive": True, "health": health} | nothing | more)


def test_a_job_whose_picture_is_back_in_the_inbox_is_watched_as_it_is_listed():
    lines = drawn(scene(returned=(resting(),), returned_total=1))
    at = lines.index("back in the inbox")
    assert "next attempt at" in lines[at + 1]
    assert "worker_crashed" in lines[at + 1]


# -- while it rests -----------------------------------------------------------------------------------------------------------


def test_a_job_that_rests_says_what_happened_and_when_it_is_tried_again():
    status = resting()
    assert status.error.message == CRASHED.message
    assert status.error.hint == f"It is retried automatically at {ON_THE_WALL} (attempt 2 of 3); you need not do anything."
    assert datetime.fromisoformat(status.retry_at).timestamp() == AGAIN


def test_a_job_that_rests_has_no_place_in_the_queue_and_keeps_nobody_waiting():
    assert resting().queue_position is None
    rests, ready = job_of(*RESTS), job_of(accepted("a"), Claimed(job="a"))
    assert [place for _, place in in_line([rests, ready, rests, ready], pause_left_at(NOW))] == [None, 1, None, 2]


def test_when_its_pause_is_over_it_waits_for_its_turn():
    status = status_of(job_of(*RESTS), position=2, at=AGAIN)
    assert (status.queue_position, status.retry_at) == (2, None)
    assert status.error.hint == "It is retried automatically when it is its turn (attempt 2 of 3); you need not do anything."
    assert remark(status) == "number 2 in line · earlier attempt: worker_crashed: the worker was killed by signal 9"


@pytest.mark.parametrize("error", [Timeout("it stopped moving"), WorkerCrashed("killed")])
def test_a_job_that_is_tried_again_by_itself_asks_nothing_of_anybody(error):
    status = status_of(job_of(*FIRST, AttemptEnded(job="a", error=error.info(), counts=True, retry_at=AGAIN)), at=NOW)
    assert "you need not do anything" in status.error.hint
    assert "multiplane retry" not in status.error.hint
    assert "timeout_seconds" not in status.error.hint


def test_a_picture_that_still_grows_is_read_again_and_that_is_no_second_attempt():
    record = AttemptEnded(job="a", error=SourceChanged("it changed").info(), counts=False, retry_at=AGAIN)
    status = status_of(job_of(*FIRST, record), at=NOW)
    assert status.error.hint == f"It is retried automatically at {ON_THE_WALL}; you need not do anything."


def test_for_a_full_disk_room_is_all_that_is_asked_for():
    record = AttemptEnded(job="a", error=DiskFull("no room").info(), counts=False)
    status = status_of(job_of(*FIRST, record), position=1, at=NOW)
    assert status.error.hint == "Free some space on the disk of the outbox; it is then retried automatically."


def test_a_job_that_failed_for_good_says_how_to_retry_it():
    status = status_of(job_of(*FIRST, Ended(job="a", state="failed", error=CRASHED)), at=NOW)
    assert unmarked(status.error.hint).startswith("Run: `multiplane retry a`.")


def test_show_jobs_and_watch_tell_of_a_job_that_rests():
    said = f"next attempt at {ON_THE_WALL} (attempt 2 of 3): worker_crashed: the worker was killed by signal 9"
    assert remark(resting()) == said
    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(listing([resting()], 160))
    assert said in captured.get()
    line = next(line for line in drawn(scene(queue=(resting(),), queue_total=1), 160) if "photo.jpg" in line)
    assert line.split() == ["–", "photo.jpg", "a", *said.split()]
    assert ("", resting().error.hint) in list(job_lines(resting(), "/outbox/a"))


def test_the_page_is_told_when_a_job_is_tried_again():
    card = card_of(resting())
    assert (card["retry"], card["attempts"], card["of"], "position" in card) == (resting().retry_at, 1, 3, False)
    assert "of" not in card_of(status_of(job_of(accepted("a"), Claimed(job="a")), position=1))


# -- while it runs again ------------------------------------------------------------------------------------------------------


def test_while_it_runs_again_no_error_is_shown_and_its_attempt_is():
    status = second_attempt()
    assert (status.error, status.retry_at, status.attempts) == (None, None, 2)
    assert remark(status) == "Softening borders 32 % · attempt 2 of 3"
    names = dict(job_lines(status, "/outbox/a"))
    assert "worker_crashed" not in names
    assert names[""] == "attempt 2 of 3"
    lines = drawn(scene(running=(status,)))
    assert next(line for line in lines if "photo.jpg" in line).split("  ")[1] == "Softening borders · attempt 2 of 3"
    assert any(line.endswith(" 32 %") for line in lines)


def test_a_status_file_of_an_older_daemon_shows_no_error_of_a_running_job_either():
    status = second_attempt().model_copy(update={"error": CRASHED})
    assert all(CRASHED.message not in text for _, text in job_lines(status, "/outbox/a"))


def test_a_first_attempt_is_not_worth_a_word():
    status = status_of(job_of(*FIRST), progress=Progress(stage="depth", fraction=0.5), at=NOW)
    assert remark(status) == "Finding the depth 50 %"
    assert "of" not in card_of(status)


def test_the_story_keeps_every_attempt_and_counts_those_that_count():
    stopped = AttemptEnded(job="a", counts=False)
    again = (Started(job="a", attempt="2"), stopped, Started(job="a", attempt="3"))
    ended = Ended(job="a", state="failed", error=CRASHED)
    requeued = Requeued(job="a", value=job_of(*FIRST))
    story = entries(*RESTS, *again, ended, requeued, Started(job="a", attempt="4"))
    assert [_sentence(entry, number) for entry, number in _numbered(story)][2:] == [
        "an attempt begins",
        f"the attempt failed: {CRASHED.message}; the next attempt is at {ON_THE_WALL}",
        "attempt 2 of 3 begins",
        "the attempt was stopped with the daemon",
        "attempt 2 of 3 begins",
        f"failed: {CRASHED.message}",
        "a retry was requested",
        "an attempt begins",
    ]


# -- what the daemon writes ---------------------------------------------------------------------------------------------------


def test_status_json_tells_the_pause_and_afterwards_the_place_in_line(tmp_path):
    daemon = Daemon(tmp_path)
    daemon.processing("a")
    daemon.pending("b")
    daemon.wall_clock = lambda: time.time() + 60.0
    daemon.runs.on_end("a", Failed(CRASHED, True, 1.0))
    daemon.refresh()
    rests, ready = (Status.model_validate_json(daemon.status(job_id)) for job_id in "ab")
    assert (rests.queue_position, ready.queue_position) == (None, 1)
    assert "It is retried automatically at" in rests.error.hint
    # The pause passes: nothing is recorded, and still the file says how it is now.
    daemon.jobs.apply(entries(AttemptEnded(job="a", error=CRASHED, counts=True, retry_at=time.time() - 1.0))[0])
    daemon.refresh()
    waits, ready = (Status.model_validate_json(daemon.status(job_id)) for job_id in "ab")
    assert (waits.retry_at, waits.queue_position, ready.queue_position) == (None, 1, 2)
    assert "when it is its turn" in waits.error.hint


def test_the_end_of_the_pause_is_told_far_behind_in_the_queue_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(view_writer, "_MAX_POSITIONS", 0)
    daemon = Daemon(tmp_path)
    daemon.processing("a")
    daemon.runs.on_end("a", Failed(CRASHED, True, 1.0))
    daemon.refresh()
    assert Status.model_validate_json(daemon.status("a")).retry_at
    daemon.jobs.apply(entries(AttemptEnded(job="a", error=CRASHED, counts=True, retry_at=time.time() - 1.0))[0])
    daemon.refresh()
    waits = Status.model_validate_json(daemon.status("a"))
    assert (waits.retry_at, waits.queue_position) == (None, 1)


# -- numbers ------------------------------------------------------------------------------------------------------------------


def test_shares_and_seconds_are_written_as_finely_as_anybody_reads_them():
    status = status_of(job_of(*FIRST), progress=Progress(stage="split", fraction=0.32500000000000007))
    assert status.progress.fraction == 0.325
    failed = Ended(job="a", state="failed", error=CRASHED, processing_seconds=0.24355520700191846)
    assert status_of(job_of(*FIRST, failed)).processing_seconds == 0.244
    done = status_of(job_of(*FIRST, publishing("a", "1"), Ended(job="a", state="completed")))
    assert (done.processing_seconds, done.timings) == (1.5, {"decode": 0.5})


@pytest.mark.parametrize(
    ("share", "said"), [(0.32999, "32 %"), (0.57, "57 %"), (0.29, "29 %"), (0.99999, "99 %"), (1.0, "100 %")]
)
def test_only_what_is_done_has_100_percent(share, said):
    status = status_of(job_of(*FIRST), progress=Progress(stage="split", fraction=share))
    assert percent(status.progress.fraction) == percent(share) == said


# -- a low window -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", range(8, 32))
def test_no_section_of_watch_is_a_title_with_nothing_below_it(height):
    jobs = tuple(status_of(job_of(*FIRST[:2]), position=place) for place in range(1, 6))
    ended = tuple(status_of(job_of(*FIRST, Ended(job="a", state="failed", error=CRASHED))) for _ in range(5))
    waiting = tuple({"path": f"{number}.jpg", "reason": "still growing"} for number in range(5))
    full = scene(queue=jobs, queue_total=5, waiting=waiting, waiting_total=5, ended=ended, running=(second_attempt(),))
    lines = drawn(full, height=height)
    assert len(lines) <= height
    titles = [place for place, line in enumerate(lines) if line in ("next in the queue", "waiting in the inbox", "ended")]
    assert titles or height < 9
    for place in titles:
        assert lines[place + 1].startswith("  ")


def test_a_long_problem_leaves_what_is_below_it_in_the_window():
    problem = " ".join(["the disk of the outbox is full"] * 6)
    health = scene().health.model_copy(update={"problem": problem, "hint": "Make room."})
    ended = tuple(status_of(job_of(*FIRST, Ended(job="a", state="failed", error=CRASHED))) for _ in range(30))
    assert len(drawn(scene(health=health, ended=ended), width=60, height=14)) <= 14


def test_the_hint_in_a_record_of_an_older_version_still_becomes_a_command():
    old = CRASHED.model_copy(update={"hint": unmarked(CRASHED.hint)})
    job = job_of(*FIRST, Ended(job="a", state="failed", error=old))
    assert status_of(job, at=NOW).error.hint == CRASHED.hint.replace(RETRY, command("retry", "a"))
    other = old.model_copy(update={"hint": "Look at `multiplane retry ID`.png."})
    job = job_of(*FIRST, Ended(job="a", state="failed", error=other))
    assert status_of(job, at=NOW).error.hint == other.hint
