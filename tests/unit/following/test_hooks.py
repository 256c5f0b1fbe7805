"""When commands of the settings run after a job, how often, and what the job says about those that fail."""

import json
from dataclasses import replace

import pytest

from daemon.contract.records import Ended, Removed, Requeued, Started
from daemon.jobs.fold import RECENT, Jobs
from daemon.journal import History, Journal
from tests.unit.job_records import ERROR, publishing
from tests.unit.service_scene import Scene

SETTINGS = {"MULTIPLANE_HOOKS__ON_COMPLETED": "[tell, done]", "MULTIPLANE_HOOKS__TIMEOUT_SECONDS": "20"}


class FakeHook:
    """A command that ends when a test says so."""

    def __init__(self, argv, message, environment, directory) -> None:
        self.argv, self.status, self.environment, self.directory = argv, json.loads(message), environment, directory
        self.ended: int | None = None
        self.last_line = ""
        self.killed = self.closed = False

    def poll(self) -> int | None:
        return self.ended

    def kill(self) -> None:
        self.killed = True

    def is_gone(self) -> bool:
        return self.killed

    def close(self) -> None:
        self.closed = True


class HookScene(Scene):
    """A home with a command for completed jobs; time passes when a test says so."""

    def __init__(self, home, settings=SETTINGS) -> None:
        self.started: list[FakeHook] = []
        self.now = 1000.0
        super().__init__(home, settings=settings, start_hook=self._start)
        self.clock = lambda: self.now

    def _start(self, *said) -> FakeHook:
        self.started.append(FakeHook(*said))
        return self.started[-1]

    def end(self, job_id: str, state: str = "completed") -> None:
        """End a job as the runner does."""
        job = self.processing(job_id)
        if state == "completed":
            self.ledger.record(publishing(job_id, job.attempt.folder))
        self.runs.end(self.jobs.live[job_id], Ended(job=job_id, state=state, error=None if state == "completed" else ERROR))

    def pass_time(self, seconds: float = 0.2) -> None:
        """Let the loop pass once, after this many seconds."""
        self.now += seconds
        self.parts.hooks.look(self.now)

    def say(self, status: int, line: str = "") -> None:
        """End the command that was started last."""
        self.started[-1].ended, self.started[-1].last_line = status, line
        self.pass_time()

    def warnings(self, job_id: str) -> list[str]:
        """The job's warnings in its status, without the worker's own."""
        found = json.loads((self.root / job_id / "status.json").read_bytes())["warnings"]
        return [warning for warning in found if warning not in publishing(job_id).warnings]


@pytest.fixture
def scene(tmp_path):
    return HookScene(tmp_path)


def test_a_command_gets_the_folder_last_and_the_status_on_standard_input_and_runs_once(scene):
    scene.end("one")
    scene.pass_time()
    (hook,) = scene.started
    assert hook.argv == ("tell", "done", str(scene.root / "one"))
    assert (hook.status["job_id"], hook.status["state"]) == ("one", "completed")
    assert (hook.environment["MULTIPLANE_JOB"], hook.directory) == ("one", str(scene.settings.paths.home))
    assert not scene.parts.hooks.is_done()
    scene.say(0)
    scene.pass_time(1000)
    assert hook.killed, "what it started may still run"
    assert hook.closed
    assert scene.parts.hooks.is_done()
    assert len(scene.started) == 1
    assert scene.parts.hooks.next_look(scene.now) == float("inf")


def test_a_job_that_failed_or_was_cancelled_calls_no_command_for_completed_ones(scene):
    scene.end("bad", "failed")
    scene.end("away", "cancelled")
    scene.pass_time()
    assert not scene.started
    assert scene.parts.hooks.is_done()


def test_a_command_that_fails_runs_twice_more_and_then_the_job_has_a_warning(scene):
    scene.end("one")
    for run, pause in enumerate((10, 60, None), start=1):
        scene.pass_time()
        assert len(scene.started) == run
        scene.say(3, "no \0such\u202e host")
        (warning,) = scene.warnings("one")
        assert warning.startswith(
            'The command `tell done` of the settings failed after this job: exit status 3, "no such· host".'
        )
        scene.pass_time((pause or 1000) - 2)
        assert len(scene.started) == run, "too early"
        scene.pass_time(2)
    assert warning.endswith("It was run 3 times, and is not run again.")
    assert len(scene.started) == 3
    assert scene.parts.hooks.is_done()
    assert scene.jobs.find("one").state == "completed"


def test_a_warning_goes_when_the_command_works_in_the_end(scene):
    scene.end("one")
    scene.pass_time()
    scene.say(1)
    assert scene.warnings("one")
    scene.pass_time(10)
    scene.say(0)
    assert scene.warnings("one") == []


def test_a_command_that_runs_too_long_is_killed_with_its_group(scene):
    scene.end("one")
    scene.pass_time()
    scene.pass_time(19)
    assert not scene.started[0].killed
    scene.pass_time(1)
    assert scene.started[0].killed
    assert "it ran for more than 20 seconds" in scene.warnings("one")[0]


def test_a_command_that_cannot_be_started_is_a_warning(tmp_path):
    def missing(*_said):
        raise FileNotFoundError(2, "No such file or directory", "tell")

    scene = HookScene(tmp_path)
    scene.parts.hooks._start = missing
    scene.end("one")
    scene.pass_time()
    assert "it cannot be started (No such file or directory)" in scene.warnings("one")[0]


def test_at_most_four_commands_run_at_once_and_every_job_gets_its_turn(scene):
    for number in range(6):
        scene.end(f"job-{number}")
    scene.pass_time()
    assert len(scene.started) == 4
    for hook in scene.started:
        hook.ended = 0
    scene.pass_time()
    assert [hook.status["job_id"] for hook in scene.started] == [f"job-{number}" for number in range(6)]


def test_after_a_restart_what_was_not_told_is_told_and_what_was_told_is_not(tmp_path):
    """Also when the job is no longer in memory, because it ended in an older segment of the journal."""
    scene = HookScene(tmp_path)
    for job_id in ("told", "interrupted", "removed"):
        scene.end(job_id)
    scene.pass_time()
    scene.started[0].ended = 0
    scene.pass_time()
    scene.ledger.record(Removed(job="removed"))
    scene.parts.hooks.stop()
    assert all(hook.killed and hook.closed for hook in scene.started)
    for _ in range(2):
        scene.journal.rotate(list(scene.jobs.live.values()), scene.jobs.other_records())
    scene.journal.close()
    assert list(scene.jobs.follow_ups.owed) == [("interrupted", "hook")]
    journal = Journal(scene.fs, scene.settings.paths.journal_bytes, clock=scene.now_as_text, version="1", boot_id="b")
    recovered = journal.recover()
    jobs = Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    assert jobs.follow_ups.owed == {("interrupted", "hook"): 0}
    assert History(scene.fs, scene.settings.paths.journal_bytes).job("interrupted").published is not None


def test_without_the_setting_nothing_is_owed_and_a_setting_taken_away_stops_what_was(tmp_path):
    scene = HookScene(tmp_path, settings={})
    scene.end("one")
    assert not scene.jobs.follow_ups.owed
    job = scene.processing("two")
    scene.ledger.record(publishing("two", job.attempt.folder), Ended(job="two", state="completed", owes=("hook",)))
    scene.pass_time()
    assert not scene.started
    assert not scene.jobs.follow_ups.owed


BOTH = {"MULTIPLANE_HOOKS__ON_COMPLETED": "[tell, done]", "MULTIPLANE_HOOKS__ON_FAILED": "[tell, failed]"}


def again(scene, job_id: str, state: str = "completed") -> None:
    """Let an ended job run again, as after `retry`, until it ends in this state."""
    job = scene.jobs.find(job_id)
    value = replace(job, state="pending", attempts=0, attempt=None, ended=None, published=None, completed_at=None)
    scene.ledger.record(Requeued(job=job_id, value=value))
    attempt = scene.outbox.new_attempt()
    scene.ledger.record(Started(job=job_id, attempt=attempt))
    if state == "completed":
        scene.ledger.record(publishing(job_id, attempt))
    scene.runs.end(scene.jobs.live[job_id], Ended(job=job_id, state=state, error=None if state == "completed" else ERROR))


@pytest.mark.parametrize("state", ["completed", "failed"])
@pytest.mark.parametrize("status", [0, 1])
def test_a_job_that_is_retried_while_its_command_runs_gets_its_own_command(tmp_path, state, status):
    scene = HookScene(tmp_path, BOTH)
    scene.end("one", "failed")
    scene.pass_time()
    again(scene, "one", state)
    scene.say(status)  # the command of the earlier end
    scene.pass_time()
    assert [(hook.argv[1], hook.status["state"]) for hook in scene.started[1:]] == [
        ("done" if state == "completed" else "failed", state)
    ]
    assert scene.jobs.find("one").troubles == ()


def test_what_an_older_end_owed_does_not_come_back_with_a_restart(tmp_path):
    scene = HookScene(tmp_path, BOTH)
    scene.end("one", "failed")
    scene.ledger.begin_segment()
    again(scene, "one")
    scene.pass_time()
    scene.say(0)
    for number in range(RECENT + 5):  # so many that a start leaves the job out
        scene.end(f"job-{number}", "cancelled")
    assert not scene.jobs.follow_ups.is_owed("one")
    scene.journal.close()
    journal = Journal(scene.fs, scene.settings.paths.journal_bytes, clock=lambda: "", version="1", boot_id="b")
    jobs = Jobs()
    for entry in journal.recover().entries:
        jobs.apply(entry)
    assert jobs.follow_ups.owed == {}


def test_what_followed_the_end_in_a_newer_segment_is_in_every_list(tmp_path):
    scene = HookScene(tmp_path, BOTH)
    scene.end("one", "failed")
    scene.ledger.begin_segment()
    scene.pass_time()
    for _ in range(3):
        scene.say(1)
        scene.pass_time(100)
    [listed] = History(scene.fs, scene.settings.paths.journal_bytes).backwards()
    assert listed.troubles == scene.jobs.find("one").troubles != ()
