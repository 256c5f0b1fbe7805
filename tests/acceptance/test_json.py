"""Every command's --json matches `multiplane schema`, for a home with completed, failed and unfinished jobs."""

import json
import os
import re
from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from daemon.cli.answers import FILES, VERBS, schema
from daemon.cli.app import command_line
from daemon.cli.verbs.schema import Which
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture(scope="module")
def used(tmp_path_factory) -> Iterator[QuickFolder]:
    around = tmp_path_factory.mktemp("json")
    (around / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20) + b"IEND\xaeB`\x82")
    with quick_folder(around / "home") as folder:
        folder.start()
        folder.pair("good.png")
        folder.pair("bad.png", sidecar=b"num_layers: 99\n")
        folder.pair("slow.png", b"hang")
        folder.write("lonely.png")
        until(lambda: {status["state"] for status in folder.statuses()} == {"completed", "failed", "processing"})
        folder.waits("lonely.png")
        yield folder


def said(folder: QuickFolder, *words: str) -> tuple[int, str]:
    """Exit status and output of a command. Runs in this process, because each start costs a second."""
    if words[0] == "models":
        done = folder.run(*words)
        return done.returncode, done.stdout
    done = CliRunner().invoke(command_line(words[0]), words, env=folder.environment)
    return done.exit_code, done.stdout


def answer(folder: QuickFolder, verb: str, *arguments: str, exit_status: int = 0) -> object:
    """A command's output, parsed with its schema's model, which must lose and add nothing."""
    status, text = said(folder, *verb.split("-", 1), *arguments, "--json")
    assert status == exit_status, text
    model = VERBS[verb]
    assert model.dump_python(model.validate_json(text), mode="json") == json.loads(text)
    return json.loads(text)


def test_there_is_a_schema_for_every_verb_that_prints_json_and_for_every_file() -> None:
    def printing(commands: dict, before: str = "") -> Iterator[str]:
        for name, command in commands.items():
            if hasattr(command, "commands"):
                yield from printing(command.commands, f"{before}{name}-")
            elif any("--json" in option.opts for option in command.params):
                yield before + name

    assert set(printing(get_command(command_line()).commands)) == set(VERBS)
    assert {which.value for which in Which} == {"sidecar", *FILES, *VERBS}
    for which in FILES | VERBS:
        assert {"type", "anyOf", "$ref", "properties"} & schema(which).keys(), which


def test_the_schema_is_printed(used) -> None:
    assert json.loads(said(used, "schema", "service-status")[1]) == schema("service-status")


def test_the_patterns_of_a_printed_schema_match_what_is_written(used) -> None:
    printed = said(used, "schema", "manifest")[1]
    plain = [pattern for pattern in set(re.findall(r'"pattern": (".*")', printed)) if "x9f" in pattern]
    assert plain
    for pattern in map(json.loads, plain):
        assert re.search(pattern, "5.1.9-0+deb12u1")
        assert not re.search(pattern, "5.1\x00")


@pytest.mark.parametrize(
    ("verb", "arguments", "exit_status"),
    [
        ("jobs", (), 0),
        ("waiting", (), 0),
        ("watch", (), 0),
        ("stats", (), 0),
        ("service-status", (), 0),
        ("models-list", (), 0),
        ("models-verify", (), 0),
        ("check", ("photo.png", "missing.png"), 1),
    ],
)
def test_what_looks_answers_by_its_schema(used, verb, arguments, exit_status) -> None:
    found = answer(used, verb, *(os.fspath(used.home.parent / one) for one in arguments), exit_status=exit_status)
    assert found or verb == "models-verify"


def test_the_story_of_every_job_is_told_by_its_schema(used) -> None:
    for name, last in (("good.png", "ended"), ("bad.png", "ended"), ("slow.png", "started")):
        (status,) = used.of(name)
        story = answer(used, "show", status["job_id"])
        assert story["status"]["source"]["image"] == name
        assert [event["event"] for event in story["events"]][-1] == last


def test_what_is_asked_is_answered_by_its_schema(used) -> None:
    (good,), (bad,) = used.of("good.png"), used.of("bad.png")
    (slow,) = used.of("slow.png")
    assert answer(used, "retry", good["job_id"], exit_status=1)["answers"][0]["accepted"] is False
    assert answer(used, "cancel", slow["job_id"])["answers"][0]["accepted"] is True
    assert answer(used, "rm", bad["job_id"])["answers"][0]["accepted"] is True
    assert answer(used, "prune", "--older-than", "1d", "--state", "completed")["jobs"] == []


def test_a_model_that_is_not_listed_is_an_error_in_json(used) -> None:
    for words in (("verify", "depth-pr"), ("verify", "depth-pr", "--json"), ("fetch", "depth-pr"), ("remove", "depth-pr")):
        done = used.verb("models", *words)
        assert (done.returncode, done.stdout) == (4, ""), words
        said = json.loads(done.stderr)["error"]["message"] if "--json" in words else " ".join(done.stderr.split())
        assert 'there is no model "depth-pr"; did you mean "depth-pro"?' in said


def test_what_is_submitted_is_told_by_its_schema(used) -> None:
    photo = str(used.home.parent / "photo.png")
    (waiting,) = answer(used, "submit", photo)
    assert (waiting["image"], waiting["outcome"], waiting["state"]) == (photo, "submitted", "waiting")
    done, refused = answer(used, "submit", photo, "/no/such.png", "--wait", exit_status=6)
    assert (done["image"], done["outcome"], done["state"]) == (photo, "submitted", "completed")
    assert (refused["image"], refused["outcome"], refused["error"]["code"]) == ("/no/such.png", "refused", "source_missing")


def test_a_script_gets_the_ids_of_redone_jobs_from_standard_output_alone(used) -> None:
    (status,) = answer(used, "submit", str(used.home.parent / "photo.png"), "--wait")
    done = used.verb("redo", status["job_id"], "nobody", "--num-layers", "5")
    (new,) = done.stdout.splitlines()
    assert answer(used, "show", new)["status"]["redo_of"] == status["job_id"]
    assert new in done.stderr
    assert 'there is no job "nobody"' in done.stderr


def test_what_is_redone_is_waited_for_and_told_by_its_schema(used) -> None:
    (status,) = answer(used, "submit", str(used.home.parent / "photo.png"), "--wait")
    (redone,) = answer(used, "redo", status["job_id"], "--num-layers", "6", "--wait")
    assert (redone["state"], redone["redo_of"], redone["spec"]["num_layers"]) == ("completed", status["job_id"], 6)
    assert redone["image"] == os.path.join(status["folder"], "source", "photo.png")
    done = used.verb("redo", status["job_id"], "nobody", "--wait", "--json")
    assert (done.returncode, [one["redo_of"] for one in json.loads(done.stdout)]) == (4, [status["job_id"]])
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert 'there is no job "nobody"' in said[0]["error"]["message"]
    assert said[1]["redo_of"] == status["job_id"]


def test_the_files_are_what_their_schemas_say(used) -> None:
    (good,) = used.of("good.png")
    FILES["status"].validate_json((used.job(good) / "status.json").read_bytes())
    health = FILES["health"].validate_json((used.outbox / "daemon.json").read_bytes())
    assert health.state == "running"
