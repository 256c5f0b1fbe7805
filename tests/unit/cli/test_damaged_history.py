"""With a damaged older file of the journal, verbs that only look show the rest and name the file; others refuse."""

import json
import os
from pathlib import Path

import pytest
from job_records import accepted
from loguru import logger
from typer.testing import CliRunner, Result

from daemon.cli.app import command_line
from daemon.contract.records import Claimed, Ended
from daemon.doctor.facts import journal_facts
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.journal import History, Journal
from daemon.journal.search.name_search import NameSearch
from daemon.service.ended_jobs import EndedBefore

NOW = "2026-01-31T12:00:00.000Z"
DAMAGED = "00000002.jsonl"


@pytest.fixture(params=["last record", "middle record"])
def home(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three starts with a job each; a record of the second job is damaged."""
    monkeypatch.setenv("MULTIPLANE_CONFIG", os.devnull)
    (tmp_path / "inbox").mkdir()
    folder = tmp_path / ".state" / "journal"
    for number, job in enumerate(("first", "second", "third"), start=1):
        journal = Journal(LocalFiles(), os.fsencode(folder), clock=lambda: NOW, version="1", boot_id="b")
        recovered = journal.recover()
        journal.begin(number, recovered.next_seq, [])
        for record in (accepted(job, picture=f"{job}.jpg"), Claimed(job=job), Ended(job=job, state="cancelled")):
            journal.append([record])
        journal.close()
    lines = (folder / DAMAGED).read_bytes().splitlines(keepends=True)
    place = -1 if request.param == "last record" else -2
    lines[place] = lines[place].replace(b"second", b"sec0nd")
    (folder / DAMAGED).write_bytes(b"".join(lines))
    return tmp_path


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(command_line(words[0]), [*words, "--home", str(home)])


def told(result: Result) -> list[dict[str, str]]:
    return [json.loads(line)["error"] for line in result.stderr.splitlines() if "error" in json.loads(line)]


def ids(answer: list[dict[str, str]]) -> list[str]:
    return [job["job_id"] for job in answer]


def test_jobs_lists_the_others_and_names_the_file(home: Path) -> None:
    done = run(home, "jobs", "--json")
    assert ids(json.loads(done.stdout)) == ["third", "first"]
    (error,) = told(done)
    assert f"/{DAMAGED}, line " in error["message"]
    assert error["hint"].startswith(
        "What is shown here was read without it. Nothing was changed. Restore this file from a backup"
    )
    assert done.exit_code == 74
    for_people = run(home, "jobs")
    assert ("third" in for_people.stdout, "second" in for_people.stdout) == (True, False)
    assert for_people.stderr.count(DAMAGED) == 1


def test_watch_and_stats_do_the_same(home: Path) -> None:
    watched = run(home, "watch", "--json")
    scene = json.loads(watched.stdout)
    assert ids(scene["ended"]) == ["third", "first"]
    assert [DAMAGED in sentence for sentence in scene["damaged"]] == [True]
    counted = run(home, "stats", "--json", "--days", "36500")
    assert sum(day["cancelled"] for day in json.loads(counted.stdout)["days"]) == 2
    for done in (watched, counted):
        assert [DAMAGED in error["message"] for error in told(done)] == [True]
        assert done.exit_code == 74


def test_show_is_concerned_only_if_the_job_is_in_the_file(home: Path) -> None:
    intact = run(home, "show", "first", "--json")
    assert (json.loads(intact.stdout)["status"]["state"], told(intact), intact.exit_code) == ("cancelled", [], 0)
    concerned = run(home, "show", "second", "--json")
    assert json.loads(concerned.stdout)["status"]["state"] != "cancelled"
    assert [DAMAGED in error["message"] for error in told(concerned)] == [True]
    assert concerned.exit_code == 74


def test_the_inbox_is_not_concerned(home: Path) -> None:
    done = run(home, "waiting", "--json")
    assert (done.exit_code, told(done)) == (0, [])


def test_what_changes_things_is_refused(home: Path) -> None:
    done = run(home, "prune", "--older-than", "0d", "--json")
    assert (done.exit_code, done.stdout) == (78, "")
    assert DAMAGED in told(done)[0]["message"]


def test_a_search_for_a_picture_in_the_file_is_refused(home: Path) -> None:
    folder = os.fsencode(home / ".state" / "journal")
    assert [job.job_id for job in NameSearch(LocalFiles(), folder, lambda name: name == b"first.jpg").jobs()] == ["first"]
    with pytest.raises(Refusal, match=DAMAGED):
        NameSearch(LocalFiles(), folder, lambda name: name == b"second.jpg").jobs()


def test_the_daemon_logs_the_file_once_and_goes_on_with_the_others(home: Path) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")
    ended = EndedBefore(History(LocalFiles(), os.fsencode(home / ".state" / "journal")))
    assert [[job.job_id for job in ended(most)] for most in (10, 20)] == [["third", "first"]] * 2
    logger.remove(sink)
    assert [DAMAGED in line for line in said] == [True]


def test_the_doctor_says_one_thing_about_it(home: Path) -> None:
    done = run(home, "doctor", "--json")
    about = [each for each in json.loads(done.stdout)["findings"] if each["area"] == "journal" and DAMAGED in each["sentence"]]
    assert [each["grade"] for each in about] == ["problem"]
    assert journal_facts(LocalFiles(), os.fsencode(home / ".state" / "journal")).segments[1].path.endswith(DAMAGED)
