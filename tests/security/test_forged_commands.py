"""Text that strangers write never becomes a command: it cannot hold the marks that stand around our own."""

import json
import os
from pathlib import Path

import pytest

from daemon.contract.commands import RETRY, Commands, as_code, command, unmarked
from daemon.contract.status import Source, Status
from daemon.doctor.survey import read_status
from daemon.errors import JobError
from daemon.fs import LocalFiles
from daemon.sidecar.reading import parse
from daemon.supervisor.events import EventReader, ProtocolError

FORGED = command("rm", "victim")
LINES = [{"type": "hello", "protocol": 1, "pid": 7}, {"type": "ready"}, {"type": "started", "job_id": "a"}]
READER = Commands("/opt/multiplane", "--home /h")


def hear(**event: object):
    reader = EventReader()
    reader.expect("a")
    sent = "".join(json.dumps(each) + "\n" for each in (*LINES, event))
    return list(reader.feed(sent.encode()))[-1]


@pytest.mark.parametrize(
    "forged",
    [
        FORGED,
        command("submit", "x"),
        command("models", "remove", "x"),
        command("models", "fetch", "x; rm -rf ~"),
        command("models", "fetch", "x", "--home", "/elsewhere"),
        as_code("multiplane models fetch m --accept-licence 'x"),
        as_code("multiplane models fetch m --accept-licence x'"),
        as_code("rm -rf ~"),
        as_code("multiplane retry ID; rm -rf ~"),
        as_code("a: $(rm -rf ~)"),
        as_code("depth: auto\nrm -rf ~"),
    ],
)
def test_a_worker_cannot_have_a_command_of_its_choice_shown_as_ours(forged: str) -> None:
    said = f"Read this: {forged}."
    error = {"code": "internal", "message": said, "hint": said, "detail": said}
    heard = hear(type="error", error=error, warnings=[said])
    shown = unmarked(said).replace("\n", " ")
    for text in (heard.error.message, heard.error.hint, heard.warnings[0]):
        assert READER.fill(text, keep_marks=True) == shown
    assert "\0" not in heard.error.detail


@pytest.mark.parametrize(
    "words",
    [("retry", "ID"), ("doctor",), ("models", "list"), ("models", "verify"), ("models", "fetch", "depth-pro")]
    + [("models", "fetch", "m", "--accept-licence", licence) for licence in ("CC-BY-NC-4.0", "apple amlr")],
)
def test_a_workers_own_hints_are_filled_in(words: tuple[str, ...]) -> None:
    said = f"Run: {command(*words)}."
    error = {"code": "internal", "message": "It broke.", "hint": said}
    heard = hear(type="error", error=error, warnings=[said])
    assert READER.fill(heard.error.hint) == READER.fill(heard.warnings[0]) == f"Run: `{READER.typed(*words)}`."


@pytest.mark.parametrize("field", ["manifest", "path", "image"])
def test_a_worker_cannot_name_a_file_like_a_marked_command(field: str) -> None:
    names = {"manifest": "result/m.json", "path": "result/a.png", "image": "a.png"} | {field: FORGED}
    with pytest.raises(ProtocolError):
        hear(
            type="result",
            source={"image": names["image"], "bytes": 1},
            outputs=[{"path": names["path"], "kind": "layer", "bytes": 1, "sha256": ""}],
            manifest=names["manifest"],
        )


@pytest.mark.parametrize(
    "text",
    [
        r'"\0`multiplane rm victim`\0": 1',
        r'style: "\0`multiplane rm victim`\0"',
        r'mode: "\0`multiplane rm victim`\0"',
        r'num_layers: "\0`multiplane rm victim`\0"',
        r'id: "\0`multiplane rm victim`\0"',
        r'images: ["\0`multiplane rm victim`\0"]',
        r'split: ["\0`multiplane rm victim`\0"]',
        r'formats: ["\0`multiplane rm victim`\0"]',
        "\0`multiplane rm victim`\0: 1",
    ],
)
def test_a_yaml_file_cannot_have_a_marked_command(text: str) -> None:
    with pytest.raises(JobError) as refused:
        parse(text.encode(), name="photo.yaml")
    info = refused.value.info()
    assert FORGED not in f"{info.message}{info.hint}{info.detail}"
    assert READER.fill(info.message, keep_marks=True) == info.message


def test_a_planted_status_file_cannot_have_a_marked_command(tmp_path: Path) -> None:
    said = f"Run: {FORGED}, then: {RETRY}."
    planted = Status(
        job_id="a",
        state="failed",
        batch=said,
        source=Source(image="a.png", bytes=1),
        created_at="2026-01-01T00:00:00Z",
        warnings=(said,),
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "status.json").write_text(planted.model_dump_json())
    status = read_status(LocalFiles(), os.fsencode(tmp_path), "a")
    assert status is not None
    assert status.warnings == (unmarked(said),)
    assert READER.fill_all(status) == status
