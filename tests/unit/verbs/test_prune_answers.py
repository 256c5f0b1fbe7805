"""What `prune` says it removed is what the daemon was asked for, however it answers."""

from datetime import UTC, datetime

import pytest

from daemon.cli.answers import PrunedJob, Pruning
from daemon.cli.asking import sending_requests
from daemon.cli.verbs.upkeep import prune
from daemon.contract.requests import RequestAnswer

NOW = datetime.now(UTC)
JOBS = tuple(PrunedJob(job_id=f"job-{k}", state="completed", completed_at="", batch=None, bytes=2) for k in range(120))
ENDED = tuple(job.model_copy(update={"completed_at": "2026-01-31T12:00:00Z"}) for job in JOBS)
PRUNING = Pruning(dry_run=False, before="", keep_source=False, jobs=JOBS, bytes=240)


@pytest.fixture
def carried_out(monkeypatch):
    def carried_out(*answers: RequestAnswer):
        asked, waited, left = [], [], list(answers)

        def send(_settings, request, *, runs):
            asked.extend(request.jobs)
            waited.append(runs)
            return left.pop(0)

        monkeypatch.setattr(prune, "send", send)
        return prune._carried_out(None, PRUNING, NOW, runs=True), asked, waited

    return carried_out


def test_a_daemon_that_does_not_answer_in_time_gets_all_requests_and_is_waited_for_once(carried_out):
    late = RequestAnswer(problem=sending_requests._NO_ANSWER)
    found, asked, waited = carried_out(late, late, late)
    assert asked == [job.job_id for job in JOBS]
    assert waited == [True, False, False]
    assert (len(found.jobs), found.bytes, found.problem) == (120, 240, late.problem)


def test_after_a_request_that_failed_only_the_jobs_before_it_are_named(carried_out):
    found, asked, _ = carried_out(RequestAnswer(), RequestAnswer(problem="the request cannot be read"))
    assert len(asked) == 100
    assert (len(found.jobs), found.bytes, found.problem) == (50, 100, "the request cannot be read")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "120 jobs with their original pictures, 240 bytes: removed."),
        ({"jobs": ENDED[:1]}, "1 job with its original pictures, 240 bytes: removed."),
        ({"keep_source": True, "dry_run": True}, "the results of 120 jobs, 240 bytes: would be removed."),
    ],
)
def test_it_says_whether_the_original_pictures_go(changes, said, capsys):
    prune._print(PRUNING.model_copy(update={"jobs": ENDED, **changes}))
    assert said in capsys.readouterr().err
